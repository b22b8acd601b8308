"""Parts of a network by pattern, against a loop over the path's beginnings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import SpecError
from cnnlab.models.patterns import check_patterns, matches

PATHS = [
    "stem.conv.kernel",
    "stem.norm.scale",
    "stage1.block0.conv1.kernel",
    "stage1.block0.norm1.scale",
    "stage10.block0.conv1.kernel",
    "head.kernel",
    "head.bias",
]


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("stem", [0, 1]),
        ("stem.conv", [0]),
        ("stem.conv.kernel", [0]),
        ("stage1", [2, 3]),  # and not stage10
        ("stage10", [4]),
        ("stage1.block0", [2, 3]),
        ("stage*", [2, 3, 4]),
        ("stage?", [2, 3]),
        ("stage[02-9]*", []),
        ("stage[0-9]", [2, 3]),
        ("*.norm1", [3]),
        ("*.block0.conv1", [2, 4]),
        ("*.kernel", [0, 2, 4, 5]),
        ("head.bias", [6]),
        ("head", [5, 6]),
        ("*", [0, 1, 2, 3, 4, 5, 6]),
        ("conv", []),  # a path begins at the network
        ("conv1", []),
        ("st", []),
        ("hea", []),
        ("ead", []),
        ("bias", []),
        ("Stem", []),
        ("stem.", []),
        (".stem", []),
        ("stem.conv.kernel.x", []),
        ("", []),
    ],
)
def test_what_a_pattern_names(pattern, places):
    assert [i for i, path in enumerate(PATHS) if matches(path, pattern)] == places


NAMES = st.text("ab1", min_size=1, max_size=3)


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_a_pattern_without_a_star_is_the_beginning_of_a_path_part_by_part(path, pattern):
    assert matches(".".join(path), ".".join(pattern)) == (path[: len(pattern)] == pattern)


@given(st.lists(NAMES, min_size=1, max_size=4), st.text("ab1.*?", max_size=6))
def test_a_star_is_any_text_dots_too_and_a_question_mark_one_character(path, pattern):
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    beginnings = [".".join(path[: i + 1]) for i in range(len(path))]
    assert matches(".".join(path), pattern) == any(re.fullmatch(expression, part) for part in beginnings)


def test_patterns_that_all_match_are_fine():
    assert check_patterns(["stem", "*.norm1", "head.bias"], PATHS, "model.freeze") is None
    assert check_patterns([], PATHS, "model.freeze") is None
    assert check_patterns(["stem"], iter(PATHS), "model.freeze") is None


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("stm", "'stm' matches no layer of the network; did you mean 'stem'?"),
        ("Head", "'Head' matches no layer of the network; did you mean 'head'?"),
        ("stage1.blok0", "'stage1.blok0' matches no layer of the network; did you mean 'stage1.block0'?"),
        ("head.biass", "'head.biass' matches no layer of the network; did you mean 'head.bias'?"),
        ("*.bn7", "'*.bn7' matches no layer of the network; its parts are stem, stage1, stage10, head"),
        ("", "'' matches no layer of the network; its parts are stem, stage1, stage10, head"),
    ],
)
def test_a_pattern_that_matches_nothing_is_told(pattern, sentence):
    with pytest.raises(SpecError) as caught:
        check_patterns(["stem", pattern, "nothing"], PATHS, "model.freeze")
    assert str(caught.value) == f"model.freeze: {sentence}"
