"""The networks in experiments/README.md, behind the course: a line for every one, and every line true."""

from pathlib import Path

import pytest

from cnnlab.models import MODELS
from cnnlab.report.models import published, row, table

README = (Path(__file__).parents[2] / "experiments" / "README.md").read_text(encoding="utf-8")
NETWORKS = README[README.index("# Networks\n") :]
LINES = {line.split("`")[1]: line for line in NETWORKS.splitlines(keepends=True) if line.startswith("| `")}


def test_every_network_has_its_line_and_the_rest_is_as_written():
    assert list(LINES) == list(MODELS)
    assert NETWORKS.startswith(next(table(())))


@pytest.mark.parametrize("name", MODELS)
def test_a_line_is_true(name):
    assert LINES[name] == row(name), "run: python -m experiments.course --contents"


def test_a_network_is_shown_as_it_was_published():
    assert published("resnet50") == ((224, 224, 3), 1000)
    assert published("efficientnet_b7") == ((600, 600, 3), 1000)
    assert published("lenet1989") == ((16, 16, 1), 10)


def test_what_the_line_of_resnet50_says():
    assert LINES["resnet50"] == "| `resnet50` | 224x224x3 | 1,000 | 25,557,032 | 4.09 G | 427 | 32 |\n"


def test_the_command_prints_the_file(cnnlab, monkeypatch):
    monkeypatch.setattr("cnnlab.report.models.row", LINES.__getitem__)
    assert cnnlab("list", "models", "--figures").out == NETWORKS


def test_other_kinds_have_no_figures(cnnlab):
    ended = cnnlab("list", "layers", "--figures")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "list layers: only models have --figures; leave it out\n"
