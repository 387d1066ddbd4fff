"""Statements that the driver carries out itself."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, create_engine, event, select, update

from lakepart.catalog.statements import Statement, insert_into
from lakepart.catalog.tables import BIG, TEXT, metadata, partition_key

ADD = insert_into(partition_key, without=["expected_us"])
RENAME = Statement(
    update(partition_key)
    .where(partition_key.c.id == bindparam("of", type_=BIG))
    .values(key=bindparam("to", type_=TEXT), visible=partition_key.c.visible + 1, changed=7)
)
KEYS = Statement(
    select(partition_key.c.key, partition_key.c.visible)
    .where(partition_key.c.id >= bindparam("least", type_=BIG))
    .order_by(partition_key.c.id)
)


@pytest.fixture
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection, [partition_key])
        yield connection
    engine.dispose()


def key(number):
    return {"asset_id": 1, "dimension": "d", "id": number, "key": f"k{number}", "visible": 1, "changed": 0}


def test_values_are_given_by_name_and_what_is_always_the_same_is_not(connection):
    ADD.run(connection, *map(key, range(3)))

    assert RENAME.run(connection, {"to": "new", "of": 1}) == 1

    assert KEYS.rows(connection, {"least": 1}) == [("new", 2), ("k2", 1)]
    assert KEYS.row(connection, {"least": 2}) == ("k2", 1)
    assert KEYS.row(connection, {"least": 9}) is None


def test_listeners_hear_of_a_statement(connection):
    heard = []
    event.listen(connection, "before_cursor_execute", lambda _c, _u, text, given, _x, many: heard.append((given, many)))

    KEYS.rows(connection, {"least": 1})
    ADD.run(connection, key(5), key(6))

    assert [(given if not many else len(given), many) for given, many in heard] == [((1,), False), (2, True)]
