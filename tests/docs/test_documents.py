"""The README and the pages of docs/ are true: Python blocks run, links lead somewhere, no error code is left out."""

from __future__ import annotations

import re
import shlex
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from typer.main import get_command

import lakepart as lp
from lakepart.cli.app import app

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
BLOCKS = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


# One test a document: its blocks build on one another, and tests are handed out to several processes.
@pytest.mark.filterwarnings("ignore:.*is currently in (beta|preview)")  # Dagster, of its own parameters
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_blocks_of_a_document_run_in_order(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if path.name == "postgresql.md":
        catalog = request.getfixturevalue("new_schema")()
        monkeypatch.setenv("LAKEPART_CATALOG", catalog)
        monkeypatch.setenv("DATABASE", request.getfixturevalue("postgresql"))
        monkeypatch.setenv("SCHEMA", catalog.rpartition("=")[2])
    if path.name == "s3.md":
        server = request.getfixturevalue("s3")
        monkeypatch.setenv("LAKEPART_URL", f"{request.getfixturevalue('s3_lakes')}/documents")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # frames print in the width the pages were written for
    document = BLOCKS.parse(path)
    document.namespace["__name__"] = "__main__"  # functions defined here are a notebook's, found in no module

    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_links_of_a_document_lead_to_files(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))

    broken = [link for link in links if not (path.parent / link).exists()]

    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_a_document_are_commands(path: Path) -> None:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
    for line in re.findall(r"^lakepart .*$", shell, re.MULTILINE):
        command = get_command(app)
        words = shlex.split(line, comments=True)[1:]
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]

        command.make_context(command.name, words)  # parses, and refuses what is no option or argument


def test_the_page_on_errors_names_every_code_and_every_class() -> None:
    page = (PROJECT / "docs" / "errors.md").read_text(encoding="utf-8")

    left_out = [code.value for code in lp.ErrorCode if f"`{code.value}`" not in page]
    left_out += [name for name in lp.__all__ if name.endswith(("Error", "Warning")) and name not in page]

    assert left_out == []
