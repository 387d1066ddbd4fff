"""Bytes under relative paths: the only home of fsspec, s3fs and boto3."""
