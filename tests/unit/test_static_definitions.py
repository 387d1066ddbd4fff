from __future__ import annotations

import pickle
from datetime import UTC, date, datetime

import numpy as np
import pytest

from lakepart.errors import InvalidInputError, PartitionKeyError
from lakepart.model.definitions import Static, Unpartitioned, definition_from_dict
from lakepart.model.intervals import Intervals

REGIONS = Static(["eu", "us", "asia"], by="region", dimension="region")


def test_keys_keep_the_order_they_were_given_in() -> None:
    assert [REGIONS.position_of(key) for key in ("eu", "us", "asia")] == [0, 1, 2]
    assert REGIONS.keys_at(np.array([2, 0])) == ["asia", "eu"]
    assert REGIONS.slice("us", None) == Intervals(((1, 3),))
    assert REGIONS.slice(None, "us") == Intervals(((0, 2),))
    assert REGIONS.label("us") == Intervals(((1, 2),))


def test_position_and_ordinal_are_the_index() -> None:
    assert REGIONS.ordinal_at(2) == 2 == REGIONS.position_at(2)
    assert REGIONS.ordinals_at(np.array([2, 0])).tolist() == [2, 0] == REGIONS.positions_at(np.array([2, 0])).tolist()
    assert REGIONS.key_of_ordinal(2) == "asia"
    for call in (REGIONS.key_at, REGIONS.ordinal_at, REGIONS.position_at, REGIONS.window_at):
        with pytest.raises(InvalidInputError, match="is no partition of"):
            call(3)


@pytest.mark.parametrize("definition", [REGIONS, Unpartitioned(), Static(["..", "a/b", "🙂", "x" * 300])], ids=str)
def test_a_definition_survives_every_form_it_is_kept_in(definition) -> None:
    assert eval(repr(definition)) == definition  # noqa: S307 - the promise of the repr
    assert definition_from_dict(definition.to_dict()) == definition
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert hash(pickle.loads(pickle.dumps(definition))) == hash(definition)


def test_an_unpartitioned_asset_has_the_one_key_all() -> None:
    definition = Unpartitioned()

    assert (definition.key_at(0), definition.ordinal_at(0), definition.kind) == ("all", 0, "single")
    assert definition.dimension == "partition"
    assert definition.to_dict() == {"version": 1, "kind": "unpartitioned"}
    assert definition.describe() == "unpartitioned (one partition, 'all')"


def test_there_are_no_windows_and_all_has_elapsed() -> None:
    assert REGIONS.window_at(1) is None
    assert REGIONS.elapsed(datetime(1970, 1, 1, tzinfo=UTC)) == REGIONS.universe
    with pytest.raises(InvalidInputError, match="no time zone"):
        REGIONS.elapsed(datetime(1970, 1, 1))  # noqa: DTZ001 - naive on purpose


def test_what_needs_windows_is_refused() -> None:
    at = datetime(2013, 1, 1, tzinfo=UTC)

    with pytest.raises(InvalidInputError, match=r"needs partitions with windows of time.*\['eu'\]"):
        REGIONS.starting_in(at, at)
    with pytest.raises(InvalidInputError, match=r"Instants do not say the partition \(1 given\)"):
        REGIONS.positions_of_instants(np.array([0]))
    with pytest.raises(InvalidInputError, match="Dates do not say the partition"):
        REGIONS.positions_of_dates(np.array([0]))


def test_an_unknown_key_is_met_with_close_ones() -> None:
    with pytest.raises(PartitionKeyError, match=r"'aisa' is not a key of 3 static keys by region .* mean 'asia'\?"):
        REGIONS.position_of("aisa")


def test_a_date_is_no_label_of_listed_keys() -> None:
    with pytest.raises(InvalidInputError, match=r"is a date: the labels of .* are text"):
        REGIONS.label(date(2013, 1, 1))


def test_a_reversed_slice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"'us':'eu' is reversed.*\['eu':'us'\]"):
        REGIONS.slice("us", "eu")


def test_thousands_of_keys_are_not_shown_to_whoever_reads_a_message() -> None:
    many = Static([f"key-{number}" for number in range(2_000)], by="name")

    assert len(repr(many)) < 400
    assert repr(many).endswith("'key-19', … 1,980 more], by='name')")
    assert definition_from_dict(many.to_dict()) == many


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Static([]), "at least one key"),
        (lambda: Static(["a", "b", "a"]), "more than once: 'a'"),
        (lambda: Static("eu"), r"keys are a list of texts.*Static\(\['eu'\]\)"),
        (lambda: Static(["a", ""]), "key is empty"),
        (lambda: Static([1, 2]), "is a int"),  # type: ignore[list-item]
        (lambda: Static(["a"], dimension="x=y"), "dimension"),
        (lambda: Static(["a"], by=""), "by is ''"),
    ],
)
def test_a_list_of_keys_that_makes_no_sense_is_refused(make, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"version": 2, "kind": "daily"}, "version 2 cannot be read"),
        ({}, "version None cannot be read"),
        ({"version": 1, "kind": "lunar"}, "'lunar' is no kind .* known are minutely, hourly, daily"),
        ({"version": 1, "kind": "daily"}, "daily partitions definition lacks 'start'"),
        ({"version": 1, "kind": "static", "keys": ["a"]}, "lacks 'by'"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(data, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        definition_from_dict(data)
