"""Fingerprints change with everything that matters, and with nothing else."""

import hashlib
from dataclasses import replace

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.fingerprint import content_digests, dataset_fingerprint, example_digests, split_fingerprint

X = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
DATA = Dataset(X, np.array([0, 1, 2, 0, 1, 2], np.int32), ("cat", "dog", "elk"))


def test_content_by_its_definition():
    expected = [hashlib.sha256(b"|u1 (4, 5, 3) " + image.tobytes()).digest() for image in X]
    assert list(content_digests(X)) == expected
    assert list(content_digests(np.asfortranarray(X))) == expected
    assert list(content_digests(np.concatenate([X, X])[::2])) == [expected[i] for i in (0, 2, 4, 0, 2, 4)]
    assert content_digests(X[:0]) == ()


def test_content_knows_shape_and_type():
    flat = X.reshape(6, -1)
    assert not set(content_digests(X)) & set(content_digests(flat))
    assert not set(content_digests(flat)) & set(content_digests(flat.view(np.int8)))


def test_examples_know_their_label():
    renamed = replace(DATA, classes=("cat", "dog", "fox"))
    same = [a == b for a, b in zip(example_digests(DATA), example_digests(renamed), strict=True)]
    assert same == [True, True, False, True, True, False]


def test_data_depends_on_values_labels_classes_and_order():
    x, y = X.copy(), DATA.y.copy()
    x[3, 1, 2, 0] ^= 1
    y[5] = 0
    order = [1, 0, 2, 3, 4, 5]
    variants = [
        DATA,
        Dataset(x, DATA.y, DATA.classes),
        Dataset(X, y, DATA.classes),
        Dataset(X, DATA.y, ("cat", "dog", "elk", "fox")),
        Dataset(X[order], DATA.y[order], DATA.classes),
    ]
    prints = [dataset_fingerprint(data) for data in variants]
    assert len(set(prints)) == len(variants)
    assert all(len(text) == 64 and int(text, 16) >= 0 for text in prints)
    assert dataset_fingerprint(Dataset(X.copy(), DATA.y.copy(), DATA.classes)) == prints[0]


def test_split_depends_on_its_examples_and_not_on_their_order():
    first = split_fingerprint(DATA, np.array([0, 2, 5]))
    assert first == split_fingerprint(DATA, np.array([5, 0, 2]))
    assert len({first, split_fingerprint(DATA, np.array([0, 2])), split_fingerprint(DATA, np.array([0, 2, 4]))}) == 3
    assert len(first) == 64
