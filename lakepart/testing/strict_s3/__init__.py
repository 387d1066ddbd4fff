"""A strict S3 in memory, on a clock that tests advance; it guards what moto and SeaweedFS let pass."""

from lakepart.testing.strict_s3.server import StrictS3

__all__ = ["StrictS3"]
