"""Downloads from a server that cuts, stalls, lies and moves; the bytes that arrive are the published ones, or none."""

import hashlib
import itertools
import re
from dataclasses import replace

import pytest

from cnnlab.data.fetch.addresses import File
from cnnlab.data.fetch.download import Checked, download
from cnnlab.data.fetch.events import Note, Progress
from cnnlab.errors import FetchError
from tests.data.fetch.site import QUICK, Fault

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def run(file: File, folder, patience=QUICK) -> tuple[Checked, list[str], list[Progress]]:
    """What the download returns, its notes and its progress."""
    notes, progress = [], []
    events = download(file, folder, patience)
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value, notes, progress
        (notes if isinstance(event, Note) else progress).append(event.sentence if isinstance(event, Note) else event)


def fails(file: File, folder, match: str, patience=QUICK) -> None:
    with pytest.raises(FetchError, match=match) as raised:
        run(file, folder, patience)
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)
    assert not (folder / file.name).exists()


def test_a_file_arrives_with_its_checksum(site, tmp_path):
    file = site.file("a.gz", CONTENT)
    checked, notes, progress = run(file, tmp_path)
    assert checked == Checked(SHA256, file.addresses[0])
    assert notes == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert {event.total for event in progress} == {len(CONTENT)}
    assert [event.work for event in progress][-1] == "checking"
    done = [event.done for event in progress]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(CONTENT))
    assert site.asked == [("/0/a.gz", None)]


def test_md5_where_only_that_is_published(site, tmp_path):
    file = replace(site.file("a.gz", CONTENT), checksum="md5:" + hashlib.md5(CONTENT).hexdigest())
    assert run(file, tmp_path)[0].sha256 == SHA256
    fails(replace(file, name="b.gz", checksum="md5:" + 32 * "0"), tmp_path, r"its MD5 is \w{16}\.\.\., and 0{16}")


def test_a_connection_that_breaks_is_resumed(site, tmp_path):
    file = site.file("a.gz", CONTENT)
    site.faults["/0/a.gz"] = iter([Fault(stop=1000), Fault(stop=500)])
    # the second answer is the last failure in a row that QUICK allows: it takes one more attempt
    _, notes, _ = run(file, tmp_path, replace(QUICK, attempts=3))
    assert [asked for _, asked in site.asked] == [None, "bytes=1000-", "bytes=1500-"]
    assert len(notes) == 2
    assert notes[0].endswith("the connection ended after 1,000 of 10,240 bytes; trying again")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_what_an_earlier_process_left_is_gone_on_with(site, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:4000])
    run(site.file("a.gz", CONTENT), tmp_path)
    assert site.asked == [("/0/a.gz", "bytes=4000-")]
    (tmp_path / "b.gz.part").write_bytes(CONTENT)  # killed between the last byte and the new name
    run(site.file("b.gz", CONTENT), tmp_path)
    assert site.asked[1:] == []


@pytest.mark.parametrize("left", [b"something else", CONTENT[:-1] + b"?", CONTENT + b"and more"], ids=len)
def test_a_beginning_of_something_else_is_thrown_away(site, tmp_path, left):
    (tmp_path / "a.gz.part").write_bytes(left)
    run(site.file("a.gz", CONTENT), tmp_path)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert site.asked[-1] == ("/0/a.gz", None)


def test_a_server_without_ranges_sends_all_again(site, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:4000])
    site.faults["/0/a.gz"] = itertools.repeat(Fault(ranges=False))
    _, notes, _ = run(site.file("a.gz", CONTENT), tmp_path)
    assert site.asked == [("/0/a.gz", "bytes=4000-")]
    assert notes == []
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_cuts_is_given_up(site, tmp_path):
    site.faults["/0/a.gz"] = itertools.repeat(Fault(ranges=False, stop=5000))
    fails(site.file("a.gz", CONTENT), tmp_path, r"ended after 5,000 of 10,240 bytes \(2 times\)\); what came is kept")
    assert (tmp_path / "a.gz.part").read_bytes() == CONTENT[:5000]


def test_a_range_that_is_another_one_is_refused(site, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:4000])
    site.faults["/0/a.gz"] = itertools.repeat(Fault(start=17))
    fails(site.file("a.gz", CONTENT), tmp_path, "asked for bytes from 4,000 on, it sends 'bytes 17-10239/10240'")


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.faults["/0/a.gz"] = iter([Fault(status=500), Fault(status=429)])
    _, notes, _ = run(site.file("a.gz", CONTENT), tmp_path, replace(QUICK, attempts=3))
    assert [re.sub("http://[^/]*", "", note) for note in notes] == [
        "/0/a.gz: HTTP 500 Internal Server Error; trying again",
        "/0/a.gz: HTTP 429 Too Many Requests; trying again",
    ]


def test_a_server_that_stays_busy_is_given_up(site, tmp_path):
    site.faults["/0/a.gz"] = itertools.repeat(Fault(status=503))
    fails(site.file("a.gz", CONTENT), tmp_path, r"HTTP 503 Service Unavailable \(2 times\)\); try again later")
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=404), "HTTP 404 Not Found"),
        (Fault(status=204), "HTTP 204 No Content"),
        (Fault(content=b"<html>moved</html>"), "it has 18 bytes, and 10,240 are published"),
        (Fault(content=CONTENT + b"?"), "it has 10,241 bytes, and 10,240 are published"),
        (Fault(content=CONTENT[::-1]), f"its SHA-256 is .{{16}}..., and {SHA256[:16]}... is published"),
        (Fault(length=10_000), "it has 10,000 bytes, and 10,240 are published"),
        (Fault(to="ftp://127.0.0.1/a.gz"), "unknown url type: ftp"),
        (Fault(to="file:///etc/passwd"), "HTTP 302 Found .* not allowed"),
    ],
)
def test_the_next_mirror_is_taken(site, tmp_path, fault, reason):
    site.faults["/0/a.gz"] = itertools.repeat(fault)
    file = site.file("a.gz", CONTENT, mirrors=2)
    checked, notes, _ = run(file, tmp_path)
    assert checked.address == file.addresses[1]
    assert len(notes) == 1
    assert re.search(f"/0/a.gz: {reason}.*; trying the next address", notes[0])
    assert [path for path, _ in site.asked] == ["/0/a.gz", "/1/a.gz"]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    fails(replace(file, name="b.gz", addresses=file.addresses[:1]), tmp_path, reason)


def test_a_mirror_goes_on_with_the_others_bytes(site, tmp_path):
    site.faults["/0/a.gz"] = iter([Fault(stop=3000), Fault(status=404)])
    run(site.file("a.gz", CONTENT, mirrors=2), tmp_path)
    assert site.asked[-1] == ("/1/a.gz", "bytes=3000-")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_more_bytes_are_announced_than_there_are(site, tmp_path):
    # though what there is is whole
    site.faults["/0/a.gz"] = itertools.repeat(Fault(length=20_480))
    fails(site.file("a.gz", CONTENT), tmp_path, "it has 20,480 bytes, and 10,240 are published")


def test_a_redirect_is_followed(site, tmp_path):
    site.files["/moved"] = CONTENT
    site.faults["/0/a.gz"] = itertools.repeat(Fault(to="/moved"))
    run(site.file("a.gz", CONTENT), tmp_path)
    assert [path for path, _ in site.asked] == ["/0/a.gz", "/moved"]
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_redirect_in_a_circle_ends(site, tmp_path):
    site.faults["/0/a.gz"] = itertools.repeat(Fault(to="/0/a.gz"))
    fails(site.file("a.gz", CONTENT), tmp_path, "HTTP 302 .*infinite loop")


@pytest.mark.parametrize("fault", [Fault(stop=100, hang=True), Fault(stop=0, hang=True)])
def test_a_silent_server_is_given_up(site, tmp_path, fault):
    site.faults["/0/a.gz"] = itertools.repeat(fault)
    fails(site.file("a.gz", CONTENT), tmp_path, r"no answer in 0.2 s \(2 times\)", replace(QUICK, timeout=0.2))


def test_a_server_that_drips_is_given_up(site, tmp_path):
    site.faults["/0/a.gz"] = itertools.repeat(Fault(drip=0.05))
    fails(site.file("a.gz", CONTENT), tmp_path, r"\d+ bytes came in \d s \(2 times\)", replace(QUICK, timeout=0.2))


def test_nobody_listens(site, tmp_path):
    file = replace(site.file("a.gz", CONTENT), addresses=("http://127.0.0.1:1/a.gz",))
    fails(file, tmp_path, r"127.0.0.1:1: the connection broke \(Connection refused\) \(2 times\)\); try again later")


def test_a_host_that_is_not_there(site, tmp_path):
    file = replace(site.file("a.gz", CONTENT), addresses=("http://nowhere.invalid/a.gz",))
    fails(file, tmp_path, "nowhere.invalid: the host's name is not known here")
