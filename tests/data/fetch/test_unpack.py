"""Archives that want to write elsewhere, to be a link or a device, or to fill the disk; and damaged ones."""

import gzip
import io
import os
import stat
import sys
import tarfile
import zipfile

import pytest

from cnnlab.data.fetch.unpack import unpack
from cnnlab.errors import DataError
from tests.data.fetch.site import tar

FILES = {"pets/a.jpg": bytes(range(256)), "pets/deep/er/b.jpg": b"b" * 700, "pets/empty": b""}
MANY = 10_000_000


def zipped(members) -> bytes:
    """A zip archive of (name or ZipInfo, content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return out.getvalue()


def with_member(**fields) -> bytes:
    """A tar archive with a member of these fields behind an honest one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        first = tarfile.TarInfo("pets/a.jpg")
        archive.addfile(first)
        member = tarfile.TarInfo(fields.pop("name", "pets/b"))
        content = fields.pop("content", b"")
        member.size = len(content)
        for key, value in fields.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def run(content: bytes, tmp_path, most_bytes: int = MANY) -> list[int]:
    archive, folder = tmp_path / "archive", tmp_path / "in" / "folder"
    archive.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    return list(unpack(archive, folder, "pets", most_bytes))


def refuses(content: bytes, tmp_path, match: str, most_bytes: int = MANY) -> None:
    with pytest.raises(DataError, match=match) as raised:
        run(content, tmp_path, most_bytes)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "archive"))
    everything = [path for path in tmp_path.rglob("*") if "in/folder/" not in str(path)]
    assert {path.name for path in everything} == {"archive", "in", "folder"}, "something lies outside of the folder"


@pytest.mark.parametrize("make", [tar, lambda files: tar(files, "w"), lambda files: zipped(files.items())])
def test_files_come_as_they_are(tmp_path, make):
    assert run(make(FILES), tmp_path)[-1] == sum(map(len, FILES.values()))
    folder = tmp_path / "in" / "folder"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES


def test_what_macos_keeps_beside_files_is_left_out(tmp_path):
    run(tar({"pets/a.jpg": b"a", "pets/._a.jpg": b"?", "._pets": b"?"}), tmp_path)
    assert [path.name for path in (tmp_path / "in").rglob("*") if path.is_file()] == ["a.jpg"]


def test_a_name_with_blanks_umlauts_and_a_newline(tmp_path):
    name = "pets/Über uns\n1 .jpg"
    for content in (tar({name: b"1"}), zipped([(name + "2", b"1")])):
        run(content, tmp_path)
    assert len(list((tmp_path / "in" / "folder" / "pets").iterdir())) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "pets/../../evil",
        "/tmp/evil",
        "pets/..",
        "pets\\..\\evil",
        "C:/evil",
        "//host/evil",
        "pets/a/../../../evil",
    ],
)
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_no_path_leaves_the_folder(tmp_path, name, form):
    content = with_member(name=name, content=b"evil") if form == "tar" else zipped([("pets/a", b""), (name, b"evil")])
    refuses(content, tmp_path, "its member .* would leave the folder; it is not what its publisher made")


def test_a_zip_name_with_a_zero_byte(tmp_path):
    content = zipped([("pets/a_b", b"x")]).replace(b"pets/a_b", b"pets/a\0b")
    refuses(content, tmp_path, "would leave the folder")


def test_another_folder_is_refused(tmp_path):
    refuses(tar({"dogs/a.jpg": b"a"}), tmp_path, "its member 'dogs' does not lie in 'pets/'")
    refuses(tar({}), tmp_path, "has no folder 'pets'")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc"}, "link"),
        ({"type": tarfile.SYMTYPE, "linkname": "a.jpg"}, "link"),
        ({"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}, "link"),
        ({"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "device"),
        ({"type": tarfile.BLKTYPE}, "device"),
        ({"type": tarfile.FIFOTYPE}, "device"),
    ],
)
def test_nothing_but_files_and_folders(tmp_path, fields, word):
    refuses(with_member(**fields), tmp_path, f"its member 'pets/b' is a {word}")


@pytest.mark.parametrize(("kind", "word"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device")])
def test_a_zip_has_no_links_either(tmp_path, kind, word):
    member = zipfile.ZipInfo("pets/b")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    refuses(zipped([("pets/a", b""), (member, b"/etc")]), tmp_path, f"its member 'pets/b' is a {word}")


def test_a_member_that_is_there_twice(tmp_path):
    refuses(with_member(name="pets/a.jpg", content=b"again"), tmp_path, "its member 'pets/a.jpg' is there twice")


def test_a_zip_with_a_password(tmp_path):
    content = bytearray(zipped([("pets/a", b"secret")]))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refuses(bytes(content), tmp_path, "its member 'pets/a' is encrypted")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_bomb(tmp_path, form):
    # 30 MB of zeros in some 30 kB: the header tells, so that not a byte of it is written
    files = {"pets/a": b"\0" * 30_000_000}
    content = tar(files) if form == "tar" else zipped(files.items())
    assert len(content) < 100_000
    refuses(content, tmp_path, "its files have 30,000,000 bytes up to 'pets/a', and", 50_000_000)
    assert not (tmp_path / "in" / "folder" / "pets" / "a").exists()


def test_more_bytes_than_announced(tmp_path):
    files = {f"pets/{i}": os.urandom(1000) for i in range(5)}
    refuses(tar(files), tmp_path, "its files have 4,000 bytes up to 'pets/3', and 3,500 are the limit", 3500)


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["cnnlab.data.fetch.unpack"], "MOST_FILES", 3)
    refuses(tar({f"pets/{i}": b"" for i in range(4)}), tmp_path, "it has more than 3 files")


def test_a_header_that_is_a_bomb(tmp_path):
    # a GNU long name of 40 MB: tarfile would read it at once
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 40_000_000
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"x" * 1_000_000)
    refuses(content, tmp_path, "a member's header takes 40,000,000 bytes")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5])
@pytest.mark.parametrize("form", ["tar.gz", "tar", "zip"])
def test_a_truncated_archive(tmp_path, form, share):
    files = {"pets/a": os.urandom(3000), "pets/b": os.urandom(9000)}
    content = {"tar.gz": tar(files), "tar": tar(files, "w"), "zip": zipped(files.items())}[form]
    refuses(content[: int(share * len(content))], tmp_path, "is damaged: ")


def test_no_archive(tmp_path):
    refuses(b"<html>not here</html>" * 100, tmp_path, "is damaged: ")
    refuses(b"", tmp_path, "is damaged: ")
