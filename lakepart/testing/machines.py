"""Another machine for a process: a host name of its own, and a file system as a strict container has it.

``unshare`` of util-linux makes it. It needs no rights where the kernel lets everybody have a user namespace, else those
of root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

_NOBODY = "54321"  # a user whom no list of users has
_READ_ONLY = r"""
set -e
host=$1 folder=$2 limit=$3
shift 3
hostname "$host"
mount -t tmpfs -o "size=$limit,mode=1777" temporary "$folder"
while read -r _ place _; do
    case "$place" in
        "$folder" | /proc* | /sys* | /dev/pts*) ;;
        *) mount -o remount,bind,ro "$place" ;;
    esac
done < /proc/self/mounts
"""


def start_elsewhere(
    command: Sequence[str],
    *,
    host: str,
    folder: str,
    environment: Mapping[str, str] | None = None,
    limit: str = "256m",
) -> subprocess.Popen[str]:
    """Start a process on another machine; what is told of it, its id and its end, is of ``command`` itself.

    Nothing can be written but in ``folder``, its temporary one, where it finds an empty disk that holds ``limit``. Its
    user has no home and, in a user namespace, a number that belongs to nobody.
    """
    user, become = _user_namespaces()
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "LANG"}}
    script = f'{_READ_ONLY}exec {become} "$@"'
    return subprocess.Popen(  # noqa: S603 - our own words
        ["/usr/bin/env", "unshare", *user, "--mount", "--uts", "sh", "-c", script, "sh", host, folder, limit, *command],
        cwd="/",
        env={**kept, "TMPDIR": folder, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@cache
def _user_namespaces() -> tuple[tuple[str, ...], str]:
    """Give the options that make a user namespace, and how to become nobody in it; nothing where there are none."""
    options = ("--user", "--map-root-user")
    if subprocess.run(["/usr/bin/env", "unshare", *options, "true"], check=False, stderr=subprocess.DEVNULL).returncode:  # noqa: S603
        return (), ""
    return options, f"unshare --user --map-user={_NOBODY} --map-group={_NOBODY}"
