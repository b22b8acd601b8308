"""YAML 1.2 scalars, positions, and a sentence for what is no YAML."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.errors import SpecError
from cnnlab.spec import yaml
from cnnlab.spec.dump import quoted
from cnnlab.spec.yaml import dotted, parse, scalar

# ---------------------------------------------------------------- scalars


@pytest.mark.parametrize(  # the tables of https://yaml.org/spec/1.2.2/#103-core-schema, and what 1.1 reads otherwise
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        *[(text, text) for text in ("no", "No", "yes", "on", "off", "y", "n", "nULL", "tRue", "None")],
        *[("0", 0), ("-0", 0), ("+12", 12), ("-7", -7), ("010", 10), ("0o10", 8), ("0x1F", 31), ("0xff", 255)],
        *[(text, text) for text in ("0o8", "0o", "0x", "0xG", "0x1_F", "0b11", "-0x1", "1_000", "12:30", "0X1")],
        *[("1e-3", 0.001), ("1E3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5e+2", -150.0), ("+0.5", 0.5)],
        *[(".inf", math.inf), ("+.Inf", math.inf), ("-.INF", -math.inf), ("1e999", math.inf)],
        *[(text, text) for text in ("inf", "nan", ".", "e3", "1e", "1 2", "1.2.3", "2024-01-01", "١")],
    ],
)
def test_plain_scalars(text, value):
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)
    assert parse(f"key: {text}", "s").data == {"key": value}


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text):
    assert math.isnan(scalar(text))


def test_a_number_of_more_digits_than_python_prints_stays_text():
    assert scalar("9" * 5000) == "9" * 5000
    assert scalar("0x" + "f" * 5000) == "0x" + "f" * 5000


@pytest.mark.parametrize("text", ["'1e-3'", '"1e-3"', "|-\n  1e-3", ">-\n  1e-3"])
def test_quoted_and_block_scalars_are_text(text):
    assert parse(f"key: {text}", "s").data == {"key": "1e-3"}


@settings(deadline=None)
@given(st.integers())
def test_whole_numbers(number):
    for text in (str(number), f"{number:+}"):
        assert scalar(text) == number
        assert type(scalar(text)) is int
    assert scalar(f"0x{abs(number):x}") == scalar(f"0o{abs(number):o}") == abs(number)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_fractions(number):
    assert scalar(repr(number)) == number
    assert type(scalar(repr(number))) is float


@settings(deadline=None)
@given(st.text())
def test_text_survives_being_written_and_read(text):
    assert len(quoted(text).splitlines()) == 1
    assert parse(f"key: {quoted(text)}\n", "s").data == {"key": text}


@settings(deadline=None)
@given(st.sampled_from(["no", "1e-3", "010", "0o7", "~", "", "a: b", "# c", "- d", "'", '"', "*a", "!b", "%", "é\n"]))
def test_text_that_looks_like_something_else_survives(text):
    line = quoted(text)
    assert "\n" not in line
    assert parse(f"key: {line}\n", "s").data == {"key": text}


# ---------------------------------------------------------------- structure and positions


def test_positions_of_keys_and_values():
    document = parse("# head\na:\n  - b: 1\n    cc: [x,  y]\n", "dir/spec.yaml")
    assert document.data == {"a": [{"b": 1, "cc": ["x", "y"]}]}
    assert document.where(("a", 0, "cc", 1)) == "dir/spec.yaml:4:14"
    assert document.where(("a", 0, "cc")) == "dir/spec.yaml:4:9"
    assert document.where(("a", 0, "cc"), key=True) == "dir/spec.yaml:4:5"
    assert document.where(("a", 0, "absent", "deeper")) == "dir/spec.yaml:3:5"
    assert document.where(()) == "dir/spec.yaml:2:1"


def test_keys_are_text_whatever_they_look_like():
    assert parse("1: a\nno: b\nnull: c\n'x y': d\n", "s").data == {"1": "a", "no": "b", "null": "c", "x y": "d"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n...\n"])
def test_an_empty_file_is_nothing(text):
    assert parse(text, "s").data is None


def test_an_alias_is_what_it_points_at():
    document = parse("a: &same {x: 1e-3}\nb: *same\n", "s")
    assert document.data == {"a": {"x": 0.001}, "b": {"x": 0.001}}
    assert document.where(("b", "x")) == "s:1:14"


def test_a_byte_order_mark_and_windows_lines_change_nothing():
    assert parse("\ufeffa: 1\r\nb: no\r\n", "s").data == {"a": 1, "b": "no"}


def test_doubled_keys_are_listed_with_both_positions():
    document = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n", "spec.yaml")
    assert document.data == {"a": 1, "b": {"c": 1}}
    assert [str(error) for error in document.errors] == [
        "spec.yaml:2:11: the key 'c' is given twice, first at spec.yaml:2:5; keep one of them",
        "spec.yaml:3:1: the key 'a' is given twice, first at spec.yaml:1:1; keep one of them",
    ]


def test_quoting_a_key_does_not_make_it_another_one():
    errors = parse("a: 1\n'a': 2\n", "s").errors
    assert [str(error) for error in errors] == ["s:2:1: the key 'a' is given twice, first at s:1:1; keep one of them"]


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("a",), "a"), (("a", 0, "b", "c"), "a[0].b.c"), (("a", 1, 2), "a[1][2]")],
)
def test_paths_as_people_write_them(path, text):
    assert dotted(path) == text


# ---------------------------------------------------------------- no YAML

BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{key}: &{key} [{','.join([f'*{before}'] * 10)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a:\n\tb: 1\n", r"spec.yaml:2:1: not YAML: .*character '\\t' that cannot start any token; see"),
        ("a: [1, 2\nb: 3\n", "spec.yaml:2:2: not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("a: 'x\n", "spec.yaml:2:1: not YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: b: c\n", "spec.yaml:1:5: not YAML: mapping values are not allowed here; see"),
        ("a: 1\n b: 2\n", "spec.yaml:2:3: not YAML: mapping values are not allowed here; see"),
        ("a:\n    b: 1\n  c: 2\n", "spec.yaml:3:3: not YAML: while parsing a block mapping, expected <block end>"),
        ("a: *b\n", "spec.yaml:1:4: not YAML: found undefined alias 'b'; see"),
        ("a: &x 1\nb: &x 2\n", "spec.yaml:2:4: not YAML: found duplicate anchor 'x'"),
        ("a: 1\n---\na: 2\n", "spec.yaml:2:1: not YAML: expected a single document in the stream, but found another"),
        ("a: 1\nb: \x07c\n", r"spec.yaml:2:4: not YAML: the character '\\x07' is not allowed; take it out"),
        ("\x00", r"spec.yaml:1:1: not YAML: the character '\\x00' is not allowed; take it out"),
        ("a: &a [*a]\n", "spec.yaml:1:4: an alias that holds itself, or far too many of them; write it out"),
        ("a: &a {b: {c: *a}}\n", "spec.yaml:1:4: an alias that holds itself, or far too many of them; write it out"),
        (BOMB, r"spec.yaml:1:\d+: an alias that holds itself, or far too many of them; write it out"),
        ("[" * 3000, "spec.yaml: lists and mappings are nested too deeply; write it flatter"),
        ("? [1, 2]\n: 3\n", "spec.yaml:1:3: a key must be a word"),
        ("a: !!str 1\n", "spec.yaml:1:4: the tag !!str has no meaning in a spec; leave it out"),
        ("a: !!python/name:os.system\n", "spec.yaml:1:4: the tag !!python/name:os.system has no meaning"),
        ("a: !mine {b: 1}\n", "spec.yaml:1:4: the tag !mine has no meaning in a spec; leave it out"),
    ],
)
def test_what_is_no_yaml_is_one_sentence_with_its_position(text, sentence):
    with pytest.raises(SpecError, match=f"^{sentence}") as caught:
        parse(text, "spec.yaml")
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.text(alphabet="abc:-[]{}&*!|>'\"%@`#?,~ \t\n0.e\x07", max_size=40))
def test_any_text_is_data_or_one_sentence(text):
    try:
        outcome = "s: " if isinstance(parse(text, "s"), yaml.Document) else ""
    except SpecError as error:
        outcome = str(error)
    assert outcome.startswith("s")
    assert "\n" not in outcome
