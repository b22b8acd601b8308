"""`runs.measure` and `runs.rounds`: what is timed is training's own step, and the figures follow from the times."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.runs import measure as measuring
from cnnlab.runs import rounds
from cnnlab.runs.measure import measure
from cnnlab.runs.network import find_network
from cnnlab.runs.rounds import Round, Timed, Work, each, products, steps_in, timed_round
from cnnlab.trace.cost import LayerCost, totals, training_multiply_adds
from cnnlab.train.feed import Feed
from cnnlab.train.loop import EpochEnd, fit
from tests.train.test_step import bits, never, program_of

SECONDS = 0.05


def measured(spec: Path, *overrides: str):
    network = find_network(spec, list(overrides), None)
    assert network.prepared is not None
    return measure(network.experiment, network.prepared, network, SECONDS)


# ---------------------------------------------------------------- rounds


class Clock:
    """Time that goes by only where a test says so; a step and the making of a batch take as long as they are told."""

    def __init__(self):
        self.now, self.calls = 100.0, 0

    def perf_counter(self) -> float:
        return self.now

    def work(self, batch_seconds: float, step_seconds: float) -> Work:
        def batches() -> Iterator[int]:
            for number in itertools.count():
                self.now += batch_seconds
                yield number

        def call(_: int) -> np.ndarray:
            self.now += step_seconds
            self.calls += 1
            return np.zeros(())

        return each(batches(), call)


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(rounds, "time", SimpleNamespace(perf_counter=found.perf_counter))
    return found


def test_a_round_tells_data_from_the_rest(clock):
    found = timed_round(clock.work(0.25, 0.75), 8)
    assert found == Round(steps=8, seconds=8.0, data_seconds=2.0)
    assert clock.calls == 8
    assert Timed((found,), 1.0).data_share == 0.25


@pytest.mark.parametrize(("step", "wanted", "steps"), [(0.01, 1.0, 100), (0.5, 2.0, 4), (3.0, 1.0, 1), (0.75, 1.0, 1)])
def test_as_many_steps_as_fill_a_round_and_at_least_one(clock, step, wanted, steps):
    assert steps_in(clock.work(0.0, step), wanted) == steps


TIMES = st.floats(1e-4, 1e3)


@given(
    st.lists(st.tuples(st.integers(1, 1000), TIMES, st.floats(0, 1)), min_size=1, max_size=7).filter(
        lambda found: len(found) % 2 == 1
    ),
    st.floats(1, 1e4),
)
def test_images_a_second_and_milliseconds_a_step_are_the_same_figures(found, images):
    timed = Timed(tuple(Round(steps, seconds, share * seconds) for steps, seconds, share in found), images)
    each = np.array([seconds / steps for steps, seconds, _ in found])
    milliseconds, rate = timed.milliseconds(), timed.images_per_second()
    for key, function in {"median": np.median, "min": np.min, "max": np.max}.items():
        assert milliseconds[key] == pytest.approx(1000 * function(each), rel=1e-12)
        assert rate[key] == pytest.approx(function(images / each), rel=1e-12)
    for slow, fast in {"median": "median", "min": "max", "max": "min"}.items():
        assert rate[fast] == pytest.approx(1000 * images / milliseconds[slow], rel=1e-12)
    assert 0 <= timed.data_share <= 1 + 1e-12


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 2e-2)])
def test_the_products_are_products_in_the_precision_asked_for(precision, tolerance, monkeypatch):
    monkeypatch.setattr(rounds, "LARGEST_SIDE", 512)
    pairs = []
    monkeypatch.setattr(rounds, "each", lambda batches, call: pairs.append(next(batches)) or each(batches, call))
    work, side = products(precision)
    (a, b), (result, _) = pairs[-1], work(1)
    assert (side, a.shape, result.dtype) == (512, (512, 512), precision)
    exact = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    assert np.abs(np.asarray(result, np.float64) - exact).max() < tolerance * np.abs(exact).max()


# ---------------------------------------------------------------- multiply-adds


@pytest.mark.parametrize(
    ("freeze", "times"),
    [
        ((), (3, 3, 3)),
        (("a",), (1, 3, 3)),
        (("a", "b"), (1, 1, 3)),
        (("b",), (3, 2, 3)),  # the gradient passes through b on its way to a
        (("?.kernel",), (1, 1, 1)),
    ],
)
def test_training_counts_forward_and_what_has_a_gradient(freeze, times):
    work = {"a": 1, "b": 100, "c": 10_000}
    rows = []
    for path, count in work.items():
        rows += [LayerCost(path, "dense", (3,), 12, count, 12), LayerCost(f"relu_{path}", "relu", (3,), 0, 0, 12)]
    expected = sum(count * factor for count, factor in zip(work.values(), times, strict=True))
    assert training_multiply_adds(rows, freeze) == expected


# ---------------------------------------------------------------- a spec


def test_what_is_timed_is_the_training_of_the_loop(small):
    """The same state after an epoch, bit for bit: the same step on the same batches in the same order."""
    experiment, prepared, program = program_of(small, "train.epochs=1")
    *_, last = fit(program, experiment, prepared, program.initial_state, 0, never)
    assert isinstance(last, EpochEnd)
    feed = Feed(program, experiment, prepared)
    work = measuring._work(feed, program, experiment, prepared, "validation")["training"]
    work(1)
    state, _ = work(program.steps_per_epoch - 1)
    assert bits(state.params) == bits(last.state.params)
    assert bits(state.stats) == bits(last.state.stats)
    assert int(state.sums["examples"]) == prepared.counts["train"]


def test_nothing_compiles_while_steps_are_timed(small, monkeypatch):
    """Neither in the warm-up: what `compile_seconds` counts is all there is."""
    compiled: list[str] = []

    def hear(name: str, *_: object, **__: object) -> None:
        if name == "/jax/core/compile/backend_compile_duration":
            compiled.append(name)

    during = {"warm-up": 0, "rounds": 0}

    def counted(name: str, function):
        def run(*arguments):
            before = len(compiled)
            result = function(*arguments)
            during[name] += len(compiled) - before
            return result

        return run

    monkeypatch.setattr(measuring, "steps_in", counted("warm-up", steps_in))
    monkeypatch.setattr(measuring, "timed_round", counted("rounds", timed_round))
    jax.monitoring.register_event_duration_secs_listener(hear)
    measured(small)
    assert compiled, "the listener hears compilations"
    assert during == {"warm-up": 0, "rounds": 0}


def test_the_figures_are_consistent(small):
    found = measured(small)
    document = found.document()
    assert document["training"]["images_per_step"] == 54 / 4
    assert document["evaluation"]["images_per_step"] == 18 / 2
    for name in ("training", "evaluation"):
        figures = document[name]
        rate, milliseconds = figures["images_per_second"], figures["milliseconds_per_step"]
        assert rate["median"] == pytest.approx(1000 * figures["images_per_step"] / milliseconds["median"])
        assert rate["min"] <= rate["median"] <= rate["max"]
        assert 0 < figures["data_share"] < 1
        work = figures["multiply_adds_per_image"] * rate["median"]
        assert figures["multiply_adds_per_second"] == pytest.approx(work)
        assert figures["share_of_peak"] == pytest.approx(work / document["peak"]["multiply_adds_per_second"])
    assert found.multiply_adds == totals(found.network.costs()).multiply_adds == 6 * 6 * 9 * 4 + 3 * 3 * 4 * 3
    assert found.training_multiply_adds == 3 * found.multiply_adds
    assert not Path("runs").exists(), "nothing is left behind"


def test_the_step_s_memory_holds_the_state_once(small):
    memory = measured(small).memory
    _, prepared, program = program_of(small)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(program.host_state))
    examples = len(prepared.dataset.y) * (math.prod(prepared.input_shape) + 4)  # uint8 pixels, an int32 label
    batch = 16 * (math.prod(prepared.input_shape) + 4 + 1)  # and a bool; where the host sends each batch
    slack = 64 * len(jax.tree.leaves(program.host_state))
    fed = [pytest.approx(state + more, abs=slack) for more in (batch, examples + 4 * 16 * (4 + 1))]
    assert memory["step_arguments"] in fed
    parts = [memory[f"step_{part}"] for part in ("arguments", "temporary", "results")]
    assert memory["step"] == sum(parts)
    assert parts[2] < state, "the new state lies where the old one was"
    assert memory["process_peak"] > memory["step"]
    assert (memory["device_peak"] is None) == (jax.default_backend() == "cpu")


def test_a_frozen_part_and_a_split_without_validation(small):
    overrides = ["data.split={train: 0.8, test: 0.2}", "model.freeze=[conv_0]", "model.unfreeze_at_epoch=2"]
    found = measured(small, *overrides)
    assert found.split == "test"
    conv, dense = 6 * 6 * 9 * 4, 3 * 3 * 4 * 3
    assert found.training_multiply_adds == conv + 3 * dense
