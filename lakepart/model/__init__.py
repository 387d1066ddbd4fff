"""Frozen values that everything else computes with; no files, no clock, no database."""
