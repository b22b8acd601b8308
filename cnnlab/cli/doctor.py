"""`cnnlab doctor`."""

from cnnlab.cli.arguments import Json


def doctor(json: Json = False) -> None:
    """Print what this machine runs with: versions, device, kernels and why.

    Where the kernels are asked for and not built yet, this builds them.
    """
    from pathlib import Path

    from cnnlab.cli import render
    from cnnlab.kernels import resize
    from cnnlab.runs.environment import environment

    found = environment(0, Path.cwd() / "spec.yaml")
    kept = {key: found[key] for key in ("cnnlab", "python", "platform", "device", "kernels", "packages")}
    kept["images"] = "resized by a kernel of our own" if resize.in_use() else "resized by Pillow"
    if json:
        render.document(kept)
    else:
        render.machine(kept)
