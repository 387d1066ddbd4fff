"""A lake on S3 with its catalog in PostgreSQL, and commands that work on it on another machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing.machines import start_elsewhere

COMMAND = "from lakepart.cli import main; main()"
PRODUCERS = """
import lakepart as lp

def tens(part, numbers):
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[10 * value for value in table["value"].to_pylist()]])

tens = lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"})(tens)
"""


@pytest.fixture
def lake(s3, s3_lakes, new_schema, tmp_path) -> Iterator[lp.Lake]:
    """Three days of ``numbers``: 1, 2, 3."""
    with lp.create(f"{s3_lakes}/{tmp_path.name}", catalog=new_schema(), storage_options=s3.storage_options) as lake:
        days = pa.array([date(2024, 1, day) for day in (1, 2, 3)], pa.date32())
        numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
        numbers.write(pa.table({"day": days, "value": [1, 2, 3]}))
        yield lake


@pytest.fixture
def start(lake, s3, proxy, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command, or a program, on another machine, whose requests to S3 go through the proxy."""
    for name in ("code", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "code" / "producers.py").write_text(PRODUCERS)
    environment = {
        "LAKEPART_URL": lake.url,
        "LAKEPART_CATALOG": lake._home.context.catalog,
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": s3.key,
        "AWS_SECRET_ACCESS_KEY": s3.secret,
        "PYTHONPATH": f"{Path(lp.__file__).parents[1]}:{tmp_path / 'code'}",
    }
    started = []

    def run(*arguments: str, program: str = COMMAND) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *arguments]
        folder = str(tmp_path / "temporary")
        started.append(start_elsewhere(command, host="pod-1", folder=folder, environment=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()
