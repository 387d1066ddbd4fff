"""Rows: the only home of SQLAlchemy."""
