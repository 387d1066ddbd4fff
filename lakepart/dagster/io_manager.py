"""An IO manager that keeps Dagster's assets in a lake."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg
from pydantic import PrivateAttr  # Dagster's own dependency: its configurable classes are pydantic models

from lakepart.branch import Branch
from lakepart.dagster.partitions import from_dagster
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
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
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
                    PartitionSet.everything(definition) if keys is None else PartitionSet.from_keys(definition, keys)
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
        definition and the column named in its metadata, ``{"partition_expr": "time_hour"}``. With False it must be
        there, and only the keys need to be the same.
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
        keys = context.asset_partition_keys if context.has_asset_partitions else None
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
        keys = context.asset_partition_keys if context.has_asset_partitions else None
        metadata = context.definition_metadata or {}
        missing = "skip" if _plain(metadata.get("allow_missing_partitions")) else "error"
        as_type = _given(lambda: context.dagster_type.typing_type)
        try:
            selection = IOManager(self._run.readable(self.url, self.catalog)).select(name, keys)
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


def _declare(lake: LakeView, name: str, context: dg.OutputContext) -> None:
    """Declare the asset where the lake does not have it; else see that both mean the same partitions."""
    partitions_def = context.asset_partitions_def if context.has_asset_partitions else None
    column = _plain((context.definition_metadata or {}).get("partition_expr"))
    try:
        declared = lake.asset(name).partitions
        first = declared.dimensions[0]
    except AssetNotFoundError:
        lake.asset(name, partitions=from_dagster(partitions_def, by=column))
        return
    meant = from_dagster(partitions_def, by=column or first.by, dimension=first.dimension)
    if _without_offset(meant) != _without_offset(declared):
        raise AlreadyExistsError(
            f"Asset {name!r} is cut otherwise in the lake, {declared!r}, than in Dagster, {meant!r}.",
            hint="make them agree; with declare=False only the keys need to.",
            code=ErrorCode.DEFINITION_MISMATCH,
            context={"asset": name, "declared": declared.to_dict(), "dagster": meant.to_dict()},
        )


def _without_offset(definition: PartitionsDefinition) -> dict[str, Any]:
    """Leave out how many windows are expected: the lake and Dagster may differ in that."""
    return {name: value for name, value in definition.to_dict().items() if name != "end_offset"}


def _check_splittable(lake: LakeView, name: str, keys: Sequence[str] | None, obj: Any) -> None:
    several = keys is not None and len(keys) > 1
    if several and not isinstance(obj, Mapping) and lake.asset(name).partitions.unsaid:
        raise InvalidInputError(
            f"One frame cannot be {len(keys or ())} partitions of {name!r}: nothing says which row belongs to which.",
            hint='return {key: frame, …}; or name the column, metadata={"partition_expr": "column"}, before the '
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
