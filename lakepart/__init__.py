"""lakepart: a partitioned data-lake storage layer."""

__version__ = "0.1.0"
