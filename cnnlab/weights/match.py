"""Tensors of a file -> the weights of a network: all of them, in their places, or not at all."""

from collections.abc import Mapping

import numpy as np
from flax import nnx

from cnnlab.errors import DataError
from cnnlab.weights.files import Description
from cnnlab.weights.names import OURS, Tensor, schemes, tensors, used

Weights = dict[str, np.ndarray]  # by our names: `stem.conv.kernel`


def matched(
    model: nnx.Module,
    name: str | None,
    axes: int,
    found: Mapping[str, np.ndarray],
    description: Description | None,
    where: str,
    *,
    without: tuple[str, ...] = (),
) -> Weights:
    """Every parameter and running statistic of the network `name`, by our names and in our layout.

    The naming is the file's own where it says so, else the one of the network's schemes that fits best.
    `without` are the paths of layers that are not taken from the file. Raises DataError that lists every tensor
    which is missing, not known, or of another shape.
    """
    candidates = {scheme: tensors(model, name, scheme, axes) for scheme in schemes(name)}
    if description is not None and description.scheme == OURS:
        wanted = {entry.ours: entry for entry in next(iter(candidates.values()))}
    else:
        by_fit = sorted(candidates, key=lambda scheme: -len({e.torch for e in candidates[scheme]} & set(found)))
        wanted = {entry.torch: entry for entry in candidates[by_fit[0]]}
    ours = description is not None and description.scheme == OURS
    left_out = {key for key, entry in wanted.items() if entry.ours.rpartition(".")[0] in without}
    if ours:  # where the file has several heads and the network one, or the other way round
        left_out |= {key for key in found if key.startswith(tuple(f"{path}." for path in without))}
    wanted = {key: entry for key, entry in wanted.items() if key not in left_out}
    if not ours:
        found = {key: _flat(value, wanted.get(key)) for key, value in found.items()}
    _check(wanted, found, left_out, where, name, ours=ours)
    return {
        entry.ours: np.asarray(found[key] if ours else entry.from_torch(found[key]), np.float32)
        for key, entry in wanted.items()
    }


def _flat(value: np.ndarray, entry: Tensor | None) -> np.ndarray:
    """A dense layer that its publisher has as a convolution over the whole map (timm's VGG): the same weights."""
    if entry is None or value.ndim <= len(entry.shape) or len(entry.shape) != 2:
        return value
    flat = value.reshape(len(value), -1)
    return flat if flat.shape == entry.torch_shape else value


def _check(
    wanted: Mapping[str, Tensor],
    found: Mapping[str, np.ndarray],
    left_out: set[str],
    where: str,
    name: str | None,
    *,
    ours: bool,
) -> None:
    there = used(found) - left_out
    missing, unexpected = sorted(set(wanted) - there), sorted(there - set(wanted))
    shapes = {key: entry.shape if ours else entry.torch_shape for key, entry in wanted.items()}
    misshapen = [
        f"{key} is {list(found[key].shape)}, not {list(shapes[key])}"
        for key in wanted
        if key in found and found[key].shape != shapes[key]
    ]
    parts = [
        f"  {word}: {', '.join(names)}"
        for word, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if parts:
        message = f"not the weights of {name or 'this network'}; nothing was loaded"
        raise DataError("\n".join([message, *parts]), where=where)
