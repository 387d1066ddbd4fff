"""What lakepart costs, beside bare pyarrow on the same files in the same run: ``python -m benchmarks``."""
