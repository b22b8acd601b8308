"""How long a network takes to be built, traced and given its first weights; prints JSON, seconds.

`python networks.py resnet50` for cnnlab; with `--torch` first for torchvision, which builds and draws weights in one.
"""

import json
import sys
import time

SIDE = {"efficientnet_b7": 600}


def ours(name: str) -> dict[str, float]:
    from cnnlab.layers.initialize import Initializer
    from cnnlab.models import MODELS
    from cnnlab.trace.walk import trace

    shape = (SIDE.get(name, 224),) * 2 + (3,)
    start = time.perf_counter()
    model = MODELS[name](shape, 1000, init=Initializer())
    built = time.perf_counter()
    trace(model, shape)
    traced = time.perf_counter()
    MODELS[name](shape, 1000, init=Initializer(0))
    done = time.perf_counter()
    return {"build": built - start, "trace": traced - built, "build with weights": done - traced}


def theirs(name: str) -> dict[str, float]:
    import torch

    # A CPU build of torch lacks torchvision's compiled operators, which no network here uses.
    register = torch.library.register_fake

    def lenient(operator, *arguments, **options):
        if isinstance(operator, str) and operator.startswith("torchvision::"):
            return lambda function: function
        return register(operator, *arguments, **options)

    torch.library.register_fake = lenient
    import torchvision

    make = getattr(torchvision.models, name)
    start = time.perf_counter()
    make()
    return {"build with weights": time.perf_counter() - start}


if __name__ == "__main__":
    print(json.dumps(theirs(sys.argv[2]) if sys.argv[1] == "--torch" else ours(sys.argv[1])))
