"""One pass over a split: the one way in which figures of a split come about."""

from collections.abc import Callable
from typing import Any

from cnnlab.data.batches import evaluation_batches
from cnnlab.data.prepare import Prepared
from cnnlab.metrics.predictions import Predictions, concatenate
from cnnlab.tasks.classification import Outcome, predictions


def evaluate(
    function: Callable[..., Outcome],
    params: Any,
    stats: Any,
    prepared: Prepared,
    split: str,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Predictions:
    """Every example of the split once, in order; `check` is called between batches and may raise."""
    parts, pending = [], None
    for batch in evaluation_batches(prepared, split, batch_size):
        check()
        outcome = function(params, stats, batch.x, batch.y)
        if pending is not None:  # fetched only now, while the device works on the next batch
            parts.append(predictions(*pending))
        pending = (batch.y, outcome, batch.mask)
    if pending is not None:
        parts.append(predictions(*pending))
    return concatenate(parts)
