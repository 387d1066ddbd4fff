"""Pure decisions: facts in, plans out."""
