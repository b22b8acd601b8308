"""An epoch's batches out of a folder, as training reads them. Usage: data_cnnlab.py FOLDER SIZE BATCH DECODE [WORKERS].

Prints as JSON: seconds of the look at all files before (fingerprints, normalisation), and from then on to the first
batch and to the last, and the images. With WORKERS, 0 for threads, also the seconds of a second epoch, and how much
memory a process takes that is its own, MiB.
"""

import json
import sys
import time
from pathlib import Path

from cnnlab.cli.process import keep_memory
from cnnlab.data.batches import epoch_order, training_batches
from cnnlab.data.prepare import Prepared, prepare
from cnnlab.data.workers import Rows, Workers
from cnnlab.spec.schema import ImageFolder
from cnnlab.spec.split import Split


def main() -> None:
    keep_memory()  # as the command line does
    folder, size, batch, decode = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    keys = {"resize": size, "decode": decode, "memory": "0B", "split": Split(train=1, validation=0, test=0)}
    data = ImageFolder(source="image_folder", path=str(folder), **keys)
    begun = time.perf_counter()
    prepared = prepare(data, Path(), seed=0)
    look = time.perf_counter() - begun
    if len(sys.argv) < 6:
        found = epoch(prepared, 0, batch, None)
    else:
        import jax  # noqa: F401  (as in training; Grain imports it too)

        workers = Workers(int(sys.argv[5]), Rows(prepared, 0, batch)) if int(sys.argv[5]) else None
        found = epoch(prepared, 0, batch, workers)
        found["second"] = epoch(prepared, 1, batch, workers)["seconds"]
        if workers is not None:
            found["memory"] = max(own_memory(process.pid) for process in workers.processes)
            workers.close()
    print(json.dumps({"look": look, **found}))


def epoch(prepared: Prepared, number: int, batch: int, workers: Workers | None) -> dict[str, float]:
    started = time.perf_counter()
    first, images = 0.0, 0
    read = None if workers is None else lambda i, _: workers.reading(number, i)
    for coming in training_batches(prepared, epoch_order(prepared, 0, number), 0, batch, read=read):
        images += int(coming.result().mask.sum())
        first = first or time.perf_counter() - started
    return {"first": first, "seconds": time.perf_counter() - started, "images": images}


def own_memory(pid: int | None) -> float:
    """MiB that the process has for itself (Linux; elsewhere 0): its share of shared memory is another's too."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


if __name__ == "__main__":
    main()
