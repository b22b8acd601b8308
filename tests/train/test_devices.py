"""Several devices: the figures of one, to rounding; in processes of their own, since JAX counts devices once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
from pathlib import Path
import jax, numpy as np
from cnnlab.train.loop import EpochEnd, fit
from tests.train.test_step import never, program_of

overrides = ["train.epochs=2", "optimizer={name: sgd, learning_rate: 0.1}", "data.augment=[noise: 0.1]"]
overrides.append(f"data.batch_size={sys.argv[1]}")
experiment, prepared, program = program_of(Path("small.yaml"), *overrides)
*_, end = fit(program, experiment, prepared, program.initial_state, 0, never)
leaf = jax.tree.leaves(end.state.params)[0]
norm = float(sum(np.abs(np.asarray(leaf, np.float64)).sum() for leaf in jax.tree.leaves(end.state.params)))
print(json.dumps({"devices": len(leaf.sharding.device_set), "norm": norm, **end.row}))
"""


def trained(devices: int, batch_size: int) -> dict[str, float]:
    root = Path(__file__).parents[2]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": flags, "CNNLAB_KERNELS": "off"}
    command = [sys.executable, "-c", SCRIPT, str(batch_size)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_a_batch_is_shared_by_the_devices_that_divide_it(small):
    alone, four, three = trained(1, 18), trained(4, 16), trained(4, 18)
    assert (alone["devices"], four["devices"], three["devices"]) == (1, 4, 3)
    for name in ("norm", "train/loss", "validation/loss"):
        assert three[name] == pytest.approx(alone[name], rel=1e-4), name
