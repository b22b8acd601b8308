"""Layers beside PyTorch's, in float32 and bfloat16: batch normalisation with what follows it, pooling, a gate.

Prints the lines of run.py's section `layers`: milliseconds of a training pass forward alone and of forward and all
gradients; of normalisation four in a row, since gradients that come from outside are copied once. Both sides run in
turn, with the same threads and allocator settings; PyTorch in the better of its layouts. `layers.py --ours` and
`--torch` are the sides: a question a line on stdin, milliseconds on a line of stdout.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache, reduce
from typing import Any, NamedTuple

from speed import Worker

HERE, ROUNDS, SECONDS = "layers.py", 5, 0.3
LAYOUTS = ("channels_last", "contiguous_format")
PEER = os.environ.get("PEER_PYTHON", sys.executable)
Calls = dict[str, Callable[[], Any]]


class Case(NamedTuple):
    """A layer on maps [batch, side, side, channels]; `activation` and `residual` are what follows a norm."""

    name: str
    layer: str
    batch: int
    side: int
    channels: int
    activation: str = "identity"
    residual: bool = False


CASES = (
    Case("batch norm", "norm", 8, 56, 64),
    Case("batch norm, ReLU", "norm", 8, 56, 64, "relu"),
    Case("batch norm, ReLU, 64 of 32x32", "norm", 64, 32, 64, "relu"),
    Case("batch norm, ReLU, 8 of 14x14", "norm", 8, 14, 1024, "relu"),
    Case("batch norm, sum, ReLU", "norm", 8, 56, 256, "relu", residual=True),
    Case("batch norm, swish", "norm", 8, 56, 96, "swish"),
    Case("max pool 3x3/2", "max3", 8, 112, 64),
    Case("max pool 2x2", "max2", 64, 32, 64),
    Case("average pool 2x2", "mean2", 64, 32, 64),
    Case("mean over space", "mean", 8, 7, 2048),
    Case("squeeze and excite", "gate", 8, 28, 240),
)
GATE = 10  # channels between
NORMS = 4  # in a row


def ours(case: Case, precision: str, _: str) -> Calls:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from cnnlab import kernels
    from cnnlab.layers import activation, compose, gate, norm, pool
    from cnnlab.layers.initialize import Initializer
    from cnnlab.layers.mode import Mode
    from cnnlab.train.state import split

    random = np.random.default_rng(0)
    after = {"identity": None, "relu": activation.Relu(), "swish": activation.Swish()}[case.activation]

    def one_norm() -> nnx.Module:
        made = norm.BatchNorm(case.channels)
        return compose.Residual(made, None, after) if case.residual else compose.Sequential({"norm": made, "a": after})

    layers: dict[str, Callable[[], nnx.Module]] = {
        "norm": lambda: compose.Sequential({f"norm{i}": one_norm() for i in range(NORMS)}),
        "max3": lambda: pool.MaxPool(3, axes=2, stride=2, padding=1),
        "max2": lambda: pool.MaxPool(2, axes=2),
        "mean2": lambda: pool.AvgPool(2, axes=2),
        "mean": pool.GlobalAvgPool,
        "gate": lambda: gate.SqueezeExcite(case.channels, GATE, axes=2, init=Initializer(0)),
    }
    model = layers[case.layer]()
    graph, *state = split(model)
    params, stats = jax.tree.map(jnp.asarray, tuple(state))
    x = jnp.asarray(random.normal(size=(case.batch, case.side, case.side, case.channels)), precision)

    def forward(params: Any, x: jax.Array) -> Any:
        model = nnx.merge(graph, params, stats)
        y: Any = model(x, Mode(train=True))
        return y, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

    def both(params: Any, x: jax.Array, dy: jax.Array) -> Any:
        y, back, now = jax.vjp(forward, params, x, has_aux=True)
        return y, back(dy), now

    dy = jnp.asarray(random.normal(size=jax.eval_shape(forward, params, x)[0].shape), precision)
    options = kernels.compiler_options()
    one, two = jax.jit(forward, compiler_options=options), jax.jit(both, compiler_options=options)
    return {
        "forward": lambda: jax.block_until_ready(one(params, x)),
        "both ways": lambda: jax.block_until_ready(two(params, x, dy)),
    }


def theirs(case: Case, precision: str, layout: str) -> Calls:
    import torch
    import torch.nn.functional as F  # noqa: N812
    from torch import nn

    after = {"identity": nn.Identity(), "relu": nn.ReLU(inplace=True), "swish": nn.SiLU(inplace=True)}[case.activation]
    squeeze, excite = nn.Conv2d(case.channels, GATE, 1), nn.Conv2d(GATE, case.channels, 1)
    norms = nn.ModuleList(nn.BatchNorm2d(case.channels) for _ in range(NORMS))
    dtype, memory = getattr(torch, precision), getattr(torch, layout)
    made = torch.randn(case.batch, case.channels, case.side, case.side).to(dtype, memory_format=memory)
    x = made.requires_grad_()
    gate = lambda x: excite(F.relu(squeeze(x.mean((2, 3), keepdim=True)))).sigmoid() * x  # noqa: E731
    if case.layer == "gate":
        squeeze, excite = squeeze.to(dtype), excite.to(dtype)
    layers: dict[str, Callable[[Any], Any]] = {
        "norm": lambda x: reduce(lambda x, norm: after(norm(x) + x) if case.residual else after(norm(x)), norms, x),
        "max3": lambda x: F.max_pool2d(x, 3, 2, 1),
        "max2": lambda x: F.max_pool2d(x, 2),
        "mean2": lambda x: F.avg_pool2d(x, 2),
        "mean": lambda x: x.mean((2, 3)),
        "gate": gate,
    }
    layer = layers[case.layer]
    dy = torch.randn_like(layer(x))
    leaves = {"norm": [x, *norms.parameters()], "gate": [x, *squeeze.parameters(), *excite.parameters()]}

    def both() -> Any:
        return torch.autograd.grad(layer(x), leaves.get(case.layer, [x]), dy)

    return {"forward": lambda: layer(x), "both ways": both}


def answer(side: Callable[..., Calls]) -> None:
    """Milliseconds of what each line of stdin asks for."""
    made = cache(lambda i, precision, layout: side(CASES[i], precision, layout))
    for line in sys.stdin:
        asked = json.loads(line)
        call = made(asked["case"], asked["precision"], asked["layout"])[asked["what"]]
        for _ in range(2):
            start = time.perf_counter()
            call()
        repeats = max(2, int(SECONDS / (time.perf_counter() - start)))
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        print(json.dumps((time.perf_counter() - start) / repeats * 1e3), flush=True)


def table(precision: str) -> list[str]:
    us, them = Worker(sys.executable, HERE, "--ours"), Worker(PEER, HERE, "--torch", PEER_MALLOPT="1")
    columns = [f"{what}, {title}" for what in ("forward", "both ways") for title in ("cnnlab", "PyTorch", "ratio")]
    lines = [f"| ms, {precision} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for i, case in enumerate(CASES):
        cells = [case.name]
        for what in ("forward", "both ways"):
            rounds = []
            for _ in range(ROUNDS + 1):
                asked = {"case": i, "what": what, "precision": precision}
                mine = us.ask(**asked, layout="")
                rounds.append((mine, min(them.ask(**asked, layout=layout) for layout in LAYOUTS)))
            mine, other = (statistics.median(side) for side in zip(*rounds[1:], strict=True))
            ratio = statistics.median(b / a for a, b in rounds[1:])
            cells += [f"{mine:.3g}", f"{other:.3g}", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    us.close()
    them.close()
    return lines


if __name__ == "__main__":
    if sys.argv[1:] == ["--ours"]:
        from cnnlab import kernels
        from cnnlab.cli.process import prepare

        prepare()
        kernels.enable()
        answer(ours)
    elif sys.argv[1:] == ["--torch"]:
        import speed_torch  # noqa: F401  malloc keeps its memory then

        answer(theirs)
    else:
        print("\n".join([*table("float32"), "", *table("bfloat16")]))
