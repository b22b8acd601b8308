"""What runs have cost, as lines and as a table."""

import json

from rich.console import Console

from cnnlab.cli.render_costs import lines, runs
from cnnlab.report.costs import costs
from cnnlab.runs.directory import Run

MODEL = {"parameters": 61_706, "multiply_adds": 416_520, "activation_bytes": 35_120}
ENERGY = {"measured_kwh": 0.0, "estimated_kwh": 0.000312, "grams_co2": 0.1187, "country": "DEU"}
UNCOUNTED = {**MODEL, "training_seconds": 12.345, "energy": None}
COUNTED = {**UNCOUNTED, "energy": ENERGY}


def printed(table) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_costs_are_read_from_what_the_run_says(tmp_path):
    assert set(costs(Run(tmp_path), []).values()) == {None}
    (tmp_path / "model.json").write_text(json.dumps({**MODEL, "flops": 1}))
    rows = [{"epoch": 1, "seconds": 1.5}, {"epoch": 2, "seconds": 0.75}]
    assert costs(Run(tmp_path), rows) == {**MODEL, "training_seconds": 2.25, "energy": None}
    (tmp_path / "energy.json").write_text(json.dumps(ENERGY))
    assert costs(Run(tmp_path), rows)["energy"] == ENERGY


def test_lines_claim_no_energy_that_was_not_counted():
    network = "61,706 parameters, 416,520 multiply-adds and 35.1 kB an example"
    assert lines(UNCOUNTED) == [network, "trained in 12.3 s"]
    energy = "0.312 Wh estimated, 0.119 g of CO2 by the mean of DEU"
    assert lines(COUNTED) == [network, f"trained in 12.3 s, {energy}"]
    measured = {**COUNTED, "energy": {**ENERGY, "measured_kwh": 0.001}}
    assert "1 Wh measured and 0.312 Wh estimated," in lines(measured)[1]


def test_a_table_has_energy_where_any_run_was_counted_and_fits_80_columns():
    head, _, row = printed(runs([("fold 1", UNCOUNTED)]))
    assert head.split() == ["costs", "parameters", "multiply-adds", "kB", "s"]
    assert row.split() == ["fold", "1", "61,706", "416,520", "35.1", "12.3"]
    head, _, first, second = found = printed(runs([("fold 1", UNCOUNTED), ("fold 2", COUNTED)]))
    assert head.endswith("Wh measured  estimated  g CO2")
    assert first.split()[-3:] == ["-", "-", "-"]
    assert second.split()[-3:] == ["0", "0.312", "0.119"]
    assert max(map(len, found)) <= 80
