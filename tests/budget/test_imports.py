"""What is loaded before anything is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import lakepart

HEAVY = ("pandas", "sqlalchemy", "alembic", "fsspec", "boto3", "pyarrow.dataset", "pyarrow")


def loaded_after(code: str) -> set[str]:
    script = f"import json, sys\n{code}\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_importing_lakepart_loads_nothing_heavy() -> None:
    assert not loaded_after("import lakepart") & {*HEAVY, "numpy", "rich", "typer"}


def test_the_help_of_the_command_line_loads_nothing_heavy() -> None:
    loaded = loaded_after("from lakepart.cli.app import run\nassert run(['--help']) == 0")

    assert not loaded & {*HEAVY, "numpy", "rich"}


def test_the_help_of_a_command_loads_nothing_heavy() -> None:
    loaded = loaded_after("from lakepart.cli.app import run\nassert run(['backfill', 'run', '--help']) == 0")

    assert not loaded & {*HEAVY, "numpy", "rich"}


def test_a_partitions_definition_loads_neither_pandas_nor_a_database() -> None:
    assert not loaded_after("import lakepart as lp; lp.Daily('2013-01-01')") & set(HEAVY)


def test_opening_a_lake_loads_no_pandas(tmp_path) -> None:
    loaded = loaded_after(f"import lakepart as lp; lp.create({str(tmp_path / 'lake')!r}).close()")

    assert not loaded & {"pandas", "pyarrow.dataset", "rich", "typer", "boto3"}


@pytest.mark.parametrize("name", lakepart.__all__)
def test_every_public_name_is_there(name) -> None:
    assert getattr(lakepart, name).__name__ in {name, "Commit"}
    assert name in dir(lakepart)


def test_an_unknown_name_is_refused_with_a_close_one() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'conect'\. Hint: did you mean connect\?"):
        _ = lakepart.conect
