"""Producer functions by name: how the catalog remembers one, and how another process finds it again."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast


def reference(function: Callable[..., Any]) -> str | None:
    """Name a function as ``module:qualname``, or None where that does not lead back to it."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    return f"{module}:{name}"


def load_function(name: str | None) -> Callable[..., Any] | None:
    """Import a function by ``module:qualname``; None where it is not there."""
    if name is None:
        return None
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    found = getattr(found, "function", found)  # a decorated producer holds its function
    return cast("Callable[..., Any]", found) if callable(found) else None
