"""Native speed on the CPU, on Linux x86-64: convolution by oneDNN, batch normalisation and pooling by our own.

Where that cannot be had, plain JAX formulas in the place of XLA's slowest operations on the CPU. Images are resized
by a library of its own, whatever the device: see `resize`.
"""

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


def turned_off() -> bool:
    """Whether CNNLAB_KERNELS says so."""
    return os.environ.get("CNNLAB_KERNELS", "").lower() in ("off", "0", "no", "false")


def _not_wanted() -> str | None:
    """Why there is no use for kernels here; None: there is."""
    if turned_off():
        return "turned off by CNNLAB_KERNELS"
    import jax

    backend = jax.default_backend()
    return None if backend == "cpu" else f"they are for the CPU, and this is {backend}"


def _formulas() -> str:
    """Puts plain formulas under JAX's operations on the CPU; returns what is said of them where no kernels are."""
    import jax

    from cnnlab.kernels import build, plain

    if jax.default_backend() != "cpu":
        return ""
    try:
        plain.install()
    except build.Unavailable:
        return ""
    return "; plain JAX formulas do grouped, depthwise and 1x1 convolutions and batch normalisation"


@functools.cache
def enable() -> Status:
    """Puts the kernels under JAX's operations on the CPU for the rest of the process, if that can be; never raises.

    The first call builds the library in the user's cache directory (some ten seconds, once). Call it before anything
    is compiled: a program out of JAX's persistent cache needs the kernels that it was compiled with.
    Without them, or with CNNLAB_KERNELS=off, plain formulas are put there; nothing is on a GPU.
    """
    instead = _formulas()
    if why := _not_wanted():
        return Status(False, why + instead)
    from cnnlab.kernels import build

    try:
        library = build.load()
        from cnnlab.kernels import average_pool, batch_norm, channel_sums, convolution, lowering, pooling, product

        for part in (lowering, convolution, product, batch_norm, channel_sums, pooling, average_pool):
            part.install(library)
    except build.Unavailable as e:
        return Status(False, f"{e}{instead}", missed=True)
    return Status(True, "convolutions by oneDNN; 3x3 in float32 (Winograd), batch normalisation and pooling by our own")


def compiler_options() -> dict[str, str]:
    """What `jax.jit` needs for programs of convolutions to be fast, given what `enable` found."""
    import jax

    from cnnlab.kernels import plain

    return {} if enable().in_use or jax.default_backend() != "cpu" else plain.compiler_options()


def to_build() -> bool:
    """Whether `enable` will build the library first."""
    from cnnlab.kernels import build

    try:
        return _not_wanted() is None and not build.target().exists()
    except build.Unavailable:
        return False


__all__ = ["Status", "compiler_options", "enable", "to_build", "turned_off"]
