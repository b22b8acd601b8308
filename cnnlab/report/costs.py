"""What a run has cost: the network by its equations, training by the clock and, where it was counted, its energy."""

from typing import Any

from cnnlab.runs.directory import Run

OF_THE_NETWORK = ("parameters", "multiply_adds", "activation_bytes")


def costs(run: Run, rows: list[dict[str, float]]) -> dict[str, Any]:
    """Parameters; multiply-adds and activation memory (bytes) of one example; seconds of all epochs,
    which are the `rows` of the history; energy.json, or None where nothing was counted. What the run does not say is
    None."""
    model = run.read_json(run.model) if run.model.exists() else {}
    return {
        **{name: model.get(name) for name in OF_THE_NETWORK},
        "training_seconds": round(sum(row["seconds"] for row in rows), 3) if rows else None,
        "energy": run.read_json(run.energy) if run.energy.exists() else None,
    }
