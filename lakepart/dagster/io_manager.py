"""An IO manager that keeps Dagster's assets in a lake."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr  # Dagster's own dependency: its configurable classes are pydantic models

from lakepart.branch import Branch
from lakepart.dagster.partitions import from_dagster, in_dagsters_words
from lakepart.engine.read import PartialReadWarning
from lakepart.errors import (
    AlreadyExistsError,
    AssetNotFoundError,
    BranchNotFoundError,
    ErrorCode,
    InvalidInputError,
    PartitionNotFoundError,
)
from lakepart.io_manager import IOManager, nothing_as, read_as
from lakepart.lake import Lake, connect
from lakepart.lake_view import LakeView
from lakepart.model.definitions import Dynamic, PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import Commit
from lakepart.producers import Producer
from lakepart.selection import Selection

Asked = TypeVar("Asked")

BACKFILL_TAG = "dagster/backfill"
RANGE_TAG = "dagster/asset_partition_range_start"

_MOST_PARTITIONS_SHOWN = 100


class _Run:
    """What the IO manager holds during one run in one process: its lake, its branch, what its steps have loaded."""

    def __init__(self) -> None:
        self.branch: str | None = None
        self._lake: Lake | None = None
        self._opening = threading.Lock()
        self._loaded: dict[str, dict[str, Selection]] = {}

    def readable(self, url: str, catalog: str | None) -> LakeView:
        """Give the branch of a staged run, if anything was written there yet, or else the lake."""
        lake = self._open(url, catalog)
        if self.branch is not None:
            try:
                return lake.branch(self.branch)
            except BranchNotFoundError:
                return lake
        return lake

    def writable(self, url: str, catalog: str | None) -> LakeView:
        """Give the branch of a staged run, made by whoever writes first, or else the lake."""
        lake = self._open(url, catalog)
        if self.branch is None:
            return lake
        try:
            return lake.create_branch(self.branch)
        except AlreadyExistsError:
            return lake.branch(self.branch)

    def note(self, op: str | None, name: str, selection: Selection) -> None:
        """Remember what a step loaded; loaded anew by a retry, it takes the place of what was loaded before."""
        if op is not None:
            self._loaded.setdefault(op, {})[name] = selection

    def inputs_of(self, op: str | None, lake: LakeView, name: str, keys: Sequence[str] | None) -> dict[str, Selection]:
        """Give what a step loaded, without the partitions that it is about to replace itself."""
        inputs = dict(self._loaded.get(op, {})) if op is not None else {}
        for input_name, selection in list(inputs.items()):
            if selection._asset == name:  # an asset made from its own earlier partitions
                definition = lake.asset(name).partitions
                written = (
                    PartitionSet.everything(definition)
                    if keys is None
                    else PartitionSet.from_keys(definition, [key for key in keys if not _is_new(definition, key)])
                )
                inputs[input_name] = selection._select(selection._partitions - written)
                if not inputs[input_name]:
                    del inputs[input_name]
        return inputs

    def close(self) -> None:
        """Let go of the lake and forget what was loaded; the next use opens it again."""
        self._loaded.clear()
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def _open(self, url: str, catalog: str | None) -> Lake:
        with self._opening:
            if self._lake is None:
                self._lake = connect(url, catalog=catalog)
            return self._lake


class LakepartIOManager(dg.ConfigurableIOManager):
    """Keeps Dagster assets in a lake: what a run writes becomes the content of its partitions, in one commit.

    An asset with the key ``["sales", "orders"]`` is the lake's asset ``sales/orders``. Runs over one partition, over
    ranges and over sets with gaps work alike, on writing and on loading.

    Parameters
    ----------
    url
        The lake, which must exist.
    catalog
        Its catalog, where that is not inside the lake; as for :func:`lakepart.connect`.
    declare
        Whether an asset that the lake does not have is declared at its first write, from its Dagster partitions
        definition and the column named in its metadata, ``{"partition_expr": "time_hour"}``; of two dimensions the
        columns, ``{"partition_expr": {"carrier": "carrier", "date": "time_hour"}}``. With False it must be there, and
        only the keys need to be the same.
    stage_backfills
        Whether the writes of a Dagster backfill go to the branch ``backfill-<id>``, and those of another run over a
        range to ``run-<id>``, where nobody sees them until you publish it:
        ``lakepart.connect(url).branch("backfill-<id>").publish()``. What such a run loads is what its branch shows.

    Notes
    -----
    Inputs are loaded as their parameter is annotated: ``pandas.DataFrame`` (also where nothing is annotated),
    ``pyarrow.Table``, ``polars.DataFrame``, ``dict[str, ...]`` of these for one frame per partition key, or
    :class:`lakepart.Selection` to read in pieces. Input metadata: ``columns`` reads only these,
    ``allow_missing_partitions`` leaves missing partitions out.

    A commit records the asset's code version and what its step loaded, so the lake's ``status()`` shows a partition
    stale when either has changed; the code version of the last write is taken for the current one.
    """

    url: str
    catalog: str | None = None
    declare: bool = True
    stage_backfills: bool = False

    _run: _Run = PrivateAttr(default_factory=_Run)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Find out, when a run begins, whether its writes are staged."""
        if self.stage_backfills and context.run is not None:
            self._run.branch = _staging_branch(context.run.run_id, context.run.tags)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Let go of the lake when the run is over."""
        self._run.close()

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store what an asset gave under its partition keys."""
        name = _asset_name(context)
        if obj is None:
            raise InvalidInputError(
                f"Asset {name!r} gave None, which holds no rows to store.",
                hint="return a frame, without rows if there are none; or annotate the asset -> None to store nothing.",
            )
        keys = _keys(context)
        lake = self._run.writable(self.url, self.catalog)
        if self.declare:
            _declare(lake, name, context)
        _check_splittable(lake, name, keys, obj)
        code_version = _given(lambda: context.asset_spec.code_version)
        io = IOManager(lake)
        commit = io.save(
            name,
            keys,
            obj,
            code_version=code_version,
            inputs=self._run.inputs_of(_given(lambda: context.op_def.name), lake, name, keys),
            message=_given(lambda: f"Dagster run {context.run_id}"),
            metadata={"dagster": {"run_id": _given(lambda: context.run_id), "step": _given(lambda: context.step_key)}},
        )
        _remember_code_version(lake, name, code_version)
        context.add_output_metadata(_describe(commit, io.select(name, keys), lake))

    def load_input(self, context: dg.InputContext) -> Any:
        """Load the partitions that an input is mapped to, as its parameter is annotated."""
        name = _asset_name(context)
        keys = _keys(context)
        metadata = context.definition_metadata or {}
        missing = "skip" if _plain(metadata.get("allow_missing_partitions")) else "error"
        as_type = _given(lambda: context.dagster_type.typing_type)
        try:
            lake = self._run.readable(self.url, self.catalog)
            selection = IOManager(lake).select(name, _present(lake, name, keys, missing))
            loaded = read_as(selection, as_type, columns=_plain(metadata.get("columns")), missing=missing)
        except AssetNotFoundError:
            # an asset made from its own earlier partitions begins with a load
            if not self.declare or as_type is Selection or (missing == "error" and keys != []):
                raise
            if keys != []:
                warnings.warn(f"Read nothing of {name!r}: it was never written.", PartialReadWarning, stacklevel=2)
            return nothing_as(as_type)
        except PartitionNotFoundError as error:
            raise PartitionNotFoundError(
                error.message,
                hint='the input\'s metadata {"allow_missing_partitions": True} loads what is there.',
                code=error.code,
                context=error.context,
            ) from error
        if context.has_input_name:  # else somebody loads outside a run, and nothing is made from it
            self._run.note(_given(lambda: context.op_def.name), context.name, selection)
        return loaded

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the configuration alone."""
        return _restored, (type(self), {name: getattr(self, name) for name in type(self).model_fields})


def _restored(kind: type[LakepartIOManager], configuration: dict[str, Any]) -> LakepartIOManager:
    return kind(**configuration)


def _staging_branch(run_id: str, tags: Mapping[str, str]) -> str | None:
    if BACKFILL_TAG in tags:
        return f"backfill-{tags[BACKFILL_TAG]}"
    return f"run-{run_id}" if RANGE_TAG in tags else None


def _asset_name(context: dg.OutputContext | dg.InputContext) -> str:
    if not context.has_asset_key:
        raise InvalidInputError(
            "LakepartIOManager keeps assets, and this is the output of an op that is none.",
            hint="give the op's output another IO manager: Out(io_manager_key=…).",
            code=ErrorCode.UNSUPPORTED,
        )
    return "/".join(context.asset_key.path)


def _keys(context: dg.OutputContext | dg.InputContext) -> list[str] | None:
    """Give the keys as plain text; those of two dimensions come as a kind of text of Dagster's own."""
    return [str(key) for key in context.asset_partition_keys] if context.has_asset_partitions else None


def _is_new(definition: PartitionsDefinition, key: str) -> bool:
    """Answer whether a key takes in a dynamic one that the lake has not seen yet."""
    if not definition.is_dynamic:
        return False
    parts = definition.parts_of(key)
    return any(isinstance(one, Dynamic) and parts[one.dimension] not in one.known.ids for one in definition.dimensions)


def _present(lake: LakeView, name: str, keys: list[str] | None, missing: str) -> list[str] | None:
    """Leave out keys that Dagster knows and the lake has not seen yet, which are missing as unwritten ones are."""
    if keys is None:
        return None
    definition = lake.asset(name).partitions
    new = [key for key in keys if _is_new(definition, key)]
    if not new:
        return keys
    are = "is" if len(new) == 1 else "are"
    message = f"{count_of(len(new), 'partition')} of {name!r} {are} missing, and new to the lake: {list_some(new)}."
    if missing == "error":
        raise PartitionNotFoundError(message, context={"asset": name, "missing": new})
    warnings.warn(message, PartialReadWarning, stacklevel=3)
    return [key for key in keys if key not in set(new)]


def _declare(lake: LakeView, name: str, context: dg.OutputContext) -> None:
    """Declare the asset where the lake does not have it; else see that both mean the same partitions."""
    partitions_def = context.asset_partitions_def if context.has_asset_partitions else None
    given = _plain((context.definition_metadata or {}).get("partition_expr"))
    try:
        declared = lake.asset(name).partitions
    except AssetNotFoundError:
        lake.asset(name, partitions=from_dagster(partitions_def, by=given))
        return
    meant = _meant(partitions_def, given, declared)
    if _without_offset(meant.dimensions) not in (
        _without_offset(declared.dimensions),
        _without_offset(map(in_dagsters_words, declared.dimensions)),
    ):
        raise AlreadyExistsError(
            f"Asset {name!r} is cut otherwise in the lake, {declared!r}, than in Dagster, {meant!r}.",
            hint="make them agree; with declare=False only the keys need to.",
            code=ErrorCode.DEFINITION_MISMATCH,
            context={"asset": name, "declared": declared.to_dict(), "dagster": meant.to_dict()},
        )


def _meant(
    partitions_def: dg.PartitionsDefinition[Any] | None, given: Any, declared: PartitionsDefinition
) -> PartitionsDefinition:
    """Translate Dagster's definition; the columns that it does not name are those of the declaration."""
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        if given is not None and not isinstance(given, Mapping):
            return from_dagster(partitions_def, by=given)
        names = partitions_def.partition_dimension_names
        said = {one.dimension: one.by for one in declared.dimensions if one.by is not None and one.dimension in names}
        return from_dagster(partitions_def, by={**said, **(given or {})})
    if len(declared.dimensions) > 1:
        return from_dagster(partitions_def, by=given)
    only = declared.dimensions[0]
    return from_dagster(partitions_def, by=given or only.by, dimension=only.dimension)


def _without_offset(dimensions: Iterable[PartitionsDefinition]) -> list[dict[str, Any]]:
    """Leave out how many windows are expected: the lake and Dagster may differ in that."""
    return [{name: value for name, value in one.to_dict().items() if name != "end_offset"} for one in dimensions]


def _check_splittable(lake: LakeView, name: str, keys: Sequence[str] | None, obj: Any) -> None:
    if keys is None or len(keys) < 2 or isinstance(obj, Mapping):
        return
    definition = lake.asset(name).partitions
    if definition.unsaid:
        several = len(definition.dimensions) > 1
        column = {one.dimension: "column" for one in definition.unsaid} if several else "column"
        raise InvalidInputError(
            f"One frame cannot be {len(keys)} partitions of {name!r}: nothing says which row belongs to which.",
            hint=f"return {{key: frame, …}}; or name the column, metadata={ {'partition_expr': column}!r}, before the "
            "asset's first write.",
        )


def _remember_code_version(lake: LakeView, name: str, code_version: str | None) -> None:
    """Take the code version for the current one: what others made is stale from now on."""
    known = lake.asset(name)._record().producer
    if known is None and code_version is None:
        return
    if known is not None and (known.function is not None or known.code_version == code_version):
        return  # a producer that lakepart itself can call says what is current

    def made_by_dagster(part: Any, **_: Any) -> Any:  # local, so that the catalog keeps no way to call it
        raise InvalidInputError(f"{part!r} of {name!r} is made by Dagster.", hint="materialize it there.")

    lake.register(Producer(made_by_dagster, name, None, {}, code_version))


def _describe(commit: Commit, stored: Selection, lake: LakeView) -> dict[str, Any]:
    """Say what was committed; Dagster repeats it for every partition of a run, so it stays small."""
    rows: list[dict[str, Any]] = [
        {"key": version.key, "rows": version.row_count, "bytes": version.size_bytes, "files": version.file_count}
        for version in stored._resolve().versions
    ]
    if len(rows) > _MOST_PARTITIONS_SHOWN:
        rest = rows[_MOST_PARTITIONS_SHOWN - 1 :]
        sums = {fact: sum(row[fact] for row in rest) for fact in ("rows", "bytes", "files")}
        rows = [*rows[: _MOST_PARTITIONS_SHOWN - 1], {"key": f"… and {len(rest):,} more", **sums}]
    columns = [dg.TableColumn("key", "string"), *(dg.TableColumn(fact, "int") for fact in ("rows", "bytes", "files"))]
    return {
        "lakepart/snapshot": commit.snapshot,
        "lakepart/rows": commit.rows,
        "lakepart/bytes": commit.bytes,
        "lakepart/files": commit.files,
        "lakepart/partitions": dg.MetadataValue.table([dg.TableRecord(row) for row in rows], dg.TableSchema(columns)),
        **({"lakepart/branch": lake.name} if isinstance(lake, Branch) else {}),
    }


def _plain(value: Any) -> Any:
    """Unwrap a metadata value; Dagster gives some as they were written and some wrapped."""
    return value.value if isinstance(value, dg.MetadataValue) else value


def _given(ask: Callable[[], Asked]) -> Asked | None:
    """Ask a context; None from one that was built by hand without that answer."""
    try:
        return ask()
    except dg.DagsterInvariantViolationError:
        return None
