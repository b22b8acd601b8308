"""Duplicates: across splits, with other labels, alike but not identical; against a loop over all pairs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.check.duplicates import Duplicates, Leak
from cnnlab.data.check.measures import measure_all
from cnnlab.data.dataset import Dataset, Target


def images(*seeds: int) -> np.ndarray:
    """uint8 [image, 24, 24, 3], the same for the same seed."""
    small = [np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8) for seed in seeds]
    return np.array([np.asarray(Image.fromarray(s).resize((24, 24), Image.Resampling.BICUBIC)) for s in small])


def duplicates(x, y, splits, **more) -> Duplicates:
    names = tuple("abcdef"[: int(np.max(y)) + 1])
    dataset = Dataset(x, np.array(y, np.int32), names, tuple(f"{i}.png" for i in range(len(y))), **more)
    return Duplicates(dataset, {name: np.array(part) for name, part in splits.items()}, measure_all(x))


def said(findings):
    return [(f.kind, f.file, f.other, f.split, f.label) for f in findings]


def test_identical_examples_each_with_the_worst_that_is_to_be_said():
    x = images(0, 0, 0, 1, 1, 2, 3)
    found = duplicates(x, [0, 0, 1, 0, 0, 1, 1], {"train": [1, 2, 4, 5, 6], "test": [0, 3]})
    assert said(found.exact()) == [
        ("conflicting_labels", "2.png", "1.png", "train", "b"),
        ("conflicting_labels", "0.png", "2.png", "test", "a"),
        ("leak", "3.png", "4.png", "test", "a"),
    ]
    assert [f.what for f in found.exact()] == [
        "is 1.png, here 'b' and there 'a'",
        "is 2.png, here in test and there in train, here 'a' and there 'b'",
        "is 4.png, here in test and there in train",
    ]
    assert list(found.alike()) == []
    assert list(found.leaks()) == [Leak("test", "train", 2, 2, 0)]


def test_images_that_look_alike():
    x = images(0, 1, 2, 0, 1, 2)
    x[3:] = np.clip(x[3:].astype(int) * 0.9 + 10, 0, 255)
    found = duplicates(x, [0, 0, 1, 0, 1, 1], {"train": [0, 1, 2, 5], "validation": [3], "test": [4]})
    assert list(found.exact()) == []
    assert said(found.alike()) == [
        ("near_duplicate", "5.png", "2.png", "train", "b"),
        ("near_leak", "3.png", "0.png", "validation", "a"),
        ("near_conflicting_labels", "4.png", "1.png", "test", "b"),
    ]
    assert next(found.alike()).what == "looks like 2.png"
    leaks = {(leak.split, leak.earlier): (leak.identical, leak.near) for leak in found.leaks()}
    assert leaks == {("validation", "train"): (0, 1), ("test", "train"): (0, 1), ("test", "validation"): (0, 0)}


def test_another_colour_of_the_same_luminance_is_no_copy():
    shape = images(0)[0].mean(-1)
    grey = np.repeat(shape[..., None], 3, -1)
    red = np.stack([np.minimum(shape + 80, 255), np.maximum(shape - 41, 0), shape], -1)
    found = duplicates(np.array([grey, red], np.uint8), [0, 1], {"train": [0, 1]})
    assert list(found.alike()) == []


def test_flat_images_have_no_look_to_compare():
    x = np.array([np.full((16, 16, 1), value) for value in (10, 20, 30)], np.uint8)
    x[1, 3, 3] += 2
    assert list(duplicates(x, [0, 1, 0], {"train": [0, 1, 2]}).alike()) == []


def test_signals_vectors_and_tiny_images_are_compared_exactly_alone():
    random = np.random.default_rng(0)
    for shape in ((30, 2), (5,), (6, 6, 1), (8, 8, 8, 1)):
        x = random.normal(size=(4, *shape)).astype(np.float32)
        x[2], x[3] = x[0], x[1] + 1e-6
        found = duplicates(x, [0, 1, 0, 1], {"train": [0, 1], "test": [2, 3]})
        assert said(found.exact()) == [("leak", "2.png", "0.png", "test", "a")]
        assert list(found.alike()) == []


def test_labels_conflict_where_targets_do():
    x = images(0, 0, 1, 1)
    labels = Target(np.array([[1, 0], [1, 1], [0, 1], [0, 1]], np.uint8), ("cat", "dog"))
    dataset = Dataset(x, np.zeros(4, np.int32), (), targets={"labels": labels})
    found = Duplicates(dataset, {"train": np.arange(4)}, measure_all(x))
    first, second = found.exact()
    assert (first.kind, first.what) == ("conflicting_labels", "is example 0, of other targets")
    assert (second.kind, second.what) == ("duplicate", "is example 2")


def test_a_thousand_nearly_equal_images_are_a_finding_each():
    base = images(7)[0].astype(int)
    x = np.clip(base + np.random.default_rng(0).integers(-1, 2, (1000, *base.shape)), 0, 255).astype(np.uint8)
    found = duplicates(x, np.arange(1000) % 2, {"train": range(600), "test": range(600, 1000)})
    assert len(list(found.alike())) == 999
    assert len(found.near) < 20_000
    assert list(found.leaks()) == [Leak("test", "train", 400, 0, 400)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20))
def test_kinds_against_all_pairs(rows):
    """Each example with the worst pair that it makes with an earlier one."""
    content, labels, parts = (np.array(column) for column in zip(*rows, strict=True))
    names = ("train", "validation", "test")
    splits = {name: np.flatnonzero(parts == k) for k, name in enumerate(names) if (parts == k).any()}
    found = duplicates(images(*content.tolist()), labels, splits)
    order = sorted(range(len(rows)), key=lambda i: (parts[i], i))
    expected = {}
    for place, i in enumerate(order):
        pairs = [j for j in order[:place] if content[i] == content[j]]
        if any(labels[i] != labels[j] for j in pairs):
            expected[f"{i}.png"] = "conflicting_labels"
        elif pairs:
            expected[f"{i}.png"] = "leak" if any(parts[i] != parts[j] for j in pairs) else "duplicate"
    assert {f.file: f.kind for f in found.exact()} == expected
    for leak in found.leaks():
        here, there = names.index(leak.split), names.index(leak.earlier)
        twice = sum(part == here and bool(((content == c) & (parts == there)).any()) for c, _, part in rows)
        assert leak.identical == twice
