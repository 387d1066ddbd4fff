"""In a container: no home, a user without a name, and nothing that can be written but a small temporary folder."""

from __future__ import annotations

import json
import sys

from lakepart.testing.machines import start_elsewhere

PROGRAM = """
import json, os, tempfile
from datetime import timedelta
import numpy as np
import pandas as pd
import pyarrow as pa
import lakepart as lp

FLIGHTS = lp.Daily("2013-01-01", end="2013-01-11", by="time_hour")
HOURS = pd.date_range("2013-01-01", periods=240, freq="h", tz="UTC")
RANDOM = np.random.default_rng(1)
FOLDER = tempfile.gettempdir()

def unsorted(text):
    for _ in range(9):  # of 16 MB: more than is sorted in memory
        yield pa.table({"time_hour": HOURS[RANDOM.integers(0, 240, 16_384)], "text": [text() for _ in range(16_384)]})

def delays(part, flights):
    return pd.DataFrame({"total": [int(flights.to_pandas()["delay"].sum())]})

lake = lp.create(os.environ["LAKEPART_URL"], catalog=os.environ["LAKEPART_CATALOG"])
flights = lake.asset("flights", partitions=FLIGHTS)
flights.write(pd.DataFrame({"time_hour": HOURS, "delay": range(240)}))
flights.append(pd.DataFrame({"time_hour": HOURS, "delay": 0}))
flights["2013-01"].compact(progress=False)
made = lake.asset("delays", partitions=lp.Daily("2013-01-01", end="2013-01-11"))
made.backfill(delays, inputs={"flights": "flights"}, workers=2, progress=False)
flights["2013-01-01":"2013-01-05"].demote("cold", progress=False)
texts = lake.asset("texts", partitions=FLIGHTS)
texts.write(unsorted(lambda: "x" * 1024))
lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
try:
    texts.write(unsorted(lambda: RANDOM.bytes(512).hex()), if_exists="replace")
except lp.StorageError as error:
    full = {"code": error.code, "folder": repr(FOLDER) in error.message, "hint": error.hint}
try:
    lp.connect("~/lake")
except lp.LakepartError as error:
    homeless = error.message
print(json.dumps({
    "flights": flights.count_rows(),
    "total": int(made.to_pandas()["total"].sum()),
    "texts": texts.count_rows(),
    "check": [str(one) for one in lake.check(checksums=True)],
    "left": os.listdir(FOLDER),
    "author": lake.snapshots(1)["author"].item(),
    "user": os.getuid(),
    "full": full,
    "homeless": homeless,
}))
"""
COMMAND = "from lakepart.cli import main; main()"


def test_every_verb_works_and_a_temporary_folder_that_is_too_small_is_named(s3, s3_lakes, new_schema, tmp_path) -> None:
    environment = {
        "LAKEPART_URL": f"{s3_lakes}/containers",
        "LAKEPART_CATALOG": new_schema(),
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": s3.key,
        "AWS_SECRET_ACCESS_KEY": s3.secret,
    }

    def run(*arguments: str) -> str:
        process = start_elsewhere(
            [sys.executable, "-c", *arguments], host="pod", folder=str(tmp_path), environment=environment, limit="32m"
        )
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    found = json.loads(run(PROGRAM))
    status = json.loads(run(COMMAND, "status", "flights", "2013-01-01", "--json"))

    has_name = found["user"] == 0
    assert (found["flights"], found["total"], found["texts"]) == (480, sum(range(240)), 9 * 16_384)
    assert (found["check"], found["left"], found["author"]) == ([], [], "root" if has_name else "unknown")
    assert (found["full"]["code"], found["full"]["folder"]) == ("disk-full", True)
    assert "TMPDIR" in found["full"]["hint"]
    assert has_name or "this user has none" in found["homeless"]
    assert [one["state"] for one in status] == ["fresh"]
