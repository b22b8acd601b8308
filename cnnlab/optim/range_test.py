"""The learning-rate range test (Smith 2017, "Cyclical learning rates", section 3.3): what its losses say."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from cnnlab.optim.schedules import Rate

SMOOTHING = 0.75
HOPELESS = 4.0  # times the least smoothed loss: nothing is to be learnt from larger rates


def growing(low: float, high: float, updates: int) -> Rate:
    """The rate of each of so many updates, from `low` to `high`, each the same factor above the one before."""
    growth = np.log(high / low) / max(updates - 1, 1)
    return lambda update: jnp.float32(low) * jnp.exp(jnp.float32(growth) * update)


@dataclass(frozen=True)
class RangeTest:
    """Learning rates, the losses of the batches before their updates, and the losses smoothed; as long as each other.

    `suggestion` is the rate at which the smoothed loss falls fastest over the rate's logarithm, before its least;
    None where it never falls.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None

    @property
    def least(self) -> int:
        """The place of the least smoothed loss."""
        return int(self.smoothed.argmin())


def exponential_mean(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Of each value and those before it, without the bias to a start."""
    kept = SMOOTHING ** np.arange(len(values))
    return np.array([kept[i::-1] @ values[: i + 1] / kept[: i + 1].sum() for i in range(len(values))])


def is_hopeless(losses: Sequence[float]) -> bool:
    """Whether the loss has left the finite numbers, or is several times above the least that it was."""
    if not np.isfinite(losses[-1]):
        return True
    mean = exponential_mean(losses)
    return bool(mean[-1] > HOPELESS * mean.min() > 0)


def judged(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """The finite losses and what they suggest.

    They are smoothed forwards and then backwards, which moves no slope to larger rates, as a mean of the past alone
    does; the last, which may be enormous, count as `HOPELESS` times the least, or as the largest before that.
    """
    finite = np.isfinite(losses)
    kept_rates, kept = np.asarray(rates, np.float64)[finite], np.asarray(losses, np.float64)[finite]
    mean = exponential_mean(kept)
    before = kept[: int(mean.argmin()) + 1].max()
    bounded = np.minimum(kept, max(before, HOPELESS * mean.min()))
    smooth = exponential_mean(exponential_mean(bounded)[::-1])[::-1]
    falling = smooth[: int(smooth.argmin()) + 1]
    suggestion = None
    if len(falling) > 2:
        slope = np.gradient(falling, np.log(kept_rates[: len(falling)]))
        suggestion = float(kept_rates[slope.argmin()]) if slope.min() < 0 else None
    return RangeTest(kept_rates, kept, smooth, suggestion)
