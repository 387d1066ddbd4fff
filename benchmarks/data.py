"""The rows that are written and read: TPC-H orders, cut by day."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lakepart as lp

FIRST_DAY, AFTER_LAST_DAY = date(1992, 1, 1), date(1998, 8, 3)
BY = "o_orderdate"
_QUICK_DAYS, _QUICK_ROWS_A_DAY = 60, 20
_LINES = ("final requests haggle", "carefully special pinto beans", "blithely ironic deposits nag about the")


def definition() -> lp.Daily:
    """Give the partitions of orders: 2,406 days hold rows."""
    return lp.Daily(FIRST_DAY, end=AFTER_LAST_DAY, by=BY)


def read_orders(folder: Path, given: Path | None) -> pa.Table:
    """Give orders of scale factor 1 (1.5 M rows): from ``given``, or made in ``folder`` by ``tpchgen-cli``, once."""
    path = given or folder / "orders.parquet"
    if not path.exists():
        _generate(folder)
    table = pq.read_table(path)
    return table.cast(pa.schema([pa.field(field.name, _plain_type(field.type)) for field in table.schema]))


def make_few_orders() -> pa.Table:
    """Make rows of the same columns for a trial run: some days of some orders each, in no order."""
    random = np.random.default_rng(7)
    count = _QUICK_DAYS * _QUICK_ROWS_A_DAY
    days = random.permutation(np.repeat(np.arange(_QUICK_DAYS), _QUICK_ROWS_A_DAY))
    return pa.table(
        {
            "o_orderkey": pa.array(np.arange(count)),
            "o_custkey": pa.array(random.integers(1, 150_000, count)),
            "o_orderstatus": pa.array(random.choice(["F", "O", "P"], count)),
            "o_totalprice": pa.array(random.integers(90_000, 50_000_000, count) / 100),
            BY: pa.array([FIRST_DAY + timedelta(days=int(day)) for day in days], pa.date32()),
            "o_orderpriority": pa.array(random.choice(["1-URGENT", "2-HIGH", "5-LOW"], count)),
            "o_clerk": pa.array([f"Clerk#{number:09d}" for number in random.integers(1, 1_000, count)]),
            "o_shippriority": pa.array(np.zeros(count, np.int32)),
            "o_comment": pa.array(random.choice(_LINES, count)),
        }
    )


def _generate(folder: Path) -> None:
    beside_python = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent))
    program = beside_python or shutil.which("tpchgen-cli")
    if program is None:
        raise SystemExit("tpchgen-cli is not installed: install lakepart[bench], or use --quick.")
    folder.mkdir(parents=True, exist_ok=True)
    command = [program, "parquet", "-s", "1", "--tables=orders", f"--output-dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _plain_type(data_type: Any) -> Any:
    return pa.string() if pa.types.is_string_view(data_type) else data_type
