"""`make bench`: start-up, the demo and whole networks beside PyTorch, how cost grows, accuracy over five seeds.

Written to results.md; `run.py start-up` (or any key of SECTIONS) measures one section anew.
The PyTorch side runs where `PEER_PYTHON` (default: this Python) has torch.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import speed
from demo import compared as milestones_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CNNLAB = [sys.executable, "-c", "from cnnlab.cli import command; command()"]
PEER = os.environ.get("PEER_PYTHON", sys.executable)
REPEATS, SEEDS = 5, range(5)
NETWORKS = ("resnet50", "efficientnet_b7")
LENET = ROOT / "experiments/digits/lenet5.yaml"


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of one whole process."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def interleaved(commands: dict[str, list[str]], folder: Path) -> dict[str, list[float]]:
    """Times of each command, one after the other in turn, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for repeat in range(REPEATS + 1):
        for name, command in commands.items():
            taken = seconds(command, folder)
            if repeat:
                times[name].append(taken)
    return times


def row(name: str, times: list[float], ratio: str = "") -> str:
    return f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} | {max(times):.2f} | {ratio} |"


def start_up(folder: Path) -> list[str]:
    """Commands that must answer at once, beside a bare Python and beside `pip`, which everybody knows."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "pip --help": [sys.executable, "-m", "pip", "--help"],
        "cnnlab --help": [*CNNLAB, "--help"],
        "cnnlab list layers": [*CNNLAB, "list", "layers"],
        "python -c 'import jax, flax.nnx'": [sys.executable, "-c", "import jax, flax.nnx"],
        "cnnlab check lenet5.yaml": [*CNNLAB, "check", str(LENET)],
        "cnnlab receptive-field lenet5.yaml": [*CNNLAB, "receptive-field", str(LENET)],
    }
    peers = {
        "cnnlab --help": "pip --help",
        "cnnlab list layers": "pip --help",
        "cnnlab check lenet5.yaml": "python -c 'import jax, flax.nnx'",
        "cnnlab receptive-field lenet5.yaml": "python -c 'import jax, flax.nnx'",
    }
    times = interleaved(commands, folder)
    return [row(name, found, compared(times, name, peers.get(name))) for name, found in times.items()]


def compared(times: dict[str, list[float]], name: str, peer: str | None) -> str:
    if peer is None:
        return ""
    ratio = statistics.median(a / b for a, b in zip(times[name], times[peer], strict=True))
    return f"{ratio:.2f} of `{peer}`"


def demo(folder: Path) -> list[str]:
    """The README's demo from the command to its milestones, beside the same work as a PyTorch script."""
    ours = [*CNNLAB, "train", str(LENET)]
    theirs = [PEER, str(HERE / "lenet5_torch.py")] if has("import torch, sklearn") else None
    times = milestones_of(ours, theirs, folder, REPEATS)
    lines = []
    for name, found in times.items():
        peer = f"PyTorch script, {name.partition(', ')[2]}"
        lines.append(row(name, found, compared(times, name, peer) if peer in times and peer != name else ""))
    return lines


def accuracies(folder: Path) -> list[str]:
    """Test accuracy of the specs of digits over five seeds; the seed decides on split, weights and order."""
    lines = []
    for spec in sorted((ROOT / "experiments/digits").glob("*.yaml")):
        found, times = [], []
        for seed in SEEDS:
            start = time.perf_counter()
            command = [*CNNLAB, "train", str(spec), f"seed={seed}", "--quiet", "--json"]
            result = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            times.append(time.perf_counter() - start)
            found.append(json.loads(result.stdout)["metrics"]["accuracy"])
        name = spec.relative_to(ROOT)
        spread = f"{statistics.mean(found):.4f} | {statistics.stdev(found):.4f} | {min(found):.4f} | {max(found):.4f}"
        lines.append(f"| {name} | {spread} | {statistics.median(times):.1f} |")
    return lines


def side_by_side(mode: str, precision: str) -> Callable[[Path], list[str]]:
    """Whole networks beside PyTorch: see speed.py."""
    return lambda folder: speed.table(mode, precision, REPEATS, [])


def operations(folder: Path) -> list[str]:
    """Convolutions one by one: see convolutions.py."""
    return _printed("convolutions.py", "operations")


def layers(folder: Path) -> list[str]:
    """Normalisation, pooling and gates: see layers.py."""
    return _printed("layers.py")


def scaling(folder: Path) -> list[str]:
    """How cost grows: see scaling.py, which draws scaling.png too."""
    return _printed("scaling.py")


def receptive_fields(folder: Path) -> list[str]:
    """Beyond tracing, and whole commands: see receptive_field.py."""
    return _printed("receptive_field.py")


def data(folder: Path) -> list[str]:
    """Images from a folder, small data, memory: see data.py."""
    return _printed("data.py")


def _printed(script: str, *arguments: str) -> list[str]:
    command = [sys.executable, str(HERE / script), *arguments]
    printed = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True)
    return printed.stdout.strip().splitlines()


def networks(folder: Path) -> list[str]:
    """Building, tracing and drawing weights within one process, beside torchvision's construction."""
    lines = []
    for name in NETWORKS:
        commands = {"": [sys.executable, str(HERE / "networks.py"), name]}
        if has("import torch; import timm"):
            commands["torchvision: "] = [PEER, str(HERE / "networks.py"), "--torch", name]
        found: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            for prefix, command in commands.items():
                printed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
                for part, taken in json.loads(printed).items():
                    found.setdefault(f"{prefix}{name}, {part}", []).append(taken)
        peer = f"torchvision: {name}, build with weights"
        for part, times in found.items():
            compares = part == f"{name}, build with weights" and peer in found
            lines.append(row(part, times, compared(found, part, peer) if compares else ""))
    return lines


def has(statement: str) -> bool:
    """Whether the peer's Python can do that."""
    return subprocess.run([PEER, "-c", statement], capture_output=True, check=False).returncode == 0


TIMES = "| command | median | min | max | ratio |\n|---|---|---|---|---|"
SEED_COLUMNS = "| spec | mean | deviation | min | max | seconds, median |\n|---|---|---|---|---|---|"
SECTIONS = {
    "start-up": ("Start-up", TIMES, start_up),
    "networks": ("Networks: build, trace, first weights", TIMES, networks),
    "demo": ("From the command to the tables (LeNet-5 on digits, 30 epochs)", TIMES, demo),
    "training": ("Training, float32, images/s", speed.HEAD, side_by_side("train", "float32")),
    "training-bfloat16": ("Training, bfloat16, images/s", speed.HEAD, side_by_side("train", "bfloat16")),
    "inference": ("Inference, float32, images/s", speed.HEAD, side_by_side("eval", "float32")),
    "inference-bfloat16": ("Inference, bfloat16, images/s", speed.HEAD, side_by_side("eval", "bfloat16")),
    "operations": ("Convolutions", "", operations),
    "layers": ("Layers", "", layers),
    "scaling": ("How cost grows", "", scaling),
    "receptive-field": ("Receptive fields", "", receptive_fields),
    "data": ("Data", "", data),
    "accuracy": ("Test accuracy, five seeds", SEED_COLUMNS, accuracies),
}


SIDE_BY_SIDE = ("training", "training-bfloat16", "inference", "inference-bfloat16")
BEGIN, END = "<!-- written by make bench -->", "<!-- until here -->"
INTRODUCTION = (
    "# Measured by `make bench`\n\n"
    f"Processes, {REPEATS} interleaved repeats; seconds where nothing else is said. Whole processes where a command is "
    "named, after one that does not count."
)


def conditions() -> str:
    """When, where and with what a section was measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("jax", "flax", "optax", "orbax-checkpoint"))
    printed = subprocess.run(
        [PEER, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=False
    )
    peer = printed.stdout.strip() or "not installed"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} processors ({platform.machine()}), Python "
        f"{platform.python_version()}, {packages}; peer: torch {peer} ({', '.join(speed.VARIANTS)})."
    )


def ratios(sections: dict[str, str]) -> list[str]:
    """The README's table: how many times as fast as PyTorch each network is, from the sections of results.md."""
    keys = [key for key in SIDE_BY_SIDE if SECTIONS[key][0] in sections]
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        for line in sections[SECTIONS[key][0]].splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("| ") and cells[0] != "network, batch":
                found.setdefault(cells[0], {})[key] = f"{cells[4].split()[0]} ({cells[5].split()[0]})"
    head = [f"| times as fast as PyTorch (as it comes) | {' | '.join(keys)} |", f"|---|{'---|' * len(keys)}"]
    return head + [f"| {name} | {' | '.join(row.get(key, '') for key in keys)} |" for name, row in found.items()]


def growth(sections: dict[str, str]) -> list[str]:
    """The README's second table, the first of how cost grows."""
    lines = sections.get(SECTIONS["scaling"][0], "").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("| ")), len(lines))
    end = lines.index("", start) if "" in lines[start:] else len(lines)
    return ["", *lines[start:end]]


def main(wanted: list[str]) -> None:
    """Measure the sections that are named, or all, and keep the others as they stand in results.md."""
    path = HERE / "results.md"
    known = {part.partition("\n")[0]: part for part in path.read_text().split("\n## ")[1:]} if path.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        for key, (title, head, measure) in SECTIONS.items():
            if not wanted or key in wanted:
                measured = "\n".join([head] * bool(head) + measure(Path(name)))
                known[title] = f"{title}\n\n{conditions()}\n\n{measured}"
                parts = [known[title].strip() for title, *_ in SECTIONS.values() if title in known]
                path.write_text("\n\n## ".join([INTRODUCTION, *parts]) + "\n")
    readme = ROOT / "README.md"
    before, start, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    readme.write_text("".join([before, start, "\n", "\n".join(ratios(known) + growth(known)), "\n", end, after]))


if __name__ == "__main__":
    main(sys.argv[1:])
