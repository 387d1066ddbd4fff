"""What fsspec's drivers promise of the stores behind them, and what a lake has to do without where they do not."""

from __future__ import annotations

from dataclasses import dataclass

from lakepart.storage.addresses import is_local, is_s3, scheme_of


@dataclass(frozen=True, slots=True)
class Driver:
    """What is declared of a driver, by its source and by the documentation of its store.

    Attributes
    ----------
    decides_creation
        Whether with ``mode="create"`` the store itself lets one of several makers of a path succeed, on whatever
        machines they are. Otherwise it is decided by looking first, among the threads of one process.
    appears_whole
        Whether an object is seen only with all its bytes, also where its writer dies.
    tells_time
        Whether it says when an object was last written. What has no time is never taken for old.
    takes_writes
        Whether objects can be made at all.
    """

    decides_creation: bool = False
    appears_whole: bool = False
    tells_time: bool = False
    takes_writes: bool = True


_OBJECT_STORE = Driver(decides_creation=True, appears_whole=True, tells_time=True)
_REMOTE_DISK = Driver(tells_time=True)  # written where it is to be seen, after a look whether something is there
_READ_ONLY = Driver(takes_writes=False)
_UNKNOWN = Driver()  # nothing is promised, so nothing is relied on

# Sources: s3fs and adlfs (_pipe_file: If-None-Match: *, Azure's "conditional headers"); gcsfs (simple_upload and
# initiate_upload: ifGenerationMatch=0, Google's "request preconditions"; experimental, says its docstring); fsspec's
# sftp, smb, arrow (open for writing overwrites; info has mtime), webhdfs and ftp (no time that all servers mean alike).
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"), _OBJECT_STORE),
    **dict.fromkeys(("file", "local", "sftp", "ssh", "smb", "hdfs", "arrow_hdfs"), _REMOTE_DISK),
    **dict.fromkeys(("http", "https", "data", "git", "github", "gist", "tar", "libarchive", "reference"), _READ_ONLY),
}


def driver_of(protocol: str) -> Driver:
    """Give what is declared of the driver of a protocol; of one that nobody has looked at, nothing."""
    return _DRIVERS.get(protocol, _UNKNOWN)


def takes_writes(url: str) -> bool:
    """Whether objects can be made at an address."""
    return is_local(url) or driver_of(scheme_of(url)).takes_writes


def shortcomings(url: str) -> list[str]:
    """Say in sentences what a lake has to do without at an address.

    Nothing of S3, which is tried out instead, nor of memory, which one process has for itself.
    """
    scheme = scheme_of(url)
    if is_local(url) or is_s3(url) or scheme == "memory":
        return []
    driver = driver_of(scheme)
    promises = (
        (driver.decides_creation, "two machines that make a lake there at once may both succeed"),
        (driver.appears_whole, "a writer that dies may leave a part of an object, which check names"),
        (driver.tells_time, "nobody knows when an object was written, so vacuum leaves what dead writers left"),
    )
    return [meaning for is_kept, meaning in promises if not is_kept]
