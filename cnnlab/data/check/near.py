"""Pairs of images that look alike: close hashes, confirmed by the low frequencies themselves."""

from collections.abc import Iterator

import numpy as np

from cnnlab.data.check.hashes import close_pairs, hashes
from cnnlab.data.check.measures import Measures

SAME_LOOK = 0.99  # correlation of the 63 lowest frequencies, on which a close pair of hashes is confirmed
SAME_COLOUR = 0.1  # of the range of all values: how far channels' means may lie apart, beside the brightness
FLAT = 1 / 255  # of the range: an image whose low frequencies deviate less has no look to compare
HEADS = 6


def near_pairs(measures: Measures, keys: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, bool]:
    """Pairs [pair, 2] of examples that look alike and are not identical, the one of higher rank first; is it all?

    keys: [example, 2] split and label. Each example is held against a few of every hash that is close to its own,
    the first ones of each split and label: of a thousand nearly equal images all pairs would say nothing more.
    """
    span = float(measures.high.max() - measures.low.min()) if len(measures) else 0.0
    flat = measures.frequencies.reshape(len(measures), -1)[:, 1:]
    lengths = np.linalg.norm(flat, axis=1)
    shown = np.flatnonzero(lengths > FLAT * span)  # NaN is not larger
    if len(shown) < 2:
        return np.empty((0, 2), np.int64), True
    shown = shown[np.argsort(rank[shown], kind="stable")]
    unit = flat / np.where(lengths > 0, lengths, 1)[:, None]
    colour = measures.mean - measures.mean.mean(1, keepdims=True)
    distinct, group = np.unique(hashes(measures.frequencies[shown]), return_inverse=True)
    close, complete = close_pairs(distinct)
    content = {digest: i for i, digest in enumerate(measures.digests.tolist())}
    identical = np.array([content[digest] for digest in measures.digests.tolist()])
    found = [np.empty((0, 2), np.int64)]
    for pairs in _candidates(group, keys[shown], close):
        i, j = shown[pairs].T
        keep = (rank[j] < rank[i]) & (identical[i] != identical[j])
        i, j = i[keep], j[keep]
        alike = np.einsum("pf,pf->p", unit[i], unit[j]) >= SAME_LOOK
        alike &= np.abs(colour[i] - colour[j]).max(1) <= SAME_COLOUR * span
        found.append(np.stack([i[alike], j[alike]], 1))
    return np.unique(np.concatenate(found), axis=0), complete


def _candidates(group: np.ndarray, keys: np.ndarray, close: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs [pair, 2]: each member of a group and the heads of that group and of those close to it, in parts.

    group: [member] the place of its hash, members in order; close: [pair, 2] of groups.
    """
    count = int(group.max()) + 1
    members = np.argsort(group, kind="stable")
    _, first = np.unique(np.column_stack([group, keys]), axis=0, return_index=True)
    heads = np.sort(first)
    heads = heads[np.argsort(group[heads], kind="stable")]
    heads = heads[_number_within(group[heads]) < HEADS]
    begin, start = (np.searchsorted(group[these], np.arange(count + 1)) for these in (members, heads))
    own = np.repeat(np.arange(count)[:, None], 2, 1)
    both = np.concatenate([own, close, close[:, ::-1]])
    sizes = np.diff(begin)[both[:, 0]] * np.diff(start)[both[:, 1]]
    for part in np.array_split(np.arange(len(both)), 1 + int(sizes.sum()) // 2**21):
        (a, b), size = both[part].T, sizes[part]
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        a, b = np.repeat(a, size), np.repeat(b, size)
        width = np.diff(start)[b]
        yield np.stack([members[begin[a] + place // width], heads[start[b] + place % width]], 1)


def _number_within(sorted_groups: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each run of equal values."""
    places = np.arange(len(sorted_groups))
    return places - np.searchsorted(sorted_groups, sorted_groups)
