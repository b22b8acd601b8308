"""Native speed on the CPU, behind JAX's own operations: convolution by oneDNN on Linux x86-64."""

import functools
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """Whether the kernels are in use in this process, and why (not), as one sentence."""

    in_use: bool
    why: str


@functools.cache
def enable() -> Status:
    """Puts oneDNN under JAX's CPU convolutions for the rest of the process, if that can be; never raises for that.

    The first call builds the library in the user's cache directory (some ten seconds, once). Call it before anything
    is compiled: a program out of JAX's persistent cache needs the kernels that it was compiled with.
    CNNLAB_KERNELS=off leaves XLA's own convolutions in place, and so does a GPU.
    """
    if os.environ.get("CNNLAB_KERNELS", "").lower() in ("off", "0", "no", "false"):
        return Status(False, "turned off by CNNLAB_KERNELS")
    import jax

    if jax.default_backend() != "cpu":
        return Status(False, f"they are for the CPU, and this is {jax.default_backend()}")
    from cnnlab.kernels import build

    try:
        library = build.load()
        from cnnlab.kernels import batch_norm, lowering

        lowering.install(library)
        batch_norm.install(library)
    except build.Unavailable as e:
        return Status(False, str(e))
    return Status(True, "convolutions on the CPU run by oneDNN")


def as_asked() -> Status:
    """`enable` where CNNLAB_KERNELS=on asks for it: until they have been tried more widely, nobody has them unasked."""
    if os.environ.get("CNNLAB_KERNELS", "").lower() in ("on", "1", "yes", "true"):
        return enable()
    return Status(False, "CNNLAB_KERNELS=on turns them on")


__all__ = ["Status", "as_asked", "enable"]
