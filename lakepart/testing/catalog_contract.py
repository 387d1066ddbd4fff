"""What every catalog must do, as tests: subclass :class:`CatalogContract` and give it a fixture ``database``."""

# ruff: noqa: S101, S106, D102 - these are tests: they assert, their names say what is true, and tokens are no secrets

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import pytest

from lakepart.catalog import campaigns, moves, upkeep
from lakepart.catalog.committing import Publication, commit, publish
from lakepart.catalog.database import Connection, Database
from lakepart.catalog.declaring import create_branch, declare_asset, discard, refresh, register_producer
from lakepart.catalog.definitions import as_seen
from lakepart.catalog.encoding import from_json
from lakepart.catalog.forgetting import Retention, count_forgettable, forget_versions
from lakepart.catalog.intents import close_intent, expire_intents, list_intents, open_intent, open_lease, renew_intents
from lakepart.catalog.lookups import (
    find_asset,
    find_branch,
    get_asset,
    get_head,
    get_snapshot,
    list_branches,
    list_snapshots,
    snapshot_at,
    visible_snapshot,
)
from lakepart.catalog.manifests import manifest_of, mark_manifested, unmanifested
from lakepart.catalog.reading import (
    branch_changes,
    contents,
    find_files,
    find_inputs,
    find_version_columns,
    find_versions,
    find_work,
    history,
    tiers_of,
)
from lakepart.catalog.scopes import Scope
from lakepart.catalog.soundness import find_unsound
from lakepart.catalog.tags import create_tag, delete_tag, list_tags, list_unnoted, note_tag
from lakepart.errors import (
    AlreadyExistsError,
    AssetNotFoundError,
    CatalogError,
    ConflictError,
    ErrorCode,
    InvalidInputError,
    SnapshotNotFoundError,
    StateError,
)
from lakepart.model.catalog_records import CopyState, TargetOutcome
from lakepart.model.contents import EMPTY_CONTENT, content_id_of
from lakepart.model.plans import Move, MoveFile, Target
from lakepart.model.records import (
    MAIN,
    AssetGuard,
    AssetRecord,
    BackfillClaim,
    BranchRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    InputRecord,
    NewDefinition,
    NewFile,
    ProducerRecord,
    Redefinition,
    VersionRecord,
)
from lakepart.model.states import BackfillState, MoveState, TargetState

ALL = [(0, 10**6)]
DAILY: dict[str, Any] = {"version": 1, "kind": "daily"}
_numbers = count()


def new_file(digest: str, *, rows: int = 10, tier: str = "hot") -> NewFile:
    """Give a file that no other test has, holding rows known by ``digest``."""
    return NewFile(
        tier=tier,
        path=f"flights/partition=x/{next(_numbers):08d}.parquet",
        size_bytes=100 * rows,
        row_count=rows,
        row_groups=1,
        checksum=f"checksum of {digest}",
        data_digest=digest,
        statistics={"delay": [0, rows, 0]},
    )


def change(
    asset: AssetRecord, ordinal: int, *digests: str, kind: ChangeKind = ChangeKind.REPLACE, **more: Any
) -> Change:
    """Give a change of the partition with key ``k<ordinal>``."""
    files = tuple(new_file(digest) for digest in digests)
    return Change(asset.asset_id, f"k{ordinal}", ordinal, kind, files, **more)


def run(
    database: Database, *changes: Change, token: str | None = None, branch: BranchRecord = MAIN, **more: Any
) -> Commit:
    """Commit changes under the assets' present declarations; the first files bring a schema."""
    guards = []
    with database.reading() as connection:
        for asset_id in sorted({one.asset_id for one in changes}):
            asset = get_asset(connection, asset_id)
            guards.append(AssetGuard(asset_id, asset.revision, b"schema" if asset.schema_id is None else None))
    return commit(
        database,
        CommitRequest(
            token=token or f"token {next(_numbers)}",
            operation="write",
            changes=changes,
            assets=tuple(guards),
            branch_id=branch.branch_id,
            **more,
        ),
    )


def lose_answers(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    times: int,
    happened: bool,
    then: Callable[[], object] | None = None,
) -> None:
    """Lose the answers to the next commits of this catalog, which have ``happened`` or not; ``then`` comes after."""
    carry_out, begin_writing = database._commit, database.writing
    to_lose, to_do = iter(range(times)), [] if then is None else [then]
    unheard = []

    def commit_unheard(connection: Connection) -> None:
        if next(to_lose, None) is None:
            carry_out(connection)
            return
        unheard.append(connection)
        if happened:
            carry_out(connection)
        raise CatalogError("The answer was lost.", context={"outcome": "unknown"})

    def write_later(*, durable: bool = True) -> AbstractContextManager[Connection]:
        if unheard and to_do:
            to_do.pop()()
        return begin_writing(durable=durable)

    monkeypatch.setattr(database, "_commit", commit_unheard)
    monkeypatch.setattr(database, "writing", write_later)


def forget(database: Database, retention: Retention) -> int:
    """Forget old versions once every manifest is written."""
    with database.reading() as connection:
        unwritten = unmanifested(connection)
    mark_manifested(database, unwritten)
    return forget_versions(database, retention)


def redefine(
    database: Database,
    asset: AssetRecord,
    definition: dict[str, Any],
    *,
    change: Redefinition = Redefinition.ALTERED,
) -> Commit:
    """Cut an asset otherwise in a commit that changes no partition."""
    with database.reading() as connection:
        revision = get_asset(connection, asset.asset_id).revision
    guard = AssetGuard(asset.asset_id, revision, new_definition=NewDefinition(definition, {}, change))
    return commit(database, CommitRequest(f"token {next(_numbers)}", "alter", (), (guard,)))


def content_of(
    database: Database, asset: AssetRecord, *, branch: BranchRecord = MAIN, at: int | None = None, within: Any = None
) -> dict[int, str]:
    """Give the content id by ordinal."""
    with database.reading() as connection:
        return dict(contents(connection, Scope(asset.asset_id, branch, at), within or ALL))


def digests_of(
    database: Database, asset: AssetRecord, ordinal: int, branch: BranchRecord = MAIN, *, at: int | None = None
) -> list[str]:
    """Give what a reader would open, in order."""
    with database.reading() as connection:
        files = find_files(connection, Scope(asset.asset_id, branch, at), [(ordinal, ordinal)])
    return [file.checksum.removeprefix("checksum of ") for _, file in files]


class CatalogContract:
    """The promises of the catalog; a subclass gives an empty ``database`` with tiers ``hot`` and ``cold``."""

    @pytest.fixture
    def asset(self, database: Database) -> AssetRecord:
        return declare_asset(database, "flights", DAILY)

    # declarations

    def test_the_same_declaration_again_changes_nothing(self, database: Database, asset: AssetRecord) -> None:
        assert declare_asset(database, "flights", dict(DAILY)) == asset

    def test_another_declaration_of_the_same_name_is_refused(self, database: Database) -> None:
        declare_asset(database, "flights", DAILY)

        with pytest.raises(AlreadyExistsError) as caught:
            declare_asset(database, "flights", {"version": 1, "kind": "hourly"})

        assert caught.value.code is ErrorCode.DEFINITION_MISMATCH

    def test_a_producer_is_remembered_and_disturbs_no_commit(self, database: Database, asset: AssetRecord) -> None:
        producer = ProducerRecord("2", {"raw": {"asset": "raw"}}, "module:function")

        altered = register_producer(database, asset.asset_id, producer)

        assert (altered.producer, altered.revision) == (producer, asset.revision)

    def test_an_unknown_asset_is_none(self, database: Database) -> None:
        with database.reading() as connection:
            assert find_asset(connection, "nothing") is None

    # definitions

    def test_an_asset_is_seen_as_it_was_defined_then(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        redefine(database, asset, {"version": 1, "kind": "hourly"})
        run(database, change(asset, 2, "b"))

        with database.reading() as connection:
            now = get_asset(connection, asset.asset_id)
            seen = [as_seen(connection, now, MAIN, at).definition["kind"] for at in (0, 1, 2, 3, None)]

        assert seen == ["daily", "daily", "hourly", "hourly", "hourly"]

    def test_a_commit_under_an_older_definition_is_refused(self, database: Database, asset: AssetRecord) -> None:
        redefine(database, asset, {"version": 1, "kind": "hourly"})

        with pytest.raises(ConflictError) as caught:
            commit(database, CommitRequest("late", "write", (), (AssetGuard(asset.asset_id, asset.revision),)))

        assert caught.value.code is ErrorCode.ASSET_CHANGED

    def test_a_branch_made_before_the_rows_were_written_anew_stays_behind(
        self, database: Database, asset: AssetRecord
    ) -> None:
        behind = create_branch(database, "behind")
        redefine(database, asset, {"version": 1, "kind": "hourly"}, change=Redefinition.ALTERED)
        redefine(database, asset, {"version": 1, "kind": "weekly"}, change=Redefinition.REPARTITIONED)
        after = create_branch(database, "after")

        with database.reading() as connection:
            now = get_asset(connection, asset.asset_id)
            seen = [as_seen(connection, now, branch, None).definition["kind"] for branch in (behind, after)]
        with pytest.raises(StateError):
            run(database, change(asset, 1, "a"), branch=behind)

        assert seen == ["hourly", "weekly"]
        run(database, change(asset, 1, "a"), branch=after)

    def test_a_commit_that_is_refused_under_its_lock_changes_nothing(
        self, database: Database, asset: AssetRecord
    ) -> None:
        def refuse(_: object) -> None:
            raise StateError("no")

        guard = AssetGuard(asset.asset_id, asset.revision, b"schema")
        with pytest.raises(StateError, match="no"):
            commit(database, CommitRequest("t", "write", (change(asset, 1, "a"),), (guard,)), require=refuse)

        assert run(database, change(asset, 1, "a")).snapshot == 1

    def test_a_manifest_tells_how_an_asset_was_defined_then(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        redefine(database, asset, {"version": 1, "kind": "hourly"})
        redefine(database, asset, {"version": 1, "kind": "weekly"}, change=Redefinition.REPARTITIONED)

        with database.reading() as connection:
            declared = [manifest_of(connection, number)["declared"]["asset_definition"] for number in (1, 2, 3)]

        told = [
            {one["began"]: (from_json(one["definition"])["kind"], one["change"]) for one in rows} for rows in declared
        ]
        assert [rows[began] for began, rows in zip((0, 2, 3), told, strict=True)] == [
            ("daily", "declared"),
            ("hourly", "altered"),
            ("weekly", "repartitioned"),
        ]

    # commits

    def test_a_commit_makes_its_partitions_visible(self, database: Database, asset: AssetRecord) -> None:
        record = run(database, change(asset, 1, "a"), change(asset, 2, "b", "c"))

        assert (record.snapshot, record.partitions, record.rows, record.bytes, record.files) == (1, 2, 30, 3000, 3)
        assert content_of(database, asset) == {1: content_id_of(["a"]), 2: content_id_of(["b", "c"])}
        assert digests_of(database, asset, 2) == ["b", "c"]

    def test_a_replacement_without_files_is_known_to_be_empty(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1))

        assert content_of(database, asset) == {1: EMPTY_CONTENT}

    def test_equal_rows_have_equal_content_in_any_file(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        before = content_of(database, asset)

        run(database, change(asset, 1, "a"))

        assert content_of(database, asset) == before

    def test_an_append_adds_to_what_is_there(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))

        run(database, change(asset, 1, "b", kind=ChangeKind.APPEND), change(asset, 2, "c", kind=ChangeKind.APPEND))

        assert digests_of(database, asset, 1) == ["a", "b"]
        assert content_of(database, asset) == {1: content_id_of(["a", "b"]), 2: content_id_of(["c"])}
        with database.reading() as connection:
            [first, _] = find_versions(connection, Scope(asset.asset_id, MAIN), ALL)
        assert (first.row_count, first.size_bytes, first.file_count) == (20, 2000, 2)

    def test_compacting_keeps_the_content_and_what_was_appended_meanwhile(
        self, database: Database, asset: AssetRecord
    ) -> None:
        run(database, change(asset, 1, "a", "b", "c", code_version="7"))
        sources = dict.fromkeys(self._file_ids(database, asset, 1)[:2], "hot")
        [first, second] = sources
        run(database, change(asset, 1, "d", kind=ChangeKind.APPEND))
        before = self._newest(database, asset)

        merged = {first: new_file("ab", rows=20), second: None}
        run(database, change(asset, 1, kind=ChangeKind.COMPACT, rewrites=merged, sources=sources))

        after = self._newest(database, asset)
        assert digests_of(database, asset, 1) == ["ab", "c", "d"]
        assert (after.content_id, after.row_count, after.file_count) == (before.content_id, 40, 3)
        assert (after.code_version, after.written_at_us, after.began) == ("7", before.written_at_us, 3)
        assert digests_of(database, asset, 1, at=2) == ["a", "b", "c", "d"]
        with database.reading() as connection:
            assert list(find_unsound(connection)) == []

    def test_compacting_what_was_replaced_or_moved_names_the_partitions_and_changes_nothing(
        self, database: Database, asset: AssetRecord
    ) -> None:
        run(database, *(change(asset, ordinal, "a", "b") for ordinal in (1, 2, 3, 4)))
        changes = []
        for ordinal in (1, 2, 3, 4):
            sources = dict.fromkeys(self._file_ids(database, asset, ordinal), "cold" if ordinal == 2 else "hot")
            rewrites = dict.fromkeys(sources) | {min(sources): new_file("ab", rows=20)}
            changes.append(change(asset, ordinal, kind=ChangeKind.COMPACT, rewrites=rewrites, sources=sources))
        run(database, change(asset, 1, "z"), change(asset, 3, kind=ChangeKind.REMOVE), author="bob")

        with pytest.raises(ConflictError) as caught:
            run(database, *changes)

        conflicts = caught.value.context["conflicts"]
        assert caught.value.code is ErrorCode.FILES_CHANGED
        assert [(one["ordinal"], one["snapshot"], one["author"]) for one in conflicts] == [
            (1, 2, "bob"),
            (2, None, None),  # its file lies on another tier, and a move is no commit
            (3, 2, "bob"),
        ]
        assert digests_of(database, asset, 4) == ["a", "b"]
        assert run(database, changes[3]).snapshot == 3

    @staticmethod
    def _file_ids(database: Database, asset: AssetRecord, ordinal: int) -> list[int]:
        with database.reading() as connection:
            found = find_files(connection, Scope(asset.asset_id, MAIN), [(ordinal, ordinal)])
        return [file.file_id for _, file in found]

    @staticmethod
    def _newest(database: Database, asset: AssetRecord) -> VersionRecord:
        with database.reading() as connection:
            [found] = find_versions(connection, Scope(asset.asset_id, MAIN), ALL)
        return found

    def test_a_removed_partition_is_missing_and_the_past_keeps_it(self, database: Database, asset: AssetRecord) -> None:
        first = run(database, change(asset, 1, "a"))

        run(database, change(asset, 1, kind=ChangeKind.REMOVE))

        assert content_of(database, asset) == {}
        assert content_of(database, asset, at=first.snapshot) == {1: content_id_of(["a"])}

    def test_an_old_version_can_be_made_current_again(self, database: Database, asset: AssetRecord) -> None:
        first = run(database, change(asset, 1, "a", "b", code_version="1"))
        run(database, change(asset, 1, "c", code_version="2"))
        with database.reading() as connection:
            [old] = find_versions(connection, Scope(asset.asset_id, MAIN, first.snapshot), ALL)

        run(database, change(asset, 1, kind=ChangeKind.REINSTATE, source_version_id=old.version_id))

        assert digests_of(database, asset, 1) == ["a", "b"]
        with database.reading() as connection:
            [now] = find_versions(connection, Scope(asset.asset_id, MAIN), ALL)
        assert (now.code_version, now.written_at_us, now.row_count) == ("1", old.written_at_us, 20)

    def test_time_travel_sees_each_snapshot_as_it_was(self, database: Database, asset: AssetRecord) -> None:
        expected: dict[int, dict[int, str]] = {0: {}}
        for ordinal, digest in [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (2, "e")]:
            record = run(database, change(asset, ordinal, digest))
            expected[record.snapshot] = content_of(database, asset)

        for number, then in expected.items():
            assert content_of(database, asset, at=number) == then

    def test_the_same_token_commits_once(self, database: Database, asset: AssetRecord) -> None:
        first = run(database, change(asset, 1, "a"), token="once")

        again = run(database, change(asset, 1, "a"), token="once")

        assert again == first
        with database.reading() as connection:
            assert get_head(connection).snapshot == 1

    def test_snapshots_are_gapless_and_their_times_rise(self, database: Database, asset: AssetRecord) -> None:
        records = [run(database, change(asset, 1, digest)) for digest in "abc"]
        with pytest.raises(ConflictError):
            run(database, change(asset, 1, "d", expected=None))
        records.append(run(database, change(asset, 1, "e")))

        assert [record.snapshot for record in records] == [1, 2, 3, 4]
        assert len({record.at_us for record in records}) == 4
        with database.reading() as connection:
            assert snapshot_at(connection, records[2].at_us).snapshot == 3
            assert snapshot_at(connection, records[2].at_us - 1).snapshot == 2

    def test_lineage_is_kept_by_an_append_that_brings_none(self, database: Database, asset: AssetRecord) -> None:
        read = InputRecord("raw", "flights", {"kind": "identity"}, "k1", 1, "digest")
        run(database, change(asset, 1, "a", inputs=(read,), code_version="1"))

        run(database, change(asset, 1, "b", kind=ChangeKind.APPEND))

        with database.reading() as connection:
            assert find_inputs(connection, Scope(asset.asset_id, MAIN), ALL) == [(1, read)]

    def test_an_unknown_input_is_refused_with_close_names(self, database: Database, asset: AssetRecord) -> None:
        read = InputRecord("raw", "flihgts", {}, "k1", 1, "digest")

        with pytest.raises(AssetNotFoundError, match="'flights'"):
            run(database, change(asset, 1, "a", inputs=(read,)))

    def test_a_partition_changed_twice_in_one_commit_is_refused(self, database: Database, asset: AssetRecord) -> None:
        with pytest.raises(InvalidInputError, match="twice"):
            run(database, change(asset, 1, "a"), change(asset, 1, "b"))

    # guards

    @pytest.mark.parametrize("present", [None, "a"])
    def test_a_guard_that_does_not_hold_names_the_winner(
        self, database: Database, asset: AssetRecord, present: str | None
    ) -> None:
        if present:
            run(database, change(asset, 1, present), author="ann")
        based_on = None if present else "other content"

        with pytest.raises(ConflictError) as caught:
            run(database, change(asset, 2, "x"), change(asset, 1, "b", expected=based_on))

        [conflict] = caught.value.context["conflicts"]
        assert (conflict["asset"], conflict["key"]) == ("flights", "k1")
        assert (conflict["snapshot"], conflict["author"]) == ((1, "ann") if present else (None, None))
        assert 2 not in content_of(database, asset)

    def test_a_guard_that_holds_lets_the_commit_through(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a", expected=None))

        run(database, change(asset, 1, "b", expected=content_id_of(["a"])))

        assert digests_of(database, asset, 1) == ["b"]

    def test_a_removal_conflicts_with_what_built_on_the_content(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        run(database, change(asset, 1, kind=ChangeKind.REMOVE), author="bob")

        with pytest.raises(ConflictError) as caught:
            run(database, change(asset, 1, "b", expected=content_id_of(["a"])))

        assert caught.value.context["conflicts"][0]["author"] == "bob"

    def test_a_commit_under_an_old_declaration_is_refused(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))

        with pytest.raises(ConflictError) as caught:
            commit(
                database,
                CommitRequest("t", "write", (change(asset, 2, "b"),), (AssetGuard(asset.asset_id, asset.revision),)),
            )

        assert caught.value.code is ErrorCode.ASSET_CHANGED

    @pytest.mark.parametrize("lost", [1, 2])
    @pytest.mark.parametrize("happened", [True, False], ids=["happened", "did-not-happen"])
    def test_a_commit_whose_answer_was_lost_happens_once(
        self, database: Database, asset: AssetRecord, monkeypatch: pytest.MonkeyPatch, lost: int, happened: bool
    ) -> None:
        lose_answers(database, monkeypatch, times=lost, happened=happened)

        record = run(database, change(asset, 1, "a"), token="t")

        assert record.snapshot == 1
        assert content_of(database, asset) == {1: content_id_of(["a"])}
        with database.reading() as connection:
            assert [one.snapshot for one in list_snapshots(connection)] == [1, 0]
        assert run(database, change(asset, 1, "b"), token="t") == record

    def test_a_commit_that_lands_after_its_answer_was_lost_is_found_by_its_token(
        self, database: Database, asset: AssetRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = CommitRequest("t", "write", (change(asset, 1, "a"),), (AssetGuard(asset.asset_id, 1, b"schema"),))
        landed = []
        lose_answers(
            database, monkeypatch, times=1, happened=False, then=lambda: landed.append(commit(database, request))
        )

        record = commit(database, request)

        assert [record] == landed
        with database.reading() as connection:
            assert [one.snapshot for one in list_snapshots(connection)] == [1, 0]

    def test_a_commit_whose_outcome_cannot_be_learned_is_an_error_that_changed_nothing(
        self, database: Database, asset: AssetRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_answers(database, monkeypatch, times=3, happened=False)

        with pytest.raises(CatalogError, match="lost"):
            run(database, change(asset, 1, "a"), token="t")

        assert content_of(database, asset) == {}

    def test_a_commit_whose_intent_is_gone_is_refused(self, database: Database, asset: AssetRecord) -> None:
        open_intent(database, "abc", "backfill")
        run(database, change(asset, 1, "a"), intent_id="abc", keeps_intent=True)
        assert expire_intents(database, database.now_us() + 1) == ["abc"]

        with pytest.raises(StateError) as caught:
            run(database, change(asset, 2, "b"), intent_id="abc")

        assert caught.value.code is ErrorCode.INTENT_EXPIRED
        assert renew_intents(database, ["abc"]) == {"abc"}

    def test_a_commit_ends_its_intent_and_a_refused_one_does_not(self, database: Database, asset: AssetRecord) -> None:
        open_intent(database, "abc", "write")
        with pytest.raises(ConflictError):
            run(database, change(asset, 1, "a", expected="other"), intent_id="abc")
        assert renew_intents(database, ["abc"]) == set()

        run(database, change(asset, 1, "a"), intent_id="abc")

        assert close_intent(database, "abc") is False

    def test_a_closed_intent_is_listed_no_more(self, database: Database) -> None:
        open_intent(database, "abc", "write")
        open_intent(database, "def", "move")

        close_intent(database, "abc")

        with database.reading() as connection:
            assert [intent.intent_id for intent in list_intents(connection)] == ["def"]

    # ranges and forms of reading

    def test_any_number_of_ranges_is_one_question(self, database: Database, asset: AssetRecord) -> None:
        run(database, *(change(asset, ordinal, "a") for ordinal in range(0, 300, 3)))
        ranges = [(ordinal, ordinal + 1) for ordinal in range(0, 10_000, 6)]

        found = content_of(database, asset, within=ranges)

        assert list(found) == list(range(0, 300, 6))
        assert content_of(database, asset, within=[(400, 500)]) == {}
        with database.reading() as connection:
            assert find_versions(connection, Scope(asset.asset_id, MAIN), []) == []

    def test_columns_are_the_records_turned_on_their_side(self, database: Database, asset: AssetRecord) -> None:
        run(database, *(change(asset, ordinal, "a") for ordinal in range(3)))
        scope = Scope(asset.asset_id, MAIN)

        with database.reading() as connection:
            columns = find_version_columns(connection, scope, ALL, ("ordinal", "key", "row_count"))
            nothing = find_version_columns(connection, scope, [(7, 9)], ("key",))

        assert columns == {"ordinal": [0, 1, 2], "key": ["k0", "k1", "k2"], "row_count": [10, 10, 10]}
        assert nothing == {"key": []}

    def test_history_is_every_version_newest_first(self, database: Database, asset: AssetRecord) -> None:
        for digest in "abc":
            run(database, change(asset, 1, digest), author=digest)

        with database.reading() as connection:
            told = history(connection, asset.asset_id, [(1, 1)], MAIN)

        assert [(version.began, version.ended, snapshot.author) for version, snapshot in told] == [
            (3, None, "c"),
            (2, 3, "b"),
            (1, 2, "a"),
        ]

    # branches

    def test_a_branch_falls_through_to_main_as_of_its_fork(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"), change(asset, 3, "c"))
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "main moved on"))

        run(database, change(asset, 2, "ours"), change(asset, 3, kind=ChangeKind.REMOVE), branch=branch)

        assert content_of(database, asset, branch=branch) == {1: content_id_of(["a"]), 2: content_id_of(["ours"])}
        assert digests_of(database, asset, 1, branch) == ["a"]
        assert set(content_of(database, asset)) == {1, 2, 3}

    def test_an_append_on_a_branch_adds_to_what_the_branch_shows(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        branch = create_branch(database, "try")

        run(database, change(asset, 1, "b", kind=ChangeKind.APPEND), branch=branch)
        run(database, change(asset, 1, "c", kind=ChangeKind.APPEND), branch=branch)

        assert digests_of(database, asset, 1, branch) == ["a", "b", "c"]
        assert digests_of(database, asset, 1) == ["a"]

    def test_publishing_makes_a_branch_mains_content_at_once(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"), change(asset, 3, "c"))
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "x"), change(asset, 4, "y"), branch=branch)
        run(database, change(asset, 1, "z"), change(asset, 2, kind=ChangeKind.REMOVE), branch=branch)

        record = publish(database, branch.branch_id, token="publish", author="ann")

        assert content_of(database, asset) == {
            1: content_id_of(["z"]),
            3: content_id_of(["c"]),
            4: content_id_of(["y"]),
        }
        assert publish(database, branch.branch_id, token="publish") == record
        with database.reading() as connection:
            assert find_branch(connection, "try") == BranchRecord(branch.branch_id, "try", branch.fork, "published")

    def test_publishing_over_newer_content_names_every_partition(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"))
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "x"), change(asset, 2, "y"), change(asset, 3, "z"), branch=branch)
        run(database, change(asset, 1, "newer"), change(asset, 3, "newer"), author="bob")

        with pytest.raises(ConflictError) as caught:
            publish(database, branch.branch_id, token="publish")

        assert [conflict["key"] for conflict in caught.value.context["conflicts"]] == ["k1", "k3"]
        assert {conflict["author"] for conflict in caught.value.context["conflicts"]} == {"bob"}
        with database.reading() as connection:
            assert find_branch(connection, "try") == branch
            assert len(branch_changes(connection, branch.branch_id)) == 3

    def test_a_publication_may_leave_versions_on_the_open_branch(self, database: Database, asset: AssetRecord) -> None:
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "x"), change(asset, 2, "y"), branch=branch)
        run(database, change(asset, 2, "newer"), change(asset, 3, "newer"))
        with database.reading() as connection:
            one, two = (version.version_id for version, _ in branch_changes(connection, branch.branch_id))

        record = publish(
            database, branch.branch_id, token="publish", choice=Publication({one: None}, frozenset({two}), True)
        )

        newer = content_id_of(["newer"])
        assert content_of(database, asset) == {1: content_id_of(["x"]), 2: newer, 3: newer}
        with database.reading() as connection:
            moved = find_branch(connection, "try")
            assert moved == BranchRecord(branch.branch_id, "try", record.snapshot)
            assert [version.version_id for version, _ in branch_changes(connection, branch.branch_id)] == [two]
        assert content_of(database, asset, branch=moved) == {1: content_id_of(["x"]), 2: content_id_of(["y"]), 3: newer}
        with pytest.raises(ConflictError, match="written to after"):
            publish(database, branch.branch_id, token="again", choice=Publication({one: None}, frozenset(), False))

    def test_a_refreshed_branch_falls_through_to_mains_present(self, database: Database, asset: AssetRecord) -> None:
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "x"), branch=branch)
        run(database, change(asset, 2, "newer"))

        moved = refresh(database, branch.branch_id, require=lambda *_: None)

        assert content_of(database, asset, branch=moved) == {1: content_id_of(["x"]), 2: content_id_of(["newer"])}
        discard(database, branch.branch_id)
        with pytest.raises(StateError, match="discarded"):
            refresh(database, branch.branch_id, require=lambda *_: None)

    def test_a_discarded_branch_takes_no_more_commits(self, database: Database, asset: AssetRecord) -> None:
        branch = create_branch(database, "try")

        discard(database, branch.branch_id)

        with pytest.raises(StateError, match="discarded"):
            run(database, change(asset, 1, "a"), branch=branch)
        with pytest.raises(StateError, match="discarded"):
            publish(database, branch.branch_id, token="publish")
        with database.reading() as connection:
            assert [one.name for one in list_branches(connection)] == ["main"]

    def test_a_tag_keeps_what_its_snapshot_shows_and_nothing_else(self, database: Database, asset: AssetRecord) -> None:
        for token in ("a", "b", "c"):
            run(database, change(asset, 1, token))
        later = run(database, change(asset, 1, "d")).at_us + 1
        made = create_tag(database, "kept", snapshot=2)

        assert forget(database, Retention(later)) == 2

        assert content_of(database, asset, at=2) == {1: content_id_of(["b"])}
        with database.reading() as connection:
            assert visible_snapshot(connection, MAIN, number=2).snapshot == 2
            with pytest.raises(SnapshotNotFoundError, match="vacuum has forgotten"):
                visible_snapshot(connection, MAIN, number=1)
            assert list_tags(connection) == [made]
        delete_tag(database, "kept")
        assert forget(database, Retention(later)) == 1

    def test_a_tag_is_noted_once_and_forgotten_once(self, database: Database) -> None:
        made = create_tag(database, "x")
        assert create_tag(database, "x") == made
        with database.reading() as connection:
            assert list_unnoted(connection) == [(made, False)]
        assert note_tag(database, made.tag_id, deleted=False)
        delete_tag(database, "x")
        assert not note_tag(database, made.tag_id, deleted=False)
        again = create_tag(database, "x")
        with database.reading() as connection:
            assert list_unnoted(connection) == [(made, True), (again, False)]
        note_tag(database, made.tag_id, deleted=True)
        with database.reading() as connection:
            assert list_unnoted(connection) == [(again, False)]

    def test_two_open_branches_never_share_a_name(self, database: Database) -> None:
        create_branch(database, "try")

        for name in ("try", "main"):
            with pytest.raises(AlreadyExistsError):
                create_branch(database, name)

    def test_a_branch_sees_its_snapshots_and_mains_to_the_fork(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "b"))
        mine = run(database, change(asset, 1, "c"), branch=branch)

        with database.reading() as connection:
            assert visible_snapshot(connection, branch, number=1).snapshot == 1
            assert visible_snapshot(connection, branch, number=mine.snapshot).branch_id == branch.branch_id
            assert [one.snapshot for one in list_snapshots(connection, branch=branch)] == [3, 1, 0]
            with pytest.raises(SnapshotNotFoundError, match="made on branch 'main'"):
                visible_snapshot(connection, branch, number=2)
            with pytest.raises(SnapshotNotFoundError, match="made on branch 'try'"):
                visible_snapshot(connection, MAIN, number=mine.snapshot)
            with pytest.raises(SnapshotNotFoundError, match="newest is 3"):
                visible_snapshot(connection, MAIN, number=9)

    # manifests

    def test_each_commit_asks_for_its_manifest_once(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        run(database, change(asset, 1, "b"))
        with database.reading() as connection:
            assert unmanifested(connection) == [1, 2]

        mark_manifested(database, [1])

        with database.reading() as connection:
            assert unmanifested(connection) == [2]

    def test_a_manifest_is_the_same_after_later_commits_and_moves(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"))
        run(database, change(asset, 1, "c", kind=ChangeKind.APPEND))
        with database.reading() as connection:
            before = [manifest_of(connection, number) for number in (1, 2)]

        move = self._move(database, asset, 2)
        moves.swap(database, [move])
        run(database, change(asset, 2, "d"))

        with database.reading() as connection:
            assert [manifest_of(connection, number) for number in (1, 2)] == before
        assert [len(manifest["files"]) for manifest in before] == [2, 1]
        assert [len(version["files"]) for version in before[1]["versions"]] == [2]
        assert before[1]["ended"] == [before[0]["versions"][0]["version_id"]]

    # backfills

    def _backfill(self, database: Database, asset: AssetRecord, ordinals: Sequence[int]) -> Any:
        targets = [Target(f"k{ordinal}", ordinal, ordinal // 2, "missing", None) for ordinal in ordinals]
        return campaigns.open_backfill(
            database, "fix", asset_id=asset.asset_id, branch=0, plan={"batch": 2}, targets=targets, driver="us"
        )

    def test_a_backfill_counts_attempts_and_remembers_errors(self, database: Database, asset: AssetRecord) -> None:
        backfill = self._backfill(database, asset, range(4))

        assert campaigns.start_attempts(database, backfill.backfill_id, 1, [0, 1]) == {0: 1, 1: 1}
        campaigns.finish_targets(
            database,
            backfill.backfill_id,
            1,
            [
                TargetOutcome(0, TargetState.DONE),
                TargetOutcome(1, TargetState.WAITING, "ValueError", "no"),
                TargetOutcome(2, TargetState.FAILED, "KeyError", "gone"),
                TargetOutcome(3, TargetState.DONE),
            ],
        )
        assert campaigns.start_attempts(database, backfill.backfill_id, 1, [0]) == {0: 2}

        with database.reading() as connection:
            targets = campaigns.list_targets(connection, backfill.backfill_id)
            attempts = campaigns.list_attempts(connection, backfill.backfill_id)
            work = find_work(connection, asset.asset_id, 0, ALL)
            assert campaigns.count_targets(connection, backfill.backfill_id) == {
                TargetState.DONE: 2,
                TargetState.RUNNING: 1,
                TargetState.FAILED: 1,
            }
        assert [(one.ordinal, one.state, one.attempts, one.error_message) for one in targets] == [
            (0, TargetState.DONE, 2, None),
            (1, TargetState.RUNNING, 2, None),
            (2, TargetState.FAILED, 1, "gone"),
            (3, TargetState.DONE, 1, None),
        ]
        assert [(one.order_number, one.number, one.state, one.error_type) for one in attempts] == [
            (0, 1, TargetState.FAILED, "ValueError"),
            (0, 2, TargetState.RUNNING, None),
            (1, 1, TargetState.FAILED, "KeyError"),
        ]
        assert [(one.ordinal, one.state, one.error, one.backfill) for one in work] == [
            (1, TargetState.RUNNING, None, "fix"),
            (2, TargetState.FAILED, "KeyError: gone", "fix"),
        ]

    def test_a_commit_of_a_superseded_driver_is_refused(self, database: Database, asset: AssetRecord) -> None:
        backfill = self._backfill(database, asset, [0])
        campaigns.start_attempts(database, backfill.backfill_id, 1, [0])
        assert campaigns.take_over(database, backfill.backfill_id, 1, driver="them") == 2

        with pytest.raises(StateError, match="taken over"):
            run(database, change(asset, 0, "a"), backfill=BackfillClaim(backfill.backfill_id, 1, (0,)))
        with pytest.raises(StateError, match="taken over"):
            campaigns.heartbeat(database, backfill.backfill_id, 1)
        with pytest.raises(StateError, match="taken over"):
            campaigns.take_over(database, backfill.backfill_id, 1, driver="them")

        assert content_of(database, asset) == {}

    def test_a_commit_finishes_its_targets_and_a_second_attempt_is_too_late(
        self, database: Database, asset: AssetRecord
    ) -> None:
        backfill = self._backfill(database, asset, [0])
        campaigns.start_attempts(database, backfill.backfill_id, 1, [0])
        claim = BackfillClaim(backfill.backfill_id, 1, (0,))
        run(database, change(asset, 0, "a"), backfill=claim)

        with pytest.raises(StateError, match="too late"):
            run(database, change(asset, 0, "b"), backfill=claim)

        assert digests_of(database, asset, 0) == ["a"]
        with database.reading() as connection:
            assert campaigns.count_targets(connection, backfill.backfill_id) == {TargetState.DONE: 1}

    def test_cancelling_stops_orders_and_resuming_starts_them(self, database: Database, asset: AssetRecord) -> None:
        backfill = self._backfill(database, asset, [0, 2])
        campaigns.start_attempts(database, backfill.backfill_id, 1, [0])

        assert campaigns.request_cancel(database, backfill.backfill_id) is BackfillState.CANCELLING
        assert campaigns.heartbeat(database, backfill.backfill_id, 1) is BackfillState.CANCELLING
        with pytest.raises(StateError, match="no more orders"):
            campaigns.start_attempts(database, backfill.backfill_id, 1, [1])
        campaigns.set_state(database, backfill.backfill_id, 1, BackfillState.CANCELLED)
        with pytest.raises(StateError, match="no more results"):
            run(database, change(asset, 0, "a"), backfill=BackfillClaim(backfill.backfill_id, 1, (0,)))
        epoch = campaigns.take_over(database, backfill.backfill_id, 1, driver="them")

        assert campaigns.start_attempts(database, backfill.backfill_id, epoch, [0, 1]) == {0: 2, 1: 1}

    # moves

    def _planned(self, database: Database, asset: AssetRecord, ordinal: int, to_tier: str = "cold") -> Move:
        with database.reading() as connection:
            files = find_files(connection, Scope(asset.asset_id, MAIN), [(ordinal, ordinal)])
        listed = tuple(MoveFile(one.file_id, one.tier, one.path, one.size_bytes, one.checksum) for _, one in files)
        return Move(asset.asset_id, "flights", f"k{ordinal}", ordinal, to_tier, listed)

    def _move(self, database: Database, asset: AssetRecord, ordinal: int, to_tier: str = "cold") -> Any:
        planned = self._planned(database, asset, ordinal, to_tier)
        [move] = moves.claim(database, [planned], holder="us", lease_us=10)
        moves.advance(database, [move], MoveState.COPYING)
        [verified] = moves.advance(database, [move], MoveState.VERIFIED)
        return verified

    def test_a_swap_makes_readers_open_the_new_copies(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a", "b"), change(asset, 2, "c"))
        before = content_of(database, asset)
        move = self._move(database, asset, 1)

        [over] = moves.swap(database, [move])

        assert over.state is MoveState.SWAPPED

        with database.reading() as connection:
            scope = Scope(asset.asset_id, MAIN)
            assert tiers_of(connection, scope, ALL) == ([1, 1, 2], ["cold", "cold", "hot"])
            assert {file.tier for _, file in find_files(connection, scope, [(1, 1)])} == {"cold"}
            assert {(one.tier, one.state) for one in upkeep.iter_copies(database) if one.row_count == 10} >= {
                ("hot", CopyState.RETIRED),
                ("cold", CopyState.LIVE),
            }
        assert content_of(database, asset) == before

    def test_a_partition_rewritten_meanwhile_aborts_its_move(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        move = self._move(database, asset, 1)
        run(database, change(asset, 1, "b"))

        [over] = moves.swap(database, [move])

        assert (over.state, over.outcome) == (MoveState.ABORTED, moves.REPLACED)
        with database.reading() as connection:
            assert tiers_of(connection, Scope(asset.asset_id, MAIN), ALL) == ([1], ["hot"])
            assert moves.open_moves(connection) == []

    def test_each_move_of_a_group_keeps_its_own_outcome(self, database: Database, asset: AssetRecord) -> None:
        run(database, *(change(asset, ordinal, f"old {ordinal}") for ordinal in (1, 2, 3)))
        group = [self._move(database, asset, ordinal) for ordinal in (3, 2, 1)]
        run(database, change(asset, 2, "new"))

        over = moves.swap(database, group)

        assert [(one.ordinal, one.state) for one in over] == [
            (3, MoveState.SWAPPED),
            (2, MoveState.ABORTED),
            (1, MoveState.SWAPPED),
        ]
        with database.reading() as connection:
            files = find_files(connection, Scope(asset.asset_id, MAIN), ALL)
            assert {one.ordinal for one in moves.open_moves(connection)} == {1, 3}
        assert [(ordinal, file.tier) for ordinal, file in files] == [(1, "cold"), (2, "hot"), (3, "cold")]

    def test_a_group_takes_no_step_when_one_of_it_was_taken_over(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"))
        group = [self._move(database, asset, ordinal) for ordinal in (1, 2)]
        moves.take_over(database, group[1].move_id, holder="them", lease_us=0, instead_of="us")

        with pytest.raises(StateError, match="'k2' was taken over by them"):
            moves.swap(database, group)

        with database.reading() as connection:
            assert [one.state for one in moves.open_moves(connection)] == [MoveState.VERIFIED] * 2
            files = find_files(connection, Scope(asset.asset_id, MAIN), ALL)
        assert {file.tier for _, file in files} == {"hot"}

    def test_a_partition_is_not_claimed_twice_in_one_group(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        planned = self._planned(database, asset, 1)

        with pytest.raises(StateError, match="moved twice"):
            moves.claim(database, [planned, planned], holder="us", lease_us=0)

        with database.reading() as connection:
            assert moves.open_moves(connection) == []

    def test_an_append_meanwhile_does_not_stop_a_move(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        move = self._move(database, asset, 1)
        run(database, change(asset, 1, "b", kind=ChangeKind.APPEND))

        [over] = moves.swap(database, [move])

        assert over.state is MoveState.SWAPPED

        with database.reading() as connection:
            ordinals, names = tiers_of(connection, Scope(asset.asset_id, MAIN), ALL)
        assert (ordinals, sorted(names)) == ([1, 1], ["cold", "hot"])
        assert digests_of(database, asset, 1) == ["a", "b"]

    def test_a_partition_is_moved_by_one_at_a_time(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "b"))
        held = self._move(database, asset, 1)

        planned = [self._planned(database, asset, 2), self._planned(database, asset, 1)]
        with pytest.raises(StateError, match="by us"):
            moves.claim(database, planned, holder="them", lease_us=0)

        with database.reading() as connection:
            assert moves.open_moves(connection) == [held]

    def test_a_move_is_taken_over_when_its_lease_has_run_out(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        planned = self._planned(database, asset, 1)
        [move] = moves.claim(database, [planned], holder="us", lease_us=10**9)
        with pytest.raises(StateError, match="by us"):
            moves.take_over(database, move.move_id, holder="them", lease_us=0)
        moves.renew(database, [move], lease_us=-1)

        taken = moves.take_over(database, move.move_id, holder="them", lease_us=0)

        assert taken.fence == move.fence + 1
        with pytest.raises(StateError, match="taken over by them"):
            moves.advance(database, [move], MoveState.COPYING)
        with pytest.raises(StateError, match="cannot become verified"):
            moves.advance(database, [taken], MoveState.VERIFIED)

    def test_a_partition_can_be_moved_there_and_back(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        for to_tier in ("cold", "hot", "cold"):
            move = self._move(database, asset, 1, to_tier)
            moves.swap(database, [move])
            moves.advance(database, [move], MoveState.DONE)

        with database.reading() as connection:
            assert tiers_of(connection, Scope(asset.asset_id, MAIN), ALL) == ([1], ["cold"])
            assert [one.state for one in upkeep.iter_copies(database)] == [CopyState.LIVE, CopyState.RETIRED]

    # upkeep

    def test_forgetting_keeps_the_present_and_what_branches_show(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"), change(asset, 2, "old"))
        run(database, change(asset, 1, "b"))
        branch = create_branch(database, "try")
        last = run(database, change(asset, 1, "c"))

        assert forget(database, Retention(last.at_us + 1)) == 1

        assert content_of(database, asset, branch=branch)[1] == content_id_of(["b"])
        assert content_of(database, asset) == {1: content_id_of(["c"]), 2: content_id_of(["old"])}
        with database.reading() as connection:
            assert visible_snapshot(connection, MAIN, number=2).snapshot == 2
            with pytest.raises(SnapshotNotFoundError, match="vacuum"):
                visible_snapshot(connection, MAIN, number=1)
            assert count_forgettable(connection, Retention(last.at_us + 1)) == {}

    def test_a_version_ended_after_the_limit_is_kept(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        second = run(database, change(asset, 1, "b"))

        assert forget(database, Retention(second.at_us)) == 0

        assert content_of(database, asset, at=1) == {1: content_id_of(["a"])}

    def test_each_asset_forgets_by_its_own_limit(self, database: Database) -> None:
        assets = [declare_asset(database, name, {"kind": "daily"}) for name in ("short", "long", "other")]
        for token in ("a", "b", "c"):
            for one in assets:
                last = run(database, change(one, 1, f"{one.name} {token}"))
        short, long, _ = (one.asset_id for one in assets)
        with database.reading() as connection:
            second = {one.asset_id: get_snapshot(connection, 4 + at).at_us for at, one in enumerate(assets)}
            retention = Retention(0, {short: last.at_us + 1, long: second[long] + 1})

            assert count_forgettable(connection, retention) == {"long": 1, "short": 2}

        assert forget(database, retention) == 3
        with database.reading() as connection:
            assert {one.name: get_asset(connection, one.asset_id).horizon for one in assets} == {
                "short": 7,
                "long": 5,
                "other": 0,
            }

    def test_what_a_closed_branch_held_is_kept_for_who_began_before(
        self, database: Database, asset: AssetRecord
    ) -> None:
        branch = create_branch(database, "try")
        run(database, change(asset, 1, "a"), branch=branch)
        open_lease(database, "reader", "backfill")
        run(database, change(asset, 1, "b"), branch=branch)
        discard(database, branch.branch_id)
        later = run(database, change(asset, 2, "c")).at_us + 1

        assert forget(database, Retention(later)) == 0

        close_intent(database, "reader")
        open_lease(database, "another", "backfill")  # nobody can read a closed branch from now on
        assert forget(database, Retention(later)) == 2

    def test_what_an_unwritten_manifest_has_to_say_is_kept(self, database: Database, asset: AssetRecord) -> None:
        first, second, last = (run(database, change(asset, 1, digest)) for digest in ("a", "b", "c"))
        mark_manifested(database, [first.snapshot, second.snapshot])
        retention = Retention(last.at_us + 1)

        assert forget_versions(database, retention) == 1

        assert content_of(database, asset, at=2) == {1: content_id_of(["b"])}
        assert forget(database, retention) == 1

    def test_a_forgotten_version_cannot_be_made_current_again(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        with database.reading() as connection:
            [old] = find_versions(connection, Scope(asset.asset_id, MAIN), ALL)
        last = run(database, change(asset, 1, "b"))
        forget(database, Retention(last.at_us + 1))

        with pytest.raises(StateError, match="forgotten"):
            run(database, change(asset, 1, kind=ChangeKind.REINSTATE, source_version_id=old.version_id))

    def test_only_files_that_nothing_refers_to_are_deletable(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        run(database, change(asset, 1, "b", kind=ChangeKind.APPEND))
        last = run(database, change(asset, 1, "c"))
        far = last.at_us + 10**12
        with database.reading() as connection:
            assert upkeep.list_deletable(connection, far) == []

        forget(database, Retention(last.at_us + 1))

        with database.reading() as connection:
            found = upkeep.list_deletable(connection, far)
            assert upkeep.list_deletable(connection, 0) == []
        assert [one.checksum for one in found] == ["checksum of a", "checksum of b"]
        granted = upkeep.begin_deletion(database, found, retired_before_us=far)
        upkeep.delete_copies(database, granted)
        with database.reading() as connection:
            assert [one.checksum for one in upkeep.iter_copies(database)] == ["checksum of c"]

    def test_a_deletion_cut_short_is_offered_again(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        last = run(database, change(asset, 1, "b"))
        forget(database, Retention(last.at_us + 1))
        with database.reading() as connection:
            found = upkeep.list_deletable(connection, database.now_us() + 10**12)
        upkeep.begin_deletion(database, found, retired_before_us=database.now_us() + 10**12)

        with database.reading() as connection:
            assert upkeep.list_deletable(connection, database.now_us()) == []  # whoever has begun may still be at it
            again = upkeep.list_deletable(connection, database.now_us() + 10**12)

        assert [(one.checksum, one.state) for one in again] == [("checksum of a", CopyState.DELETING)]

    def test_vacuum_and_a_move_back_never_meet_on_one_copy(self, database: Database, asset: AssetRecord) -> None:
        run(database, change(asset, 1, "a"))
        move = self._move(database, asset, 1)
        moves.swap(database, [move])
        moves.advance(database, [move], MoveState.DONE)
        far = database.now_us() + 10**12
        with database.reading() as connection:
            [retired] = upkeep.list_deletable(connection, far)
        back = self._move(database, asset, 1, "hot")

        assert upkeep.begin_deletion(database, [retired], retired_before_us=far) == []
        moves.advance(database, [back], MoveState.ABORTED, outcome="test")
        assert upkeep.begin_deletion(database, [retired], retired_before_us=far) == [retired]
        with pytest.raises(StateError, match="Vacuum is deleting"):
            moves.claim(database, [self._planned(database, asset, 1, "hot")], holder="us", lease_us=0)
