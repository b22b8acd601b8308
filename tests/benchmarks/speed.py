"""Whole networks beside PyTorch: training and inference, images/s, in turn over and over.

`python speed.py [--precision bfloat16] [--mode eval] [--rounds 5] [NET ...]` prints the table of milliseconds a step
and of ratios. One process a side, which waits while another works; PyTorch's best of eager (contiguous and
channels-last) and torch.compile counts, with cnnlab's allocator settings (kept) and with none (stock). PEER_VARIANTS
names fewer: compiling takes most of the time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import CASES

HERE = Path(__file__).parent
PEER = os.environ.get("PEER_PYTHON", sys.executable)
SECONDS = 1.5
VARIANTS = tuple(os.environ.get("PEER_VARIANTS", "contiguous channels_last compiled").split())


class Worker:
    """A process that answers a line of questions with a line of milliseconds."""

    def __init__(self, python: str, script: str, *arguments: str, **environment: str):
        command, environ = [python, str(HERE / script), *arguments], {**os.environ, **environment}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ, cwd=HERE
        )

    def ask(self, **question: Any) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return float(json.loads(self.process.stdout.readline() or "NaN"))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def times(name: str, mode: str, precision: str, rounds: int, variants: tuple[str, ...]) -> dict[str, list[float]]:
    """Milliseconds a step of every side, a round after the other; a PyTorch variant far behind leaves the field."""
    ours = Worker(sys.executable, "speed_cnnlab.py")
    peers = {"kept": Worker(PEER, "speed_torch.py", PEER_MALLOPT="1"), "stock": Worker(PEER, "speed_torch.py")}
    question = {"name": name, "mode": mode, "precision": precision, "seconds": SECONDS}
    found: dict[str, list[float]] = {}
    try:
        ours.ask(**question)
        first = {variant: peers["kept"].ask(variant=variant, **question) for variant in variants}
        kept = [variant for variant in variants if first[variant] < 1.15 * min(first.values())]
        for _ in range(rounds):
            found.setdefault("cnnlab", []).append(ours.ask(**question))
            for settings, worker in peers.items():
                for variant in kept:
                    found.setdefault(f"{variant}, {settings}", []).append(worker.ask(variant=variant, **question))
    finally:
        for worker in (ours, *peers.values()):
            worker.close()
    return found


def figure(value: float) -> str:
    """With four digits, or as a whole number of more."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def row(name: str, batch: int, found: dict[str, list[float]]) -> str:
    """The median, least and most of both sides, images/s, and the ratio of speeds round by round."""
    cells = [name]
    best = {}
    for settings in ("kept", "stock"):
        mine = {side: taken for side, taken in found.items() if side.endswith(settings)}
        best[settings] = min(mine, key=lambda side: statistics.median(mine[side]))
    for side in ("cnnlab", best["kept"], best["stock"]):
        speeds = [batch / taken * 1e3 for taken in found[side]]
        label = "" if side == "cnnlab" else f" ({side.partition(',')[0]})"
        cells.append(f"{figure(statistics.median(speeds))} [{figure(min(speeds))}, {figure(max(speeds))}]{label}")
    for side in best.values():
        ratios = [theirs / ours for ours, theirs in zip(found["cnnlab"], found[side], strict=True)]
        cells.append(f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]")
    return f"| {' | '.join(cells)} |"


HEAD = """\
| network, batch | cnnlab, images/s | PyTorch, same allocator | PyTorch, stock | ratio | ratio to stock |
|---|---|---|---|---|---|"""


def table(mode: str, precision: str, rounds: int, names: list[str], variants: tuple[str, ...] = VARIANTS) -> list[str]:
    """A row a network."""
    rows = []
    for case in CASES:
        if not names or any(name.lower() in case.name.lower() for name in names):
            found = times(case.name, mode, precision, rounds, variants)
            rows.append(row(f"{case.name}, {case.batch}", case.batch, found))
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="train", choices=("train", "eval"))
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    print(HEAD)
    table(asked.mode, asked.precision, asked.rounds, asked.names, tuple(asked.variants))
