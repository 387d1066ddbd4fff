"""Turn what operating systems and filesystems raise into lakepart's errors, in words a person can act on."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from lakepart.errors import (
    AlreadyExistsError,
    ErrorCode,
    LakepartError,
    NotFoundError,
    OfflineDataError,
    StorageError,
)
from lakepart.model.archives import is_archived

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_HINTS = {
    errno.ENOSPC: "free some space (or inodes), or put the lake on a larger disk; nothing was stored.",
    errno.EDQUOT: "the quota of this user is used up; nothing was stored.",
    errno.EACCES: "run as a user who may do this, or change the rights of the folder.",
    errno.EPERM: "run as a user who may do this, or change the rights of the folder.",
    errno.EROFS: "the filesystem is mounted read-only.",
    errno.ENOTDIR: "a part of the path that must be a folder is a file; move that file away.",
    errno.EISDIR: "a folder stands where an object must be; move that folder away.",
    errno.ENAMETOOLONG: "this filesystem takes no names of that length; choose a shorter root or shorter names.",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or use fewer threads.",
    errno.ENFILE: "too many files are open on this machine.",
    errno.ELOOP: "symbolic links inside a lake are not followed; let the root itself point to the other disk.",
}


@contextmanager
def translated(action: str, place: str) -> Iterator[None]:
    """Run a block; what the filesystem raises in it comes out as a lakepart error naming ``action`` and ``place``."""
    try:
        yield
    except LakepartError:
        raise
    except OSError as error:
        raise translate(error, action, place) from error


@contextmanager
def spooling() -> Iterator[None]:
    """Run a block that uses the temporary folder; failures name it, and the way to another one."""
    try:
        yield
    except OSError as error:
        folder = tempfile.tempdir or "a temporary folder"
        raise StorageError(
            f"Cannot keep bytes that are on their way in {folder!r}: {error.strerror or error}.",
            hint="free space there, or set TMPDIR to a larger disk; nothing was stored.",
            code=ErrorCode.DISK_FULL if error.errno in _DISK_FULL else ErrorCode.STORAGE,
            context={"path": folder, "errno": error.errno},
        ) from error


def translate(error: OSError, action: str, place: str) -> LakepartError:
    """Give the lakepart error for ``error``, raised while doing ``action`` ("write", "read") to ``place``."""
    context = {"path": place, "errno": error.errno}
    if is_archived(error):
        return offline(place)
    if isinstance(error, FileNotFoundError):
        return not_found(place)
    if isinstance(error, FileExistsError):
        return already_exists(place)
    if error.errno in _DISK_FULL:
        code = ErrorCode.DISK_FULL
    elif error.errno in _PERMISSION or isinstance(error, PermissionError):
        code = ErrorCode.PERMISSION
    else:
        code = ErrorCode.STORAGE
    reason = error.strerror or type(error).__name__
    return StorageError(
        f"Cannot {action} {place!r}: {reason}.",
        hint=_HINTS.get(error.errno or 0),
        code=code,
        context=context,
    )


def not_found(place: str) -> NotFoundError:
    """Give the error for an object that is not there."""
    return NotFoundError(f"There is no object {place!r}.", context={"path": place})


def offline(place: str) -> OfflineDataError:
    """Give the error for an object whose bytes must be restored before they can be read."""
    return OfflineDataError(
        f"{place!r} is archived and must be restored before it can be read.",
        hint="restore() makes it readable for some days.",
        context={"path": place},
    )


def already_exists(place: str) -> AlreadyExistsError:
    """Give the error for a path that is taken."""
    return AlreadyExistsError(
        f"{place!r} exists already: objects are made once and never overwritten.",
        context={"path": place},
    )
