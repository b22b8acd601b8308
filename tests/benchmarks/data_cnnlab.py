"""An epoch's batches out of a folder, as training reads them. Usage: data_cnnlab.py FOLDER SIZE BATCH DECODE.

Prints as JSON: seconds of the look at all files before (fingerprints, normalisation), and from then on to the first
batch and to the last, and the images.
"""

import json
import sys
import time
from pathlib import Path

from cnnlab.cli.process import keep_memory
from cnnlab.data.batches import order, training_batches
from cnnlab.data.prepare import prepare
from cnnlab.spec.schema import ImageFolder
from cnnlab.spec.split import Split


def main() -> None:
    keep_memory()  # as the command line does
    folder, size, batch, decode = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    keys = {"resize": size, "decode": decode, "memory": "0B", "split": Split(train=1, validation=0, test=0)}
    data = ImageFolder(source="image_folder", path=str(folder), **keys)
    begun = time.perf_counter()
    prepared = prepare(data, Path(), seed=0)
    started = time.perf_counter()
    first, images = 0.0, 0
    for coming in training_batches(prepared, order(0, 0, prepared.counts["train"]), 0, batch):
        images += int(coming.result().mask.sum())
        first = first or time.perf_counter() - started
    found = {"look": started - begun, "first": first, "seconds": time.perf_counter() - started, "images": images}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
