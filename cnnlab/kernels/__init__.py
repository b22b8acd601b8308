"""Native speed on the CPU, on Linux x86-64: convolution by oneDNN, batch normalisation and pooling by our own."""

import functools
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """Whether the kernels are in use in this process, and why (not), as one sentence.

    `missed`: they would be faster here, and something that they need is lacking.
    """

    in_use: bool
    why: str
    missed: bool = False

    def document(self) -> dict[str, object]:
        """As environment.json has it."""
        return {"in_use": self.in_use, "why": self.why}


def _not_wanted() -> str | None:
    """Why there is no use for kernels here; None: there is."""
    if os.environ.get("CNNLAB_KERNELS", "").lower() in ("off", "0", "no", "false"):
        return "turned off by CNNLAB_KERNELS"
    import jax

    backend = jax.default_backend()
    return None if backend == "cpu" else f"they are for the CPU, and this is {backend}"


@functools.cache
def enable() -> Status:
    """Puts the kernels under JAX's operations on the CPU for the rest of the process, if that can be; never raises.

    The first call builds the library in the user's cache directory (some ten seconds, once). Call it before anything
    is compiled: a program out of JAX's persistent cache needs the kernels that it was compiled with.
    CNNLAB_KERNELS=off leaves XLA's own convolutions in place, and so does a GPU.
    """
    if why := _not_wanted():
        return Status(False, why)
    from cnnlab.kernels import build

    try:
        library = build.load()
        from cnnlab.kernels import average_pool, batch_norm, channel_sums, convolution, lowering, pooling, product

        for part in (lowering, convolution, product, batch_norm, channel_sums, pooling, average_pool):
            part.install(library)
    except build.Unavailable as e:
        return Status(False, str(e), missed=True)
    return Status(True, "convolutions by oneDNN, batch normalisation and pooling by our own")


def to_build() -> bool:
    """Whether `enable` will build the library first."""
    from cnnlab.kernels import build

    try:
        return _not_wanted() is None and not build.target().exists()
    except build.Unavailable:
        return False


__all__ = ["Status", "enable", "to_build"]
