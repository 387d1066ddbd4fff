"""What a copy between any two stores must do, as tests: subclass :class:`CopyContract` and give it both stores."""

# ruff: noqa: S101, D102 - these are tests: they assert, and their names say what is true

from __future__ import annotations

import hashlib

import pytest

from lakepart.errors import CorruptionError, NotFoundError, StorageError
from lakepart.storage.base import OnBytes, Store
from lakepart.storage.copying import copy_file

SIZES = [100_000, 5_500_000]  # the least that S3 takes as a part is 5 MiB
DATA = bytes(range(256)) * 40


def copy(source: Store, target: Store, data: bytes = DATA, *, on_bytes: OnBytes = abs, pace: OnBytes = abs) -> None:
    """Copy ``a/file`` to ``x/file``, which is to have the bytes ``data``."""
    digest = hashlib.sha256(data).hexdigest()
    copy_file(source, "a/file", target, "x/file", expected_checksum=digest, on_bytes=on_bytes, pace=pace)


def write(store: Store, path: str, data: bytes) -> None:
    """Write an object as a data file is written."""
    with store.open_new(path) as sink:
        sink.write(data)


class CopyContract:
    """The promises of :func:`lakepart.storage.copying.copy_file`; a subclass gives empty stores for each test.

    Examples
    --------
    ::

        class TestFromDiskToMyStore(CopyContract):
            @pytest.fixture
            def source(self, tmp_path):
                return LocalStore(tmp_path)

            @pytest.fixture
            def target(self):
                return MyStore()
    """

    @pytest.mark.parametrize("size_bytes", [0, 1, *SIZES])
    def test_a_copy_has_the_bytes_of_its_source_which_stays(
        self, source: Store, target: Store, size_bytes: int
    ) -> None:
        data = (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes]
        write(source, "a/file", data)

        copy(source, target, data)

        assert [(one.path, one.size_bytes) for one in target.list()] == [("x/file", len(data))]
        assert target.read_bytes("x/file") == data
        assert source.read_bytes("a/file") == data

    @pytest.mark.parametrize("size_bytes", SIZES)
    def test_the_bytes_told_are_those_of_the_file(self, source: Store, target: Store, size_bytes: int) -> None:
        write(source, "a/file", bytes(size_bytes))
        told: list[int] = []

        copy(source, target, bytes(size_bytes), on_bytes=told.append)

        assert sum(told) == size_bytes

    @pytest.mark.parametrize("size_bytes", SIZES)
    def test_a_copy_that_stands_is_accepted(self, source: Store, target: Store, size_bytes: int) -> None:
        write(source, "a/file", bytes(size_bytes))
        copy(source, target, bytes(size_bytes))

        copy(source, target, bytes(size_bytes))

        assert target.read_bytes("x/file") == bytes(size_bytes)

    @pytest.mark.parametrize("other", [b"", DATA[:-1], DATA[:-1] + b"x"])
    def test_other_bytes_that_stand_are_refused_and_left_alone(
        self, source: Store, target: Store, other: bytes
    ) -> None:
        write(source, "a/file", DATA)
        target.put_new("x/file", other)

        with pytest.raises(StorageError, match="other bytes"):
            copy(source, target)

        assert target.read_bytes("x/file") == other

    @pytest.mark.parametrize("size_bytes", SIZES)
    def test_a_damaged_source_is_named_and_leaves_no_copy(self, source: Store, target: Store, size_bytes: int) -> None:
        write(source, "a/file", bytes(size_bytes))

        with pytest.raises(CorruptionError, match="a/file"):
            copy(source, target, b"what the catalog says")

        assert list(target.list()) == []
        assert source.read_bytes("a/file") == bytes(size_bytes)

    def test_an_absent_source_leaves_no_copy(self, source: Store, target: Store) -> None:
        with pytest.raises(NotFoundError, match="a/file"):
            copy(source, target)

        assert list(target.list()) == []

    @pytest.mark.parametrize("size_bytes", SIZES)
    @pytest.mark.parametrize("hook", ["on_bytes", "pace"])
    def test_a_copy_that_is_given_up_is_whole_or_absent_and_can_be_made_again(
        self, source: Store, target: Store, size_bytes: int, hook: str
    ) -> None:
        data = bytes(size_bytes)
        write(source, "a/file", data)

        try:
            copy(source, target, data, **{hook: _give_up})
        except GivenUp:
            assert [one.size_bytes for one in target.list()] in ([], [size_bytes])

        copy(source, target, data)
        assert target.read_bytes("x/file") == data


class GivenUp(Exception):  # noqa: N818 - no error of ours
    """Raised by these tests in the middle of a copy."""


def _give_up(_: int) -> None:
    raise GivenUp
