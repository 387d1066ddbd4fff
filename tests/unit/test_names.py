from __future__ import annotations

import pytest

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.names import check_asset_name, check_branch_name, check_dimension_name, check_tier_name


@pytest.mark.parametrize("name", ["flights", "sales/orders", "a/b/c/d/e/f/g/h", "A.b-c_9", "x" * 64, "...", ".hidden"])
def test_names_within_the_rule_are_given_back(name) -> None:
    assert check_asset_name(name) == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "is not 1 to 64 characters"),
        ("a//b", "is not 1 to 64 characters"),
        ("/a", "is not 1 to 64 characters"),
        ("x" * 65, "is not 1 to 64 characters"),
        ("a b", "is not 1 to 64 characters"),
        ("flüge", "is not 1 to 64 characters"),
        ("flights\n", "is not 1 to 64 characters"),
        ("a/..", "not '.' or '..'"),
        (".", "not '.' or '..'"),
        ("a/_packs", "begins with '_'"),
        ("a/b/c/d/e/f/g/h/i", "at most 8"),
        (7, "names are text"),
    ],
)
def test_names_outside_the_rule_are_refused_with_the_rule(name, rule) -> None:
    with pytest.raises(InvalidInputError, match=rule) as caught:
        check_asset_name(name)

    assert caught.value.code == ErrorCode.INVALID_NAME


@pytest.mark.parametrize("check", [check_branch_name, check_tier_name])
def test_branches_and_tiers_are_one_segment(check) -> None:
    assert check("new-tax") == "new-tax"
    with pytest.raises(InvalidInputError, match="'a/b' is not 1 to 64"):
        check("a/b")


def test_no_branch_is_called_main() -> None:
    with pytest.raises(InvalidInputError, match="main is the lake itself"):
        check_branch_name("main")


def test_a_dimension_may_be_called_like_any_plain_column() -> None:
    assert check_dimension_name("_day") == "_day"
    for name in ("a=b", "a/b", "..", ""):
        with pytest.raises(InvalidInputError, match="dimension"):
            check_dimension_name(name)
