"""Tiering policies: rules, durations, and the file they come from."""

from __future__ import annotations

from datetime import timedelta

import pytest

import lakepart as lp
from lakepart.model.policies import parse_duration

RULES = """
[[rule]]
assets = "sales/*"
older_than = "12h"
to = "cool"

[[rule]]
older_than = "4w"
to = "cold"
"""


def read(tmp_path, text: str) -> lp.TieringPolicy:
    path = tmp_path / "tiering.toml"
    path.write_text(text, encoding="utf-8")
    return lp.TieringPolicy.from_toml(path)


def test_a_file_gives_the_rules_in_its_order(tmp_path) -> None:
    assert read(tmp_path, RULES) == lp.TieringPolicy(
        lp.AgeRule("cool", timedelta(hours=12), "sales/*"), lp.AgeRule("cold", timedelta(weeks=4))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have \\[\\[rule\\]\\] tables"),
        ("x = 1\n" + RULES, "nothing else"),
        ("[rule]\nolder_than = '1d'\nto = 'cold'", "must have \\[\\[rule\\]\\] tables"),
        ("rule = 5", "must have \\[\\[rule\\]\\] tables"),
        ("rule = [1]", "must have \\[\\[rule\\]\\] tables"),
        ("[[rule]]\nto = ", "is not TOML"),
        ("[[rule]]\nto = 'cold'", "Rule 1 has no older_than"),
        ("[[rule]]\nolder_than = '1d'", "Rule 1 has no to"),
        (RULES + "[[rule]]\nolder_than = '1d'\nto = 'cold'\nafter = 1", "Rule 3 has unknown after"),
        ("[[rule]]\nolder_than = 180\nto = 'cold'", "older_than = 180 is not text"),
        ("[[rule]]\nolder_than = '180'\nto = 'cold'", "'180' is not a duration"),
        ("[[rule]]\nolder_than = '1d'\nto = '../x'", "cannot be a tier name"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_file_that_is_no_policy_is_refused_with_the_rule_it_breaks(tmp_path, text, message) -> None:
    with pytest.raises(lp.InvalidInputError, match=message):
        read(tmp_path, text)


def test_a_file_of_other_bytes_is_not_toml(tmp_path) -> None:
    path = tmp_path / "tiering.toml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(lp.InvalidInputError, match="is not TOML"):
        lp.TieringPolicy.from_toml(path)


def test_a_file_that_is_not_there_is_said_so(tmp_path) -> None:
    with pytest.raises(lp.NotFoundError, match=r"no policy file .*absent\.toml"):
        lp.TieringPolicy.from_toml(tmp_path / "absent.toml")


def test_a_folder_is_no_policy_file(tmp_path) -> None:
    with pytest.raises(lp.InvalidInputError, match="cannot be read"):
        lp.TieringPolicy.from_toml(tmp_path)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("12h", timedelta(hours=12)),
        ("180d", timedelta(days=180)),
        (" 4 w ", timedelta(weeks=4)),
        ("0d", timedelta(0)),
    ],
)
def test_durations_are_hours_days_or_weeks(text, duration) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "d", "1", "-1d", "1.5d", "1y", "1m", "1d 2h", "99999999999999d"])
def test_other_durations_are_refused(text) -> None:
    with pytest.raises(lp.InvalidInputError, match=r"not a duration|longer than any age"):
        parse_duration(text)


@pytest.mark.parametrize("age", [timedelta(microseconds=-1), timedelta(days=400_000), timedelta.max])
def test_an_age_is_neither_negative_nor_longer_than_calendars(age) -> None:
    with pytest.raises(lp.InvalidInputError, match="no age of a window"):
        lp.AgeRule("cold", age)


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("*", {"sales", "sales/orders", "Sales"}),
        ("sales", {"sales"}),
        ("sales/*", {"sales/orders"}),
        ("[Ss]ales", {"sales", "Sales"}),
        ("nothing", set()),
    ],
)
def test_patterns_are_those_of_files_and_tell_cases_apart(pattern, covered) -> None:
    rule = lp.AgeRule("cold", timedelta(0), pattern)

    assert {name for name in ("sales", "sales/orders", "Sales") if rule.covers(name)} == covered
