"""What a worker process imports in place of the program that started it; see workers.py."""

import logging
import sys

if __name__ == "__mp_main__":  # Python's name for it in a process that multiprocessing has spawned
    # Grain takes tree_map from jax where there is one: 130 MiB and most of a second for each process. It has its own.
    sys.modules["jax"] = None  # type: ignore[assignment]
    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns that there is no jax to measure itself with
