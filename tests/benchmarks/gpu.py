"""Networks beside PyTorch on a GPU: images/s in turn, and the share of what the device can do.

`python tests/benchmarks/gpu.py -o tests/benchmarks/results-gpu.md`, in a Python that has cnnlab's packages and torch,
both for the device; nothing but the repository is needed. Both sides compute in bfloat16 (PyTorch by autocast, compiled
and channels-last; eager where that is faster), on pixels that lie on the device, with the same batch and update.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from speed import PEER, Worker

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# Images a step, and how many times as fast as PyTorch a network has to be.
BATCHES = {"LeNet-5": 128, "ResNet-18 CIFAR": 128, "ResNet-50": 256, "EfficientNet-B0": 256, "U-Net 128": 64}
WANTED = {"LeNet-5": 2.0, "ResNet-18 CIFAR": 2.0, "ResNet-50": 1.1, "EfficientNet-B0": 1.1, "U-Net 128": 1.1}
VARIANTS = ("compiled", "channels_last")
SECONDS = 2.0
SHARED = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.45", "PYTHONPATH": str(ROOT)}  # two processes hold the device's memory
HEAD = """\
| network, batch | cnnlab, images/s | PyTorch, images/s | ratio | wanted | share of peak arithmetic | of bandwidth |
|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results-gpu.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, help="another batch for all: a try-out on a CPU takes 8")
    parser.add_argument("--costs", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", default=list(BATCHES))
    asked = parser.parse_args()
    batches = {name: asked.batch or BATCHES[name] for name in asked.names}
    if asked.costs:
        print(json.dumps(costs(batches)))
        return
    command = [
        sys.executable,
        __file__,
        "--costs",
        *asked.names,
        *(["--batch", str(asked.batch)] if asked.batch else []),
    ]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    lines = [f"# Beside PyTorch on {found['device']}", "", conditions(asked.rounds, found)]
    for mode, title in (("train", "Training"), ("eval", "Inference")):
        lines += ["", f"## {title}, bfloat16", "", HEAD]
        for name, batch in batches.items():
            lines.append(row(name, batch, mode, asked.rounds, found))
            asked.output.write_text("\n".join(lines) + "\n")  # what was measured stays if the next one fails
            print(lines[-1], flush=True)


def conditions(rounds: int, found: dict[str, Any]) -> str:
    """When and with what it was measured."""
    ask = "import torch; print(torch.__version__)"
    peer = subprocess.run([PEER, "-c", ask], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax"))
    arithmetic, bandwidth = 2 * found["multiply_adds"] / 1e12, found["bytes"] / 1e12
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, {packages}, torch {peer}; medians of "
        f"{rounds} interleaved rounds. Peak, measured: {arithmetic:.3g} TFLOP/s in products of bfloat16, "
        f"{bandwidth:.3g} TB/s read and written. A network's bytes are XLA's count of its compiled step."
    )


def row(name: str, batch: int, mode: str, rounds: int, found: dict[str, Any]) -> str:
    """Both sides in turn; the best variant of PyTorch counts."""
    question = {"name": name, "mode": mode, "precision": "bfloat16", "seconds": SECONDS, "batch": batch}
    ours, theirs = Worker(sys.executable, "speed_cnnlab.py", **SHARED), Worker(PEER, "speed_torch.py")
    taken: dict[str, list[float]] = {}
    try:
        for i in range(rounds + 1):
            if i == 1:
                taken.clear()  # the first round compiles
            taken.setdefault("cnnlab", []).append(ours.ask(**question))
            for variant in VARIANTS:
                taken.setdefault(variant, []).append(theirs.ask(variant=variant, **question))
    finally:
        ours.close()
        theirs.close()
    best = min(VARIANTS, key=lambda variant: statistics.median(taken[variant]))
    ratio = statistics.median(b / a for a, b in zip(taken["cnnlab"], taken[best], strict=True))
    per_second = 1e3 / statistics.median(taken["cnnlab"])
    cost = found["costs"][name][mode]
    arithmetic, bandwidth = (cost[kind] * per_second / found[kind] for kind in ("multiply_adds", "bytes"))
    speeds = [f"{batch * 1e3 / statistics.median(taken[side]):,.0f}" for side in ("cnnlab", best)]
    cells = [f"{name}, {batch}", speeds[0], f"{speeds[1]} ({best})", f"{ratio:.2f}", f"{WANTED[name]:.1f}"]
    return f"| {' | '.join([*cells, f'{arithmetic:.0%}', f'{bandwidth:.0%}'])} |"


def costs(batches: dict[str, int]) -> dict[str, Any]:
    """The device, its measured peaks a second, and of each network's step multiply-adds and bytes; JAX runs here."""
    sys.path.insert(0, str(ROOT))
    import jax
    import jax.numpy as jnp
    from cases import CASES
    from speed_cnnlab import experiment_of, program_of

    from cnnlab.runs.network import network
    from cnnlab.tasks import task_of
    from cnnlab.trace.cost import totals, training_multiply_adds
    from cnnlab.train.feed import Feed

    on_cpu = jax.default_backend() == "cpu"
    side, length = (1024, 2**24) if on_cpu else (8192, 2**29)
    square, long = jnp.ones((side, side), jnp.bfloat16), jnp.ones(length, jnp.bfloat16)
    peaks = {
        "multiply_adds": side**3 / fastest(jax.jit(lambda a: a @ a), square),
        "bytes": 4 * length / fastest(jax.jit(lambda a: a + 1), long),
    }
    found: dict[str, Any] = {}
    for case in (case._replace(batch=batches[case.name]) for case in CASES if case.name in batches):
        experiment = experiment_of(case, "bfloat16")
        program, prepared = program_of(case, experiment)
        feed, state = Feed(program, experiment, prepared), program.initial_state
        feed.begin(0, state)
        batch = (values[: case.batch] for values in (prepared.dataset.x, prepared.dataset.y))
        evaluation = program.evaluate.lower(state.params, state.stats, *batch)  # pyright: ignore[reportFunctionMemberAccess]
        layers = network(experiment, prepared.input_shape, task_of(experiment, prepared)).costs()
        found[case.name] = {
            "train": {
                "multiply_adds": case.batch * training_multiply_adds(layers, experiment.model.freeze),
                "bytes": feed.lowered(state).compile().cost_analysis()["bytes accessed"],
            },
            "eval": {
                "multiply_adds": case.batch * totals(layers).multiply_adds,
                "bytes": evaluation.compile().cost_analysis()["bytes accessed"],
            },
        }
    return {"device": jax.devices()[0].device_kind, "costs": found, **peaks}


def fastest(work: Callable[[Any], Any], argument: Any) -> float:
    """The least seconds of twenty calls, after one that compiles."""
    work(argument).block_until_ready()
    least = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        work(argument).block_until_ready()
        least = min(least, time.perf_counter() - start)
    return least


if __name__ == "__main__":
    main()
