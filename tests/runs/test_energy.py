"""What training uses: a session in our words, sums over sessions; codecarbon itself where it is installed."""

import json
import socket
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cnnlab.errors import SpecError
from cnnlab.runs import energy
from cnnlab.runs.directory import Run
from cnnlab.spec.train import Energy

GERMANY = Energy(country="DEU")


def found(**more: float) -> Any:
    fields = {"duration": 10.0, "emissions": 0.002, "cpu_energy": 0.003, "gpu_energy": 0.0, "ram_energy": 0.001}
    return SimpleNamespace(**{**fields, **more})


def tracker_of(mode: str) -> Any:
    return SimpleNamespace(_hardware=[type("CPU", (), {"_mode": mode})(), type("RAM", (), {})()])


def test_a_counter_measures_and_a_model_estimates():
    one = energy.session(found(), tracker_of("intel_rapl"))
    assert one["grams_co2"] == pytest.approx(2.0)
    assert one["parts"] == {
        "processor": {"kwh": 0.003, "measured": True, "by": "intel_rapl"},
        "memory": {"kwh": 0.001, "measured": False, "by": "a model"},
    }
    assert not energy.session(found(), tracker_of("cpu_load"))["parts"]["processor"]["measured"]
    both = energy.session(found(gpu_energy=0.01), SimpleNamespace(_hardware=[type("GPU", (), {})()]))
    assert both["parts"]["gpu"] == {"kwh": 0.01, "measured": True, "by": "its driver"}
    assert both["parts"]["processor"]["measured"] is False


@pytest.fixture
def codecarbon(monkeypatch) -> list[Any]:
    """A package that counts 0.004 kWh a session, and remembers how it was asked."""
    asked: list[Any] = []

    class Tracker:
        _hardware = tracker_of("intel_rapl")._hardware

        def __init__(self, **settings: Any):
            asked.append(settings)
            self.handlers = settings["output_handlers"]

        def start(self) -> None:
            pass

        def flush(self) -> None:
            for handler in self.handlers:
                handler.out(found(), found())

        stop = flush

    package, tables = ModuleType("codecarbon"), ModuleType("codecarbon.input")
    package.OfflineEmissionsTracker = Tracker  # type: ignore[attr-defined]
    mix = {"DEU": {}, "FRA": {}}
    tables.DataSource = lambda: SimpleNamespace(get_global_energy_mix_data=lambda: mix)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "codecarbon", package)
    monkeypatch.setitem(sys.modules, "codecarbon.input", tables)
    monkeypatch.setattr(energy, "version", lambda name: "3")
    return asked


def test_a_run_that_goes_on_adds_up_and_says_what_was_measured(codecarbon, tmp_path):
    run = Run(tmp_path)
    for _ in range(2):
        with energy.metered(run, GERMANY):
            pass
    document = json.loads(run.energy.read_text())
    assert document["kwh"] == pytest.approx(0.008)
    assert (document["measured_kwh"], document["estimated_kwh"]) == pytest.approx((0.006, 0.002))
    assert (document["grams_co2"], document["seconds"]) == pytest.approx((4.0, 20.0))
    assert (document["country"], len(document["sessions"])) == ("DEU", 2)
    assert codecarbon[0]["output_methods"] == []
    assert (codecarbon[0]["emissions_endpoint"], codecarbon[0]["electricitymaps_api_token"]) == (None, "")


def test_what_is_counted_is_written_after_an_epoch_and_when_training_fails(codecarbon, tmp_path, monkeypatch):
    run = Run(tmp_path)
    monkeypatch.setattr(energy, "SECONDS", 0.0)
    with pytest.raises(ZeroDivisionError), energy.metered(run, GERMANY) as epoch_ended:  # noqa: PT012
        assert not run.energy.exists()
        epoch_ended()
        assert run.energy.exists()
        run.energy.unlink()
        raise ZeroDivisionError
    assert run.energy.exists()


def test_a_training_says_what_it_has_cost_and_a_finished_one_costs_nothing_more(codecarbon, small, cnnlab):
    settings = ("model={name: softmax_regression}", "data.augment=[]", "train.epochs=1", "train.energy.country=DEU")
    ended = cnnlab("train", small, *settings, "--run", "run", "--quiet", "--json")
    run, found = Run(Path("run")), json.loads(ended.out)["costs"]
    assert found["energy"] == json.loads(run.energy.read_text())
    assert found["energy"]["kwh"] == pytest.approx(0.004)
    assert found["parameters"] == json.loads(run.model.read_text())["parameters"] == 111
    assert found["training_seconds"] > 0
    again = cnnlab("train", small, *settings, "--run", "run", "--quiet", "--resume")
    assert len(codecarbon) == 1
    assert "cost  111 parameters, 108 multiply-adds and 0.2 kB an example\n" in again.out
    assert ", 3 Wh measured and 1 Wh estimated, 2 g of CO2 by the mean of DEU\n" in again.out


def test_nothing_is_counted_unasked(tmp_path):
    with energy.metered(Run(tmp_path), None) as epoch_ended:
        epoch_ended()
    assert not list(tmp_path.iterdir())
    energy.check_energy(None)


def test_without_the_package_the_extra_is_named(monkeypatch, small, cnnlab):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    monkeypatch.setitem(sys.modules, "codecarbon.input", None)
    for command in ("check", "train"):
        ended = cnnlab(command, small, "train.energy.country=DEU")
        assert ended.code == 2
        hint = "pip install 'cnnlab[energy]', or leave it out"
        assert ended.err == f"train.energy: codecarbon counts energy, and it is not installed; {hint}\n"


def test_a_country_that_it_does_not_know(codecarbon):
    with pytest.raises(SpecError, match=r"train.energy.country: codecarbon knows no country 'DEX'; did you mean 'DEU'"):
        energy.check_energy(Energy(country="DEX"))
    energy.check_energy(GERMANY)


def test_codecarbon_itself_counts_and_connects_to_nothing(tmp_path, monkeypatch, capfd):
    pytest.importorskip("codecarbon")
    tried = []

    def refuse(*address: Any, **more: Any) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    # A configuration that would send everything.
    settings = (
        "[codecarbon]\noutput_methods = api\nemissions_endpoint = http://localhost:1\nelectricitymaps_api_token=x\n"
    )
    (tmp_path / ".codecarbon.config").write_text(settings)
    energy.check_energy(GERMANY)
    with energy.metered(Run(tmp_path), GERMANY):
        sum(range(10**6))
    document = json.loads(Run(tmp_path).energy.read_text())
    assert document["kwh"] > 0
    assert document["grams_co2"] > 0
    assert document["measured_kwh"] + document["estimated_kwh"] == pytest.approx(document["kwh"])
    assert not tried
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".codecarbon.config", "energy.json"]
