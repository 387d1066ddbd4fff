"""What is declared of fsspec's drivers, and when it is said."""

from __future__ import annotations

import io
from itertools import count

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import lakepart as lp
from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.copying import checksum
from lakepart.storage.drivers import driver_of, shortcomings, takes_writes

_NUMBERS = count()


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("lake", 0),
        ("file:///lake", 0),
        ("memory://lake", 0),
        ("s3://bucket/lake", 0),
        ("s3a://bucket/lake", 0),
        ("gs://bucket/lake", 0),
        ("GCS://bucket/lake", 0),
        ("abfs://container/lake", 0),
        ("abfss://container@account/lake", 0),
        ("az://container/lake", 0),
        ("sftp://ada:secret@host/lake", 2),
        ("hdfs://host/lake", 2),
        ("webhdfs://host/lake", 3),
        ("nobody-knows://lake", 3),
    ],
)
def test_what_a_driver_does_not_promise_is_said(url, number):
    assert len(shortcomings(url)) == number


@pytest.mark.parametrize("url", ["https://host/lake", "github://owner:repository@/lake", "tar://lake"])
def test_there_are_stores_that_take_no_writes(url):
    assert not takes_writes(url)


class Recording(MemoryFileSystem):
    """A driver that says neither in a signature nor elsewhere what it takes, as Azure's does."""

    cachable = False

    def __init__(self):
        super().__init__()
        self.store = {}
        self.pseudo_dirs = [""]
        self.modes = []

    def pipe_file(self, path, value, **options):
        self.modes.append(options.get("mode"))
        super().pipe_file(path, value, **options)


class Azure(Recording):
    protocol = ("abfs", "az", "abfss")


class Unknown(Recording):
    protocol = "unheard-of"


def test_a_store_that_decides_creation_is_asked_to_create_and_is_not_looked_at_before():
    azure = Azure()
    store = FsspecStore(azure, "lake")
    azure.info = None  # it would be called

    with store.open_new("a") as sink:
        sink.write(b"bytes")

    assert azure.modes == ["create"]


def test_another_one_is_looked_at_before():
    unknown = Unknown()

    FsspecStore(unknown, "lake").put_new("a", b"bytes")

    assert unknown.modes == [None]
    assert driver_of("unheard-of").decides_creation is False


class _Dropped(Exception):  # noqa: N818 - a library's own
    """What no operating system raises."""


class _Dropping(io.BytesIO):
    def read(self, *_):
        raise _Dropped


class Dropping(Recording):
    protocol = "dropping"

    def open(self, *_, **__):
        return _Dropping()


@pytest.mark.parametrize("use", [checksum, lambda store, path: store.open_read(path).read(3)])
def test_what_a_driver_raises_in_the_middle_of_a_read_is_an_error_of_the_store(use):
    store = FsspecStore(Dropping(), "lake")
    store.put_new("a", b"bytes")

    with pytest.raises(lp.StorageError, match=r"Cannot read '.*/a': _Dropped"):
        use(store, "a")


@pytest.fixture
def unknown_url(monkeypatch):
    class ForAll(MemoryFileSystem):
        protocol = "unheard-of"

    fsspec.register_implementation("unheard-of", ForAll, clobber=True)
    return f"unheard-of://drivers-{next(_NUMBERS)}"


def test_making_a_lake_warns_of_what_its_stores_do_not_promise_and_so_does_opening_it(unknown_url, tmp_path):
    catalog = f"sqlite:///{tmp_path}/catalog.db"

    with pytest.warns(lp.StoreWarning) as made:
        lp.create(unknown_url, catalog=catalog).close()
    with pytest.warns(lp.StoreWarning):
        lp.connect(unknown_url, catalog=catalog).close()
    lp.connect(unknown_url, catalog=catalog, read_only=True).close()  # a reader misses nothing

    said = [str(one.message) for one in made]
    assert len(said) == 3
    assert all("the lake's own folder, tier 'hot', tier 'cold'" in one for one in said)
    assert {one.filename for one in made} == {__file__}
    found = [one for one in lp.doctor(unknown_url, catalog=catalog) if one.severity == "notice"]
    assert len([one for one in found if one.subject == "tier hot"]) == 3


def test_only_the_places_that_promise_less_are_named(unknown_url, tmp_path):
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", unknown_url)]

    with pytest.warns(lp.StoreWarning) as made:
        lp.create(tmp_path / "lake", tiers=tiers).close()

    assert all("of tier 'cold' promises" in str(one.message) for one in made)


def test_a_store_that_takes_no_writes_is_refused_before_anything_is_made(tmp_path):
    catalog = f"sqlite:///{tmp_path}/catalog.db"

    with pytest.raises(lp.InvalidInputError, match="Nothing can be written") as caught:
        lp.create("https://ada:secret@host/lake", catalog=catalog)

    assert caught.value.code is lp.ErrorCode.UNSUPPORTED
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "storage"),
        (OSError("Unable to load libjvm"), "storage"),
        (PermissionError(13, "Permission denied"), "permission"),
        (RuntimeError("Authentication failed for ada:secret"), "storage"),
    ],
)
def test_a_driver_that_connects_at_once_and_fails_is_an_error_of_the_store(raised, code, tmp_path):
    class Connecting(MemoryFileSystem):
        protocol = "connecting"
        cachable = False

        def __init__(self, **_):
            raise raised

    fsspec.register_implementation("connecting", Connecting, clobber=True)

    with (
        pytest.warns(lp.StoreWarning),
        pytest.raises(lp.StorageError, match="Cannot reach 'connecting://host/lake'") as caught,
    ):
        lp.create("connecting://ada:secret@host/lake", catalog=f"sqlite:///{tmp_path}/catalog.db")

    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["sftp://ada:hidden@host/cold", "https://host/cold?signature=hidden"])
def test_the_address_of_a_tier_with_a_secret_in_it_is_refused_since_it_would_be_recorded(root, tmp_path):
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", root)]

    with pytest.raises(lp.InvalidInputError, match="tier 'cold' has a password or a query") as caught:
        lp.create(tmp_path / "lake", tiers=tiers)

    assert "hidden" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
