"""Reading manifests and checkpoints back: to the end, whether they can be used, and of which commits they tell."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from lakepart.catalog import rebuilding
from lakepart.catalog.manifests import MANIFEST_FORMAT
from lakepart.engine.manifests import Span, digest_of
from lakepart.errors import CatalogError, CorruptionError, ErrorCode, NotFoundError
from lakepart.storage.base import Store

_HEADER = ("format", "lake_id", "created_at_us", "horizon", "previous")


class Told(NamedTuple):
    """What a manifest or checkpoint says of itself, with the tokens, by snapshot, of its commits and of the one before.

    Those of the first releases did not name the commit that they follow on.
    """

    header: Mapping[str, Any]
    tokens: Mapping[int, str]

    def contradicts(self, tokens: Mapping[int, str]) -> int | None:
        """Give the first snapshot that has another token here than elsewhere; None where there is none."""
        return min(
            (number for number, token in self.tokens.items() if tokens.get(number, token) != token), default=None
        )


def judge_span(root: Store, span: Span, lake_id: str | None) -> Told:
    """Read a manifest or checkpoint to its end.

    Raises
    ------
    CorruptionError
        It is damaged.
    CatalogError
        It is of another lake, or of a newer format.
    """
    header: Mapping[str, Any] = {}
    tokens: dict[int, str] = {}
    with _damage_named(span):
        for what, value in records_of_span(root, span, set()):
            if what == "header":
                header = value
            elif what == "snapshot":
                tokens[value["snapshot"]] = value["token"]
                header = {"at_us": value["at_us"], **header}
        if "previous" in header:
            tokens[span.first - 1] = header["previous"]
        made_as, made_for = header["format"], header["lake_id"]
    if made_as > MANIFEST_FORMAT:
        raise CatalogError(
            f"{span.path!r} has format {made_as}, made by a newer lakepart than this one.",
            hint="upgrade lakepart.",
            code=ErrorCode.CATALOG_TOO_NEW,
        )
    if lake_id is not None and made_for != lake_id:
        raise CatalogError(
            f"{span.path!r} is of lake {made_for}, and this is lake {lake_id}.",
            hint="manifests of another lake were put there: take them away.",
            code=ErrorCode.WRONG_CATALOG,
            context={"path": span.path, "lake": lake_id, "found": made_for},
        )
    return Told(header, tokens)


def records_of_span(root: Store, span: Span, seen: set[int]) -> Iterator[rebuilding.Record]:
    """Give what a manifest or checkpoint says, beginning with its header; CorruptionError where it does not say so."""
    with _damage_named(span):
        if span.is_checkpoint:
            yield from _of_checkpoint(root, span)
        else:
            manifest = json.loads(root.read_bytes(span.path))
            if manifest["format"] > 1 and manifest["digest"] != digest_of(manifest):
                raise _damaged(span, "its digest is of other bytes")
            if manifest["snapshot"]["snapshot"] != span.last:
                raise _damaged(span, f"it is of snapshot {manifest['snapshot']['snapshot']}")
            yield "header", {name: manifest[name] for name in _HEADER if name in manifest}
            yield from rebuilding.records_of(manifest, seen)


@contextmanager
def _damage_named(span: Span) -> Iterator[None]:
    """Say of whatever reading the span trips over that it is damaged."""
    try:
        yield
    except NotFoundError as error:
        raise _damaged(span, "it is gone") from error
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        raise _damaged(span, f"{type(error).__name__}: {error}") from error


def _of_checkpoint(root: Store, span: Span) -> Iterator[rebuilding.Record]:
    count, ended = 0, False
    with root.open_read(span.path) as stored, gzip.GzipFile(fileobj=stored) as lines:
        for line in lines:
            if ended:
                raise _damaged(span, "it goes on after its end")
            what, value = json.loads(line)
            if what == "end":
                ended = value == count
                continue
            if what == "header" and (value["first"], value["last"]) != (span.first, span.last):
                raise _damaged(span, f"it is of snapshots {value['first']} to {value['last']}")
            count += 1
            yield what, value
    if not ended or not count:
        raise _damaged(span, "it is cut short")


def _damaged(span: Span, why: str) -> CorruptionError:
    return CorruptionError(f"{span.path!r} cannot be used: {why}.", context={"path": span.path})
