"""When a checkpoint is due, and of what."""

from lakepart.engine.manifests import due_checkpoint


def test_every_thousandth_snapshot_has_a_checkpoint_of_the_thousand_up_to_it():
    due = [due_checkpoint(number, 1000) for number in range(3001)]

    assert [(span.first, span.last) for span in due if span is not None] == [(1, 1000), (1001, 2000), (2001, 3000)]
