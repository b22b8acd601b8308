"""Whole data sets: a folder that is whole or goes on, whatever ended the process; what lies there is never lost."""

import errno
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnlab.data import fetch as fetching
from cnnlab.data.fetch import Done, addresses, fetch, find
from cnnlab.data.fetch.addresses import DATASETS
from cnnlab.data.fetch.events import Note, Progress
from cnnlab.errors import DataError, FetchError
from tests.data.fetch.site import QUICK, Fault, tar

ROOT = Path(__file__).parents[3]
PETS = {
    "images.tar.gz": tar({f"images/{i}.jpg": bytes([i]) * 300 for i in range(20)}),
    "annotations.tar.gz": tar({"annotations/list.txt": b"a list", "annotations/._list.txt": b"?"}),
}
IDX = {file.name: file.name.encode() * 100 for file in DATASETS["mnist"].files}


@pytest.fixture
def pets(site, monkeypatch):
    """The pets, published at the site."""
    published = site.publish(DATASETS["oxford-pet"], PETS)
    monkeypatch.setitem(DATASETS, "oxford-pet", published)
    return published


@pytest.fixture
def mnist(site, monkeypatch):
    published = site.publish(DATASETS["mnist"], IDX)
    monkeypatch.setitem(DATASETS, "mnist", published)
    return published


def run(name: str, folder: Path) -> Done:
    *_, last = fetch(name, folder, QUICK)
    assert isinstance(last, Done)
    return last


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the record, by its path in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "fetched.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


WHOLE = {**{f"images/{i}.jpg": bytes([i]) * 300 for i in range(20)}, "annotations/list.txt": b"a list"}


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_described_whole(name):
    published = DATASETS[name]
    assert published.licence
    assert published.title
    assert published.homepage.startswith(("https://", "http://"))
    for file in published.files:
        kind, _, checksum = file.checksum.partition(":")
        assert len(checksum) == {"sha256": 64, "md5": 32}[kind]
        assert set(checksum) <= set("0123456789abcdef")
        assert all(address.startswith(("https://", "http://")) for address in file.addresses)
        assert all(address.endswith("/" + file.name) for address in file.addresses)
        assert len(set(file.addresses)) == len(file.addresses)
        assert bool(file.makes) == bool(file.unpacked)
        assert file.size > 4000


def test_no_checksum_stands_twice():
    sums = [file.checksum for published in DATASETS.values() for file in published.files]
    assert len(set(sums)) == len(sums)


@pytest.mark.parametrize(
    ("typed", "found"), [("MNIST", "mnist"), ("Fashion_MNIST", "fashion-mnist"), ("cifar-10", "cifar10")]
)
def test_names_in_other_spellings(typed, found):
    assert find(typed) == found


@pytest.mark.parametrize(("typed", "near"), [("mnits", "mnist"), ("kminst", "kmnist"), ("oxford_pets", "oxford-pet")])
def test_a_slip_in_the_name(typed, near):
    with pytest.raises(DataError, match=f"fetch: no data set '{typed}'; did you mean '{near}'"):
        find(typed)
    with pytest.raises(DataError, match=r"no data set 'words'; there are mnist, fashion-mnist, .*oxford-pet$"):
        find("words")


# ---------------------------------------------------------------- whole data sets


def test_archives_become_folders(pets, site, tmp_path):
    events = list(fetch("oxford-pet", tmp_path / "a" / "pets", QUICK))
    assert {event.work for event in events if isinstance(event, Progress)} == {"downloading", "checking", "unpacking"}
    assert tree(tmp_path / "a" / "pets") == WHOLE
    record = json.loads((tmp_path / "a" / "pets" / "fetched.json").read_text())
    assert record["name"] == "oxford-pet"
    assert record["folders"] == {
        "images": {"files": 20, "bytes": 6000},
        "annotations": {"files": 1, "bytes": 6},
    }
    for name, content in PETS.items():
        known = {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "address": site.address(f"/0/{name}"),
        }
        assert record["files"][name] == known


def test_a_second_fetch_asks_nobody(pets, mnist, site, tmp_path):
    for name, contents in (("oxford-pet", WHOLE), ("mnist", IDX)):
        first = run(name, tmp_path / name)
        assert first.fetched
        asked = len(site.asked)
        again = run(name, tmp_path / name)
        assert (again.fetched, again.files) == (False, first.files)
        assert len(site.asked) == asked
        assert tree(tmp_path / name) == contents


def test_what_was_removed_comes_again(pets, site, tmp_path):
    run("oxford-pet", tmp_path)
    shutil.rmtree(tmp_path / "annotations")
    site.asked.clear()
    run("oxford-pet", tmp_path)
    assert [path for path, _ in site.asked] == ["/0/annotations.tar.gz"]
    assert tree(tmp_path) == WHOLE


def test_what_was_changed_is_told(pets, mnist, tmp_path):
    run("oxford-pet", tmp_path / "pets")
    (tmp_path / "pets" / "images" / "3.jpg").unlink()
    with pytest.raises(DataError, match="images: has 19 files of 5,700 bytes and had 20 files of 6,000 bytes"):
        run("oxford-pet", tmp_path / "pets")
    run("mnist", tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"t10k-labels.*: is there already, and its SHA-256 is .* remove it, or choose"):
        run("mnist", tmp_path / "mnist")


def test_what_is_the_users_own_is_left_alone(pets, mnist, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_bytes(b"mine")
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"mine")
    with pytest.raises(DataError, match="images: is there already, and no fetch has made it; remove it, or choose"):
        run("oxford-pet", tmp_path)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz: is there already, and its SHA-256"):
        run("mnist", tmp_path)
    assert tree(tmp_path) == {"images/holiday.jpg": b"mine", "train-labels-idx1-ubyte.gz": b"mine"}


def test_a_file_that_was_there_is_used(mnist, site, tmp_path):
    name = mnist.files[0].name
    (tmp_path / name).write_bytes(IDX[name])
    done = run("mnist", tmp_path)
    assert f"/0/{name}" not in [path for path, _ in site.asked]
    assert done.files[name]["address"] == "was there already"
    assert tree(tmp_path) == IDX


def test_one_folder_holds_one_data_set(pets, mnist, tmp_path):
    run("mnist", tmp_path)
    with pytest.raises(DataError, match="the folder holds mnist; choose another one for oxford-pet with --to"):
        run("oxford-pet", tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": 1, "more": 2}', '{"name": "mnist", "files": {"a": 3}}'])
def test_a_damaged_record(mnist, tmp_path, text):
    (tmp_path / "fetched.json").write_text(text)
    with pytest.raises(DataError, match=r"fetched\.json: is no record of a fetch: "):
        run("mnist", tmp_path)


def test_an_archive_that_is_not_safe_leaves_nothing(pets, site, tmp_path, monkeypatch):
    evil = {**PETS, "annotations.tar.gz": tar({"annotations/../../evil": b"evil"})}
    monkeypatch.setitem(DATASETS, "oxford-pet", site.publish(pets, evil))
    with pytest.raises(DataError, match="would leave the folder"):
        run("oxford-pet", tmp_path / "pets")
    assert {path.name for path in (tmp_path / "pets").iterdir()} == {"images", "annotations.tar.gz", "fetched.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_what_fails_is_told_and_kept(mnist, site, tmp_path):
    path = "/0/t10k-images-idx3-ubyte.gz"
    site.faults[path] = itertools.repeat(Fault(stop=5, ranges=False))
    with pytest.raises(
        FetchError, match=r"t10k-images-idx3-ubyte.gz: cannot be fetched .*; what came is kept: the same"
    ):
        run("mnist", tmp_path)
    assert len(tree(tmp_path)) == 3  # two whole files and the beginning of the third
    del site.faults[path]
    site.asked.clear()
    run("mnist", tmp_path)
    assert site.asked == [(path, "bytes=5-"), ("/0/t10k-labels-idx1-ubyte.gz", None)]
    assert tree(tmp_path) == IDX


# ---------------------------------------------------------------- the disk


def test_a_disk_without_room(pets, site, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(
        FetchError, match=r"cats and dogs .* takes 0.0\d GB more, and 0.00 GB are free; free some space"
    ):
        run("oxford-pet", tmp_path)
    assert site.asked == []


def test_what_came_counts_as_room(mnist, tmp_path, monkeypatch):
    needed = sum(map(len, IDX.values()))
    name = mnist.files[0].name
    (tmp_path / f"{name}.part").write_bytes(IDX[name][:2000])
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 2001))
    with pytest.raises(FetchError, match=r"takes 0\.00 GB more"):
        run("mnist", tmp_path)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 2000))
    run("mnist", tmp_path)


def test_a_folder_under_a_file(mnist, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DataError, match="cannot be written: Not a directory; choose another folder with --to"):
        run("mnist", tmp_path / "file" / "mnist")
    with pytest.raises(DataError, match="cannot be written: File exists; choose another folder with --to"):
        run("mnist", tmp_path / "file")


def script(*lines: str) -> str:
    """A program that publishes the pets and MNIST at the site of these tests, and then does `lines`."""
    table = {name: DATASETS[name] for name in ("oxford-pet", "mnist")}
    head = [
        "import itertools, os, resource, shutil, signal, sys",
        "from pathlib import Path",
        "from cnnlab.data.fetch import DATASETS, fetch",
        "from cnnlab.data.fetch.addresses import File, Published",
        "from cnnlab.data.fetch.download import Patience",
        "from cnnlab.errors import CnnlabError",
        f"DATASETS.update({table!r})",
        f"patience = {QUICK!r}",
    ]
    return "\n".join([*head, *lines])


def python(program: str, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, text=True, **options)


def ended(program: str) -> tuple[int, str]:
    with python(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        out, _ = process.communicate(timeout=120)
    return process.returncode, out


TELL = ["try:", "    list(fetch({name!r}, Path({folder!r}), patience))", "except CnnlabError as error:"]
TELL += ["    print(error)", "    sys.exit(error.exit_code)"]


def test_a_disk_that_fills_up(pets, tmp_path):
    # a limit of the size of files stands for the disk's
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))"
    lines = [line.format(name="oxford-pet", folder=str(tmp_path)) for line in TELL]
    code, out = ended(script(limit, *lines))
    where = tmp_path / "images.tar.gz.part"
    hint = "free some space; the same command then goes on where it stopped"
    assert (code, out) == (1, f"{tmp_path}: cannot be written: {os.strerror(errno.EFBIG)}; {hint}\n")
    assert where.read_bytes() == PETS["images.tar.gz"][:200]
    run("oxford-pet", tmp_path)
    assert tree(tmp_path) == WHOLE


def test_a_read_only_folder(mnist, site):
    folder = Path(tempfile.mkdtemp())  # in /tmp itself, where another user may look
    try:
        folder.chmod(0o555)
        # Root writes everywhere; another user may not read Python's own files, so that what is needed comes first.
        become = "import encodings.idna, fcntl; os.geteuid() or os.setuid(65534)"
        lines = [line.format(name="mnist", folder=str(folder)) for line in TELL]
        code, out = ended(script(become, *lines))
        assert code == 2, out
        assert out.startswith(str(folder))
        assert out.endswith("cannot be written: Permission denied; choose another folder with --to\n")
        assert site.asked == []
    finally:
        folder.rmdir()


# ---------------------------------------------------------------- killed


def test_killed_in_the_middle_of_a_download(mnist, site, tmp_path):
    name = mnist.files[0].name
    site.faults[f"/0/{name}"] = iter([Fault(stop=1000, hang=True)])
    part = tmp_path / f"{name}.part"
    lines = [f"list(fetch('mnist', Path({str(tmp_path)!r}), Patience(timeout=60)))"]
    with python(script(*lines)) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == 1000):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(DataError, match="another fetch is at work in this folder; wait for it, or choose"):
            run("mnist", tmp_path)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    site.asked.clear()
    run("mnist", tmp_path)
    assert site.asked[0] == (f"/0/{name}", "bytes=1000-")
    assert tree(tmp_path) == IDX


def test_killed_before_any_change_of_the_disk(pets, tmp_path):
    """Before each change in turn a process dies; the next one brings the folder to its end."""
    lines = f"""
left = [0]
def counted(change):
    def change_or_die(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **options)
    return change_or_die
Path.replace, Path.unlink, Path.mkdir = counted(Path.replace), counted(Path.unlink), counted(Path.mkdir)
shutil.rmtree, os.mkdir = counted(shutil.rmtree), counted(os.mkdir)

def run(folder, changes):
    child = os.fork()
    if child == 0:
        left[0] = changes
        try:
            list(fetch('oxford-pet', folder, patience))
        except BaseException as error:
            print(changes, repr(error), flush=True)
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for changes in itertools.count(1):
    folder = Path({str(tmp_path)!r}) / str(changes)
    first = run(folder, changes)
    second = run(folder, -1)
    if first == 0:
        break
    if (first, second) != (-9, 0):
        print(changes, first, second)
        sys.exit(1)
print(changes)
""".splitlines()
    code, out = ended(script(*lines))
    assert code == 0, out
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) == int(out) > 15
    for folder in folders:
        assert tree(folder) == WHOLE, folder.name
        assert {path.name for path in folder.iterdir()} == {"images", "annotations", "fetched.json"}


def test_notes_tell_of_mirrors(site, tmp_path, monkeypatch):
    file = site.file("a.gz", b"content", mirrors=2)
    site.faults["/0/a.gz"] = itertools.repeat(Fault(status=404))
    published = addresses.Published("one file", "none", "http://127.0.0.1", (file,), "idx")
    monkeypatch.setitem(DATASETS, "mnist", published)
    notes = [event.sentence for event in fetch("mnist", tmp_path, QUICK) if isinstance(event, Note)]
    assert notes == [f"{file.addresses[0]}: HTTP 404 Not Found; trying the next address"]
