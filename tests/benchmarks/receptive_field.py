"""How long receptive fields take: beyond tracing, and whole commands from a cold start. Medians, as Markdown rows."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cnnlab.layers.initialize import Initializer
from cnnlab.models import MODELS
from cnnlab.receptive_field.fields import fields
from cnnlab.trace.walk import trace

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-c", "from cnnlab.cli import command; command()", "receptive-field"]
SPECS = ROOT / "experiments" / "receptive_field"
REPEATS = 5


def beyond_tracing(size: int, network: str = "resnet50") -> float:
    """Seconds for all fields of a traced network, the median after one that does not count."""
    shape = (size, size, 3)
    traced = trace(MODELS[network](shape, 1000, init=Initializer()), shape)
    times: list[float] = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        fields(traced)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def command(*arguments: str) -> float:
    """Seconds for a whole process, the median."""
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def resnet50() -> float:
    """Seconds for the command on ResNet-50 at 224 pixels, from a cold start."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "resnet50.yaml"
        spec.write_text("model: {name: resnet50, input: [224, 224, 3], classes: 1000}\n")
        return command(str(spec))


def wavenet() -> float:
    """Seconds for the command on WaveNet over 160,000 samples."""
    return command(str(SPECS / "wavenet.yaml"), "--input", "160000,1")


def table() -> list[str]:
    """Every figure beside its target."""
    rows = [
        ("ResNet-50 at 224, beyond tracing", beyond_tracing(224), 0.05),
        ("ResNet-50 at 2048, beyond tracing", beyond_tracing(2048), 0.05),
        ("`cnnlab receptive-field`, ResNet-50 at 224", resnet50(), 3.0),
        ("`cnnlab receptive-field`, WaveNet over 160,000 samples", wavenet(), 3.0),
    ]
    return [f"| {name} | {seconds:.3f} | {target:g} |" for name, seconds, target in rows]


if __name__ == "__main__":
    print("| what | seconds, median | target |\n|---|---:|---:|", *table(), sep="\n")
