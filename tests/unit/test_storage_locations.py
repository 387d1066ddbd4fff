import pytest

from lakepart.errors import InvalidInputError
from lakepart.storage import locations
from lakepart.storage.addresses import check_roots, is_local, join_url, local_path, without_secrets
from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.local import LocalStore
from lakepart.storage.locations import is_network_filesystem, open_store

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/team\040share rw,relatime - nfs4 server:/share rw
31 22 0:41 / /mnt/windows rw,relatime - smb3 //server/share rw
32 22 0:42 / /mnt/sshfs rw - fuse.sshfs user@host: rw
33 30 0:43 / /mnt/team\040share/scratch rw - tmpfs tmpfs rw
34 22 0:44 / /mnt/host rw - 9p host rw
35 22 0:45 / /mnt/covered rw - ext4 /dev/sdb1 rw
36 35 0:46 / /mnt/covered rw - ceph mon:/ rw
""".strip()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("lake", True),
        ("/data/lake", True),
        ("~/lake", True),
        ("file:///data/lake", True),
        ("C:lake", True),
        ("s3://bucket/lake", False),
        ("S3://bucket/lake", False),
        ("memory://lake", False),
    ],
)
def test_a_path_or_file_url_is_local_and_all_else_is_not(url, local):
    assert is_local(url) is local


def test_a_path_opens_a_local_store_and_a_url_its_driver(tmp_path):
    (in_folder, by_url, elsewhere) = (
        open_store(str(tmp_path)),
        open_store(f"file://{tmp_path}"),
        open_store("memory://x"),
    )

    assert isinstance(in_folder, LocalStore)
    assert isinstance(by_url, LocalStore)
    assert in_folder.root == by_url.root == str(tmp_path)
    assert isinstance(elsewhere, FsspecStore)


def test_a_local_store_takes_no_options(tmp_path):
    with pytest.raises(InvalidInputError, match="takes none") as caught:
        open_store(str(tmp_path), {"secret": "hidden"})

    assert "hidden" not in str(caught.value)


def test_an_empty_address_is_refused():
    with pytest.raises(InvalidInputError):
        open_store("")


def test_a_chain_of_drivers_is_no_folder():
    with pytest.raises(InvalidInputError, match="simplecache::") as caught:
        open_store("simplecache::sftp://ada:secret@host/lake")

    assert "secret" not in str(caught.value)


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")

    assert local_path("~/lake") == "/home/ada/lake"


@pytest.mark.parametrize(
    ("base", "relative", "joined"),
    [
        ("/data/lake", "hot", "/data/lake/hot"),
        ("/data/lake/", "tiers/hot", "/data/lake/tiers/hot"),
        ("s3://bucket/lake", "hot", "s3://bucket/lake/hot"),
        ("/data/lake", "/other/disk", "/other/disk"),
        ("/data/lake", "s3://bucket/cold", "s3://bucket/cold"),
        ("s3://bucket/lake", "file:///disk", "file:///disk"),
    ],
)
def test_a_relative_address_is_below_its_base_and_an_absolute_one_its_own(base, relative, joined):
    assert join_url(base, relative) == joined


@pytest.mark.parametrize("relative", ["../other", "a/../../b", "", "."])
def test_a_relative_address_cannot_leave_its_base(relative):
    with pytest.raises(InvalidInputError):
        join_url("/data/lake", relative)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sftp://ada:secret@host:22/lake", "sftp://host:22/lake"),
        ("https://host/lake?X-Amz-Signature=secret#x", "https://host/lake"),
        ("s3://bucket/lake", "s3://bucket/lake"),
        ("/data/what?is#this@path", "/data/what?is#this@path"),
    ],
)
def test_a_shown_url_has_no_secrets(url, shown):
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("hot", "cold"),
    [
        ("/data/lake/hot", "/data/lake/hot"),
        ("/data/lake/hot", "/data/lake/hot/"),
        ("/data/lake/hot", "/data/lake/hot/cold"),
        ("/data/lake/hot/inner", "file:///data/lake/hot"),
        ("/data/lake/hot", "/data/lake/cold/../hot/x"),
        ("s3://bucket/lake", "s3a://bucket/lake/cold"),
        ("s3://bucket", "s3://bucket//cold/"),
        ("sftp://ada:secret@host/lake", "sftp://host/lake/cold"),
        ("/", "/data"),
    ],
)
def test_roots_that_nest_are_refused_by_name(hot, cold):
    for roots in ({"hot": hot, "cold": cold}, {"cold": cold, "hot": hot, "other": "memory://other"}):
        with pytest.raises(InvalidInputError, match="may not nest") as caught:
            check_roots(roots)
        assert "'hot'" in str(caught.value)
        assert "'cold'" in str(caught.value)
        assert "secret" not in str(caught.value)


def test_roots_that_nest_through_a_link_are_refused(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")

    with pytest.raises(InvalidInputError):
        check_roots({"hot": str(tmp_path / "disk"), "cold": str(tmp_path / "link" / "cold")})


def test_roots_side_by_side_are_accepted():
    check_roots(
        {
            "hot": "/data/lake/hot",
            "hotter": "/data/lake/hot2",
            "cold": "/data/lake/cold",
            "archive": "s3://bucket/lake/hot",
            "other": "s3://bucket2/lake/hot",
            "third": "gs://bucket/lake/hot",
        }
    )


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/data/lake", False),
        ("/mnt/team share/lake", True),
        ("/mnt/team share", True),
        ("/mnt/team shared", False),
        ("/mnt/team share/scratch/lake", False),
        ("/mnt/windows/lake", True),
        ("/mnt/sshfs/lake", True),
        ("/mnt/host/lake", False),
        ("/mnt/covered/lake", True),
    ],
)
def test_a_network_filesystem_is_told_by_the_innermost_mount(path, network, tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(locations, "_MOUNTS", tmp_path / "mountinfo")

    assert is_network_filesystem(path) is network


def test_where_mounts_cannot_be_known_nothing_is_a_network_filesystem(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "_MOUNTS", tmp_path / "absent")

    assert is_network_filesystem("/mnt/lake") is False


def test_the_real_mounts_can_be_read():
    assert is_network_filesystem("/proc") is False


@pytest.mark.parametrize(
    "url",
    [
        "s3://hidden:hidden@bucket/lake",
        "s3://hidden:hid/den@bucket/lake",
        "s3://hidden@bucket/lake",
        "s3://bucket?hidden",
        "s3:///hidden@bucket",
    ],
)
def test_an_address_in_s3_has_no_keys_and_is_not_shown_with_them(url):
    with pytest.raises(InvalidInputError, match="no bucket") as caught:
        open_store(url)

    assert "hid" not in f"{caught.value} {caught.value.context}"


def test_buckets_may_be_named_by_access_points():
    arn = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint:lakes"

    assert open_store(f"{arn}/a").root == f"{arn}/a"
