"""How data reaches the steps: images from a folder beside torch and by processes, small data on the device, memory.

Prints the lines of run.py's section `data`. Both sides of a ratio run in turn, so that what else the machine does
slows both. `data.py folder` (or `workers`, `small`, `memory`) measures that part alone.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from data_folder import write, write_small

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEER = os.environ.get("PEER_PYTHON", sys.executable)
REPEATS, EPOCHS, IMAGES, SIZE, BATCH = 5, 60, 2000, 224, 64
LIMIT, BEYOND = 64, (500, 2000, 8000)  # MiB, and images more than fit into them
SPEC = """\
name: memory
data: {{source: image_folder, path: {folder}, resize: {size}, batch_size: {batch}, memory: {limit}MiB}}
model: {{layers: [conv: {{features: 8, kernel: 8, stride: 8}}, relu, global_avg_pool, dense: classes]}}
train: {{epochs: 1}}
"""


def folder(place: Path) -> list[str]:
    """An epoch of batches, decoded and resized."""
    write(place, IMAGES)
    ours = {
        name: [sys.executable, "data_cnnlab.py", str(place / "images"), str(SIZE), str(BATCH), name]
        for name in ("reduced", "simplejpeg")
        if name != "simplejpeg" or _has(sys.executable, "simplejpeg")
    }
    commands = {f"cnnlab, `decode: {name}`": command for name, command in ours.items()}
    peer = "torch DataLoader, Pillow, 2 workers"
    if _has(PEER, "torch"):
        commands[peer] = [PEER, "data_torch.py", str(place / "images"), str(SIZE), str(BATCH)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for repeat in range(REPEATS + 1):
        for name, command in commands.items():
            printed = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout
            if repeat:
                found[name].append(json.loads(printed))
    head = f"| {IMAGES:,} JPEGs of 500 x 375 to {SIZE} x {SIZE}, batch {BATCH} | images/s | first batch, s |"
    lines = [f"{head} look before, s | times as fast as torch |", "|---|---|---|---|---|"]
    for name, runs in found.items():
        rate = statistics.median(run["images"] / run["seconds"] for run in runs)
        first = statistics.median(run["first"] for run in runs)
        look = f"{statistics.median(run['look'] for run in runs):.2f}" if "look" in runs[0] else ""
        pairs = zip(runs, found.get(peer, runs), strict=True)
        ratio = statistics.median(other["seconds"] / run["seconds"] for run, other in pairs)
        times = f"{ratio:.2f}" if peer in found and name != peer else ""
        lines.append(f"| {name} | {rate:,.0f} | {first:.2f} | {look} | {times} |")
    return lines


def workers(place: Path) -> list[str]:
    """Threads beside Grain's processes, as many of these as here are processors: photographs, in whose decoders
    Python's lock is free, and small images, of which Python's own part is the larger one."""
    count = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    write(place / "large", 1000)
    write_small(place / "small", 5000)
    kinds = {f"JPEGs of 500 x 375 to {SIZE} x {SIZE}": ("large", SIZE, BATCH), "PNGs of 32 x 32": ("small", 32, 256)}
    lines = [
        "| images from files | by | images/s | ratio | first batch, s | a process, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for kind, (folder, size, batch) in kinds.items():
        command = [sys.executable, "data_cnnlab.py", str(place / folder / "images"), str(size), str(batch), "reduced"]
        found: dict[str, list[dict[str, float]]] = {"0": [], count: []}
        for _ in range(3):
            for given, runs in found.items():
                printed = subprocess.run([*command, given], cwd=HERE, check=True, capture_output=True, text=True).stdout
                runs.append(json.loads(printed))
        for given, runs in found.items():
            rate = statistics.median(run["images"] / run["second"] for run in runs)
            first = statistics.median(run["first"] for run in runs)
            pairs = zip(runs, found["0"], strict=True)
            ratio = f"{statistics.median(other['second'] / run['second'] for run, other in pairs):.2f}"
            memory = f"{max(run['memory'] for run in runs):,.0f}" if "memory" in runs[0] else ""
            by = f"{given} processes" if given != "0" else "threads"
            lines.append(f"| {kind} | {by} | {rate:,.0f} | {ratio} | {first:.2f} | {memory} |")
    return lines


def small(place: Path) -> list[str]:
    """Epochs of LeNet-5 on digits as the loop runs them, beside the same steps in one dispatch on what is on the
    device."""
    from cnnlab.cli.process import prepare as prepare_process

    prepare_process()
    import jax

    from cnnlab.data.batches import epoch_places, order
    from cnnlab.runs.pretrained import prepare_experiment
    from cnnlab.spec.load import load
    from cnnlab.train.loop import EpochEnd, fit
    from cnnlab.train.step import Examples, Sizes, compile_program

    spec = load(ROOT / "experiments/digits/lenet5.yaml", [f"train.epochs={EPOCHS}"])
    experiment, prepared = prepare_experiment(spec)
    prepared = replace(prepared, splits={"train": prepared.splits["train"]})  # an epoch is its steps alone
    program = compile_program(experiment, Sizes.of(experiment, prepared))
    size, steps = experiment.data.batch_size, program.steps_per_epoch
    examples = jax.device_put(Examples(prepared.dataset.x, program.task.targets(prepared.dataset)))  # type: ignore[arg-type]
    places, mask = jax.device_put(epoch_places(prepared, order(0, 0, prepared.counts["train"]), size))
    state, times = program.initial_state, {"the loop": [], "the device": []}
    started = time.perf_counter()
    for event in fit(program, experiment, prepared, program.initial_state, 0, lambda: False):
        if isinstance(event, EpochEnd):
            times["the loop"].append(time.perf_counter() - started)
            started = time.perf_counter()
            state = jax.block_until_ready(program.first.many(state, examples, places, mask, steps))
            times["the device"].append(time.perf_counter() - started)
            started = time.perf_counter()
    warm = [found[EPOCHS // 4 :] for found in times.values()]
    ratio = statistics.median(a / b for a, b in zip(*warm, strict=True))
    figures = " | ".join(f"{1000 * statistics.median(found):.2f}" for found in warm)
    return [
        "| an epoch, ms | as trained | the same steps, all on the device | ratio |\n|---|---|---|---|",
        f"| LeNet-5 on digits, {steps} steps of {size} | {figures} | {ratio:.3f} |",
    ]


def memory(place: Path) -> list[str]:
    """The most memory that `cnnlab train` holds, an epoch of a small network."""
    lines = [
        "| images of 224 x 224 | all of them, MiB | `data.memory` | peak of the process, MiB |",
        "|---|---|---|---|",
    ]
    each = SIZE * SIZE * 3
    fitting = LIMIT * 2**20 // each
    counts = [(fitting + more, LIMIT) for more in BEYOND] + [(2**28 // each, 256)]  # the last: by default in memory
    for count, limit in counts:
        here = place / str(count)
        write(here, count)
        spec = here / "memory.yaml"
        spec.write_text(SPEC.format(folder=here / "images", size=SIZE, batch=BATCH, limit=limit))
        peak = _peak([sys.executable, "-c", "from cnnlab.cli import command; command()", "train", str(spec)], here)
        lines.append(f"| {count:,} | {count * each / 2**20:,.0f} | {limit}MiB | {peak:,.0f} |")
        subprocess.run(["rm", "-r", str(here)], check=True)
    return lines


def _peak(command: list[str], folder: Path) -> float:
    """MiB that the command held at most; it is the only child of a process of its own, which asks for that."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)


def _has(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


PARTS = {"folder": folder, "workers": workers, "small": small, "memory": memory}


def main(wanted: list[str]) -> None:
    for name, measure in PARTS.items():
        if not wanted or name in wanted:
            with tempfile.TemporaryDirectory() as place:
                print("\n".join(measure(Path(place))), end="\n\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
