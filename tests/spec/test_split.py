"""What `data.split` and `data.sampling` take and refuse, each refusal a sentence that points at the setting."""

from pathlib import Path

import pytest

from cnnlab.spec.load import load, parse
from cnnlab.spec.split import Split, kind_of

MODEL = "\nmodel: {name: lenet5}\n"
AMOUNT = "a number of examples, rest, or a file of names"
ALIKE = "beside numbers of examples, which are whole; give them all alike"
TABLE = "the table says which example is in which split; leave"
FOLDS = "with folds one of them validates and the others train; leave"
CSV = "source: csv, path: a, images: b, labels: c"


def split(text: str, source: str = "source: digits") -> str:
    return f"data: {{{source}, {text}}}" + MODEL


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (split("split: {train: ^0}"), f"data.split.train: must be a share above 0, {AMOUNT}, not 0"),
        (split("split: {train: ^-3}"), f"data.split.train: must be a share above 0, {AMOUNT}, not -3"),
        (split("split: {train: ^true}"), f"data.split.train: must be a share above 0, {AMOUNT}, not true"),
        (split("split: {train: 1, test: ^[2]}"), f"data.split.test: must be a share from 0, {AMOUNT}, not [2]"),
        (split("split: {train: 1, validation: ^''}"),
         f"data.split.validation: must be a share from 0, {AMOUNT}, not ''"),
        (split("^split: {test: 0.5}"), "data.split: train is required beside what else there is"),
        (split("^split: {train: 0.5, validation: rest, test: rest}"),
         "data.split: validation and test cannot both have the rest"),
        (split("^split: {train: 0.8, validation: 0.2, test: rest}"),
         "data.split: the shares add up to 1, and nothing is left for test, which has the rest"),
        (split("^split: {train: 0.8, validation: 0.2, unused: rest}"),
         "data.split: the shares add up to 1, and nothing is left for unused, which has the rest"),
        (split("split: {train: 100, ^test: 0.2}"), f"data.split.test: 0.2 {ALIKE}"),
        (split("split: {train: 100, test: ^.inf}"), f"data.split.test: must be a share from 0, {AMOUNT}, not inf"),
        (split("split: {^train: 100.0, test: 5}"), f"data.split.train: 100 {ALIKE}"),
        (split("split: {train: a.txt, ^test: 0.2}"),
         "data.split.test: 0.2 beside a file; give test a file too, or rest"),
        (split("split: {train: a.txt, test: rest, ^seed: 3}"),
         "data.split.seed: nothing is drawn: files say which example is in which split"),
        (split("split: {train: a.txt, ^stratify: false}"),
         "data.split.stratify: nothing is drawn: files say which example is in which split"),
        (split("split: {train: 1, unused: ^0.2}"), "data.split.unused: must be one of rest, not 0.2"),
        (split("split: {^fold: 2}"), "data.split.fold: fold 2 of how many? Give data.split.folds"),
        (split("split: {folds: 5, ^fold: 6}"), "data.split.fold: 6, and there are 5 folds, counted from 1"),
        (split("split: {folds: ^1}"), "data.split.folds: must be at least 2, not 1"),
        (split("split: {folds: 5, ^train: 0.5, test: 0.5}"), f"data.split.train: {FOLDS} train out"),
        (split("split: {folds: 5, ^validation: 0.5}"), f"data.split.validation: {FOLDS} validation out"),
        (split("split: {folds: 5, ^test: rest}"),
         "data.split.test: with folds the rest is for them; give test a share, a number or a file"),
        (split("^split: {folds: 5, test: 1}"),
         "data.split: the shares add up to 1, and nothing is left for train, which has the rest"),
        (split("split: {^column: a, train: 0.5, seed: 3, stratify: false}", CSV),
         f"data.split.column: {TABLE} train and seed and stratify out"),
        (split("split: {^column: a, folds: 3}", CSV), f"data.split.column: {TABLE} folds out"),
        (split("split: {^column: a}"),
         "data.split.column: the source digits is no table; give shares, numbers or files"),
        (split("split: {^column: a}, split_column: b", CSV),
         "data.split.column: data.split_column names a column too; keep one of the two"),
        (split("split: {^group: '(.)_'}, group_column: b", CSV),
         "data.split.group: data.group_column says which examples belong together; keep one of the two"),
        (split("split: {group: ^'(a'}"), "data.split.group: is no regular expression: missing ), "
         "unterminated subpattern at position 0, not '(a'"),
        (split("split: {group: ^'a'}"), "data.split.group: must have one group in (), and has 0, not 'a'"),
        (split("split: {group: ^'(a)(b)'}"), "data.split.group: must have one group in (), and has 2, not '(a)(b)'"),
        (split("split: {train: 100, test: rest}") + "train: {early_stopping: {^metric: validation/loss}}",
         "train.early_stopping.metric: validation/loss is never measured: data.split.validation is 0; "
         "watch train/loss"),
        (split("batch_size: 8") + "train: {early_stopping: {metric: ^test/loss}}",
         "train.early_stopping.metric: test/loss would choose by the test split, which would measure nothing new then; "
         "watch validation/loss"),
        (split("sampling: ^evenly"),
         "data.sampling: must be balanced, or a weight for each class that is named, not 'evenly'"),
        (split("sampling: ^{}"), "data.sampling: must be balanced, or a weight for each class that is named, not {}"),
        (split("sampling: ^{a: 1, 5: 0}"), "data.sampling: the weight of '5' must be above 0, not 0"),
        (split("sampling: ^{a: yes}"), "data.sampling: the weight of 'a' must be above 0, not yes"),
        (split("sampling: ^{a: .nan}"), "data.sampling: the weight of 'a' must be above 0, not nan"),
    ],
)  # fmt: skip
def test_each_refusal_points_at_the_setting(refused_at, text, sentence):
    assert refused_at(text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "{train: 1000, validation: 200, test: 597}",
        "{train: rest, validation: 200}",
        "{train: 0.1, test: 0.2, unused: rest}",
        "{train: 1, validation: 2, test: 3}",  # a number above 1: numbers of examples, one to train
        "{train: a.txt, validation: b.txt, test: rest}",
        "{folds: 5}",
        "{folds: 5, fold: 5, test: 200, seed: 3, stratify: false}",
        "{folds: 5, test: test.txt, seed: 3}",
        "{seed: 3}",
        "{stratify: false, group: '^(p[0-9]+)_'}",
    ],
)
def test_what_is_taken(text):
    found = parse(split(f"split: {text}") + "train: {early_stopping: {metric: train/loss}}", "s").data.split
    assert found is not None
    assert Split.model_validate(found.model_dump()) == found


def test_the_kind_of_amounts():
    assert kind_of([1, 0.0]) == kind_of([0.5, "rest"]) == kind_of([]) == "shares"
    assert kind_of([1, 2]) == kind_of(["rest", 2.0]) == "counts"
    assert kind_of(["rest", "a"]) == kind_of([0.5, "a"]) == "files"


def test_files_start_at_the_spec(tmp_path):
    (tmp_path / "s.yaml").write_text(split("split: {train: rest, validation: lists/v.txt, test: /t.txt}"))
    found = load(tmp_path / "s.yaml").data.split
    assert found is not None
    assert (found.train, found.validation, found.test) == ("rest", str(tmp_path / "lists" / "v.txt"), "/t.txt")
    assert found.with_paths(lambda path: str(Path("/elsewhere") / path)) == found


def test_a_class_called_5_may_be_written_as_a_number():
    assert parse(split("sampling: {5: 2, cat: 0.5}"), "s").data.sampling == {"5": 2.0, "cat": 0.5}
    assert parse(split("sampling: balanced"), "s").data.sampling == "balanced"
