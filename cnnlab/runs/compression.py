"""A trained network made smaller without training: kernels in eight bits, layers of low rank, and what it costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnlab.errors import RunError, did_you_mean
from cnnlab.runs.evaluation import Restored
from cnnlab.runs.network import Network, network
from cnnlab.runs.weights import state_weights
from cnnlab.spec.schema import Experiment
from cnnlab.trace.cost import totals
from cnnlab.train.evaluate import evaluate
from cnnlab.train.state import from_named
from cnnlab.train.step import Program, Sizes, compile_program
from cnnlab.weights.factorize import Decomposed, candidates, factorized
from cnnlab.weights.match import Weights
from cnnlab.weights.quantize import all_quantized, dequantized


@dataclass(frozen=True)
class Choice:
    """What to do: layers of low rank, by a share of each one's rank or of its energy; kernels as int8. Or nothing."""

    rank: float | None = None
    energy: float | None = None
    int8: bool = False

    @property
    def low_rank(self) -> bool:
        return self.rank is not None or self.energy is not None

    def __str__(self) -> str:
        parts = [f"{word} {share:g}" for word, share in (("rank", self.rank), ("energy", self.energy)) if share]
        return " + ".join([*parts, *(["int8"] if self.int8 else [])]) or "original"


@dataclass(frozen=True, eq=False)
class Compressed:
    """One outcome: the spec of its network, and what it comes to on the split.

    `ranks` are those of the layers that became two. `size` is the bytes of all tensors. `figures` are the task's of
    a split, such as loss and accuracy.
    """

    choice: Choice
    experiment: Experiment
    network: Network
    ranks: Mapping[str, int]
    size: int
    figures: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The original first, then every choice; `main` names the figure that tells how good they are.

    `stored` are the tensors of the last one, as a file has them.
    """

    split: str
    examples: int
    main: str
    rows: tuple[Compressed, ...]
    stored: Weights

    def document(self) -> dict[str, Any]:
        """What --json prints; differences are from the original."""
        return {"split": self.split, "n": self.examples, "figure": self.main, "rows": [*map(self.row, self.rows)]}

    def row(self, found: Compressed) -> dict[str, Any]:
        total = totals(found.network.costs())
        value = found.figures[self.main]
        return {
            "what": str(found.choice),
            "parameters": total.parameters,
            "bytes": found.size,
            "multiply_adds": total.multiply_adds,
            **found.figures,
            "difference": value - self.rows[0].figures[self.main],
            "ranks": dict(found.ranks),
        }


def compare(restored: Restored, split: str, choices: Sequence[Choice]) -> Comparison:
    """Every choice's figures on a split of the run, by the program that `cnnlab eval` uses.

    Raises RunError where the run is compressed already, has no such split, or its weights are not finite.
    """
    run, prepared = restored.run, restored.prepared
    if run.compression.exists():
        of = run.read_json(run.compression)["of"]
        raise RunError("is compressed already", where=str(run.path), hint=f"name the run that it was made of: {of}")
    if split not in prepared.splits:
        there = list(prepared.splits)
        hint = did_you_mean(split, there) or f"there are {', '.join(there)}"
        raise RunError(f"the run has no split '{split}'", where=str(run.path), hint=hint)
    rows, stored = [], {}
    for row, stored in _compressed(restored, split, [Choice(), *choices]):  # noqa: B007 - the last is kept
        rows.append(row)
    return Comparison(split, len(prepared.splits[split]), restored.program.task.curve, tuple(rows), stored)


def _compressed(restored: Restored, split: str, choices: Sequence[Choice]) -> Iterator[tuple[Compressed, Weights]]:
    """Each choice's outcome, and its tensors as a file has them."""
    experiment, prepared, task = bare_spec(restored.experiment), restored.prepared, restored.program.task
    weights = {name: np.asarray(value) for name, value in state_weights(restored.state).items()}
    if bad := next((name for name, value in weights.items() if not np.isfinite(value).all()), None):
        raise RunError(f"its weights are not all finite: {bad}", where=str(restored.checkpoint.path))
    whole = network(experiment, prepared.input_shape, task)
    paths = candidates(whole.model, prepared.input_shape) if any(choice.low_rank for choice in choices) else ()
    kernels = {path: Decomposed(weights[f"{path}.kernel"]) for path in paths}
    programs: dict[tuple[tuple[str, int], ...], Program] = {(): restored.program}  # of equal ranks it is the same
    for choice in choices:
        ranks = _ranks(choice, kernels)
        model = experiment.model.model_copy(update={"ranks": {**experiment.model.ranks, **ranks}})
        spec = experiment.model_copy(update={"model": model})
        key = tuple(ranks.items())
        if key not in programs:
            programs[key] = compile_program(spec, Sizes.of(spec, prepared))
        stored = factorized(weights, kernels, ranks)
        stored = all_quantized(stored) if choice.int8 else stored
        figures = _figures(programs[key], dequantized(stored), restored, split)
        size = sum(value.nbytes for value in stored.values())
        yield Compressed(choice, spec, network(spec, prepared.input_shape, task), ranks, size, figures), stored


def bare_spec(experiment: Experiment) -> Experiment:
    """The spec of the network as it is after training: without where it started from, and what parts learnt how."""
    model = experiment.model.model_copy(
        update={"weights": None, "new_head": False, "freeze": (), "unfreeze_at_epoch": None}
    )
    optimizer = experiment.optimizer.model_copy(update={"layer_rates": {}})
    return experiment.model_copy(update={"model": model, "optimizer": optimizer})


def _ranks(choice: Choice, kernels: Mapping[str, Decomposed]) -> dict[str, int]:
    """The rank of every layer that becomes two: where that has fewer weights."""
    found = {}
    for path, kernel in kernels.items():
        if choice.energy is not None:
            rank = kernel.rank_of_energy(choice.energy)
        elif choice.rank is not None:
            rank = kernel.rank_of_share(choice.rank)
        else:
            continue
        if kernel.saves(rank):
            found[path] = rank
    return found


def _figures(program: Program, weights: Weights, restored: Restored, split: str) -> dict[str, float]:
    """The task's figures on a split with these weights."""
    state = program.host_state
    state = state._replace(params=from_named(weights, state.params), stats=from_named(weights, state.stats))
    state, size = program.placed(state), restored.experiment.data.batch_size
    found = evaluate(program, state.params, state.stats, restored.prepared, split, size)
    return program.task.validation(found)
