"""Prints what runs have cost: parameters, multiply-adds, activation memory, time and, where counted, energy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnlab.cli.render import table

if TYPE_CHECKING:
    from rich.table import Table


def lines(costs: dict[str, Any]) -> list[str]:
    """Of one run: what the network takes for an example, and what its training took."""
    found = []
    if costs["parameters"] is not None:
        each = f"{costs['multiply_adds']:,} multiply-adds and {costs['activation_bytes'] / 1000:,.1f} kB an example"
        found.append(f"{costs['parameters']:,} parameters, {each}")
    if costs["training_seconds"] is not None:
        energy = costs["energy"]
        found.append(f"trained in {costs['training_seconds']:,.1f} s{'' if energy is None else _energy(energy)}")
    return found


def runs(names: Sequence[tuple[str, dict[str, Any]]]) -> "Table":
    """A row a run, by its name; energy in columns of its own, measured and estimated apart, where any was counted."""
    counted = any(costs["energy"] is not None for _, costs in names)
    head = ["parameters", "multiply-adds", "kB", "s"]
    rows = []
    for name, costs in names:
        bytes_, seconds = costs["activation_bytes"], costs["training_seconds"]
        cells = [_whole(costs["parameters"]), _whole(costs["multiply_adds"])]
        cells += ["-" if bytes_ is None else f"{bytes_ / 1000:,.1f}", "-" if seconds is None else f"{seconds:,.1f}"]
        energy = costs["energy"]
        if counted and energy is None:
            cells += ["-"] * 3
        elif counted:
            cells += [f"{1000 * energy[key]:.3g}" for key in ("measured_kwh", "estimated_kwh")]
            cells += [f"{energy['grams_co2']:.3g}"]
        rows.append([name, *cells])
    if counted:
        head += ["Wh measured", "estimated", "g CO2"]
    return table(("costs", *head), rows)


def _energy(energy: dict[str, Any]) -> str:
    parts = [f"{1000 * energy[f'{how}_kwh']:.3g} Wh {how}" for how in ("measured", "estimated") if energy[f"{how}_kwh"]]
    grams = f"{energy['grams_co2']:.3g} g of CO2 by the mean of {energy['country']}"
    return f", {' and '.join(parts) or '0 Wh'}, {grams}"


def _whole(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
