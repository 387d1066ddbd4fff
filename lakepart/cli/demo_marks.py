"""How far the demo came where it is: noted in a file of its folder, or, in an object store, by objects under the lake.

Objects are made once and never changed, so there is one for each state. They are made before the lake, and after it.
"""

from __future__ import annotations

from pathlib import Path

from lakepart.cli import demo_folder
from lakepart.cli.demo_folder import DemoState
from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError
from lakepart.storage.addresses import is_local, without_secrets
from lakepart.storage.locations import open_store

_FOLDER = "lakepart-demo"


def examine(lake: str) -> DemoState:
    """Say how far a demo has come there.

    Raises
    ------
    AlreadyExistsError
        Something else is there.
    """
    if is_local(lake):
        return demo_folder.examine(Path(lake))
    store = open_store(lake)
    for state in (DemoState.FINISHED, DemoState.BEGUN):
        if store.stat(f"{_FOLDER}/{state}") is not None:
            return state
    if next(iter(store.list()), None) is not None:
        raise AlreadyExistsError(
            f"{without_secrets(lake)!r} is not a lake that the demo made: it holds other objects. The demo leaves it "
            "alone.",
            hint="name a prefix where nothing is yet.",
        )
    return DemoState.NOTHING


def mark(lake: str, state: DemoState) -> None:
    """Note that the place is the demo's, and how far the demo has come."""
    if is_local(lake):
        demo_folder.mark(Path(lake), state)
    else:
        open_store(lake).put_new(f"{_FOLDER}/{state}", b"made by lakepart demo")


def clear(lake: str, catalog: str | None) -> None:
    """Remove what a demo made in a folder.

    Raises
    ------
    AlreadyExistsError
        There is anything else: nothing is removed then.
    InvalidInputError
        The lake is in an object store, or its catalog elsewhere: what lies there is not the demo's to clear.
    """
    if catalog is not None or not is_local(lake):
        raise InvalidInputError(
            f"--fresh clears a folder with its catalog, and {without_secrets(lake)!r} is none. Nothing was removed.",
            hint="name another prefix and another catalog, or clear them yourself.",
            code=ErrorCode.UNSUPPORTED,
        )
    demo_folder.clear(Path(lake))
