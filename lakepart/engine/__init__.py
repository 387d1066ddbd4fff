"""One file per verb: joins catalog, storage and Parquet, and carries plans out."""
