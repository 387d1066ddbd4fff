"""Tables to Parquet files and back: the only home of pyarrow's file I/O."""
