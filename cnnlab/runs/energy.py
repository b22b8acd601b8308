"""What training uses of electricity, by codecarbon, offline: kWh and grams of CO2, what is measured apart from what is
estimated.

The whole machine is counted, from the first step on, with whatever else it does. codecarbon reads energy counters of
processors and GPUs where the system has them and lets them be read; else it goes by the processor's model and load,
and for memory by its size. Grams are kWh times the mean of the country, so always an estimate.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from cnnlab.errors import SpecError, did_you_mean
from cnnlab.runs.directory import Run
from cnnlab.spec.train import Energy

WHERE = "train.energy"
SECONDS = 5.0  # between two readings
COUNTERS = ("intel_rapl", "intel_power_gadget", "windows_emi")  # codecarbon's words for what reads a processor's
PARTS = {"processor": "cpu_energy", "gpu": "gpu_energy", "memory": "ram_energy"}


def check_energy(energy: Energy | None) -> None:
    """Raises SpecError where codecarbon is not there, or does not know the country."""
    if energy is None:
        return
    try:
        from codecarbon.input import DataSource  # pyright: ignore[reportMissingImports]
    except ImportError:
        hint = "pip install 'cnnlab[energy]', or leave it out"
        raise SpecError("codecarbon counts energy, and it is not installed", where=WHERE, hint=hint) from None
    known = list(DataSource().get_global_energy_mix_data())
    if energy.country not in known:
        hint = did_you_mean(energy.country, known) or "such as DEU or FRA, of ISO 3166"
        raise SpecError(f"codecarbon knows no country '{energy.country}'", where=f"{WHERE}.country", hint=hint)


class Meter:
    """Counts from its making to `close`; `energy.json` then has this session beside those before it.

    It is written after epochs too, so that a run which is killed has counted till then.
    """

    def __init__(self, run: Run, energy: Energy):
        from codecarbon import OfflineEmissionsTracker  # pyright: ignore[reportMissingImports]

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # its own setting comes after its first lines
        self._run, self._energy, self._reading = run, energy, _Reading()
        before = run.read_json(run.energy) if run.energy.exists() else {"sessions": []}
        self._sessions: list[dict[str, Any]] = before["sessions"]
        # All that could send something is said here, so that no configuration file or variable says otherwise.
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=energy.country,
            country_2letter_iso_code=None,
            region=None,
            cloud_provider=None,
            cloud_region=None,
            output_methods=[],
            output_handlers=[self._reading],
            emissions_endpoint=None,
            api_key=None,
            electricitymaps_api_token="",
            tracking_mode="machine",
            measure_power_secs=SECONDS,
            allow_multiple_runs=True,
            log_level="critical",
        )
        self._tracker.start()
        self._written = time.monotonic()

    def epoch_ended(self) -> None:
        """Write what has been found so far, but every few seconds at most."""
        if time.monotonic() - self._written >= SECONDS:
            self._tracker.flush()
            self._write()

    def close(self) -> None:
        """Stop counting and write what has been found."""
        self._tracker.stop()
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._reading.total is not None:  # None: codecarbon could not start, and says nothing
            sessions = [*self._sessions, session(self._reading.total, self._tracker)]
            self._run.write_json(self._run.energy, document(self._energy.country, sessions))


class _Reading:
    """What codecarbon hands its figures to."""

    total: Any = None

    def out(self, total: Any, delta: Any) -> None:
        self.total = total

    def live_out(self, total: Any, delta: Any) -> None: ...

    def task_out(self, data: Any, experiment_name: str) -> None: ...

    def exit(self) -> None: ...


@contextmanager
def metered(run: Run, energy: Energy | None) -> Iterator[Callable[[], None]]:
    """What happens inside is counted, where a spec asks for it, however it ends; call what it gives after an epoch."""
    if energy is None:
        yield lambda: None
        return
    meter = Meter(run, energy)
    try:
        yield meter.epoch_ended
    finally:
        meter.close()


def session(found: Any, tracker: Any) -> dict[str, Any]:
    """codecarbon's EmissionsData in our words."""
    ways = _ways(tracker)
    parts = {
        name: {"kwh": float(getattr(found, key)), "measured": name in ways, "by": ways.get(name, "a model")}
        for name, key in PARTS.items()
        if getattr(found, key)
    }
    return {"seconds": float(found.duration), "grams_co2": 1000 * float(found.emissions), "parts": parts}


def document(country: str, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of energy.json: the sums over all sessions of a run, then each of them."""
    parts = [part for one in sessions for part in one["parts"].values()]
    measured = sum(part["kwh"] for part in parts if part["measured"])
    estimated = sum(part["kwh"] for part in parts if not part["measured"])
    return {
        "kwh": measured + estimated,
        "measured_kwh": measured,
        "estimated_kwh": estimated,
        "grams_co2": sum(one["grams_co2"] for one in sessions),
        "grams_co2_are": "estimated by the mean of the country",
        "country": country,
        "seconds": sum(one["seconds"] for one in sessions),
        "counted": "the whole machine",
        "codecarbon": version("codecarbon"),
        "sessions": sessions,
    }


def _ways(tracker: Any) -> Mapping[str, str]:
    """Of the parts that are measured, by what. codecarbon says it nowhere but in its devices."""
    found = {}
    for device in getattr(tracker, "_hardware", ()):
        kind, mode = type(device).__name__, str(getattr(device, "_mode", ""))
        if kind == "CPU" and mode in COUNTERS:
            found["processor"] = mode
        elif kind == "GPU":
            found["gpu"] = "its driver"
        elif kind in ("AppleSiliconChip", "Raspberry"):
            found[{"CPU": "processor", "GPU": "gpu", "RAM": "memory"}.get(device.chip_part, "processor")] = kind
    return found
