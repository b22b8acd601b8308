"""`cnnlab bench` as a person and as a program see it."""

import json
from pathlib import Path

import pytest

from cnnlab.cli import render

FIGURES = {
    "images_per_second": {"median": 5738.4, "min": 990.2, "max": 12265.0},
    "milliseconds_per_step": {"median": 11.0, "min": 5.128, "max": 63.52},
    "images_per_step": 62.9,
    "steps_per_round": 24,
    "data_share": 0.028,
    "multiply_adds_per_image": 999_000_000,
    "multiply_adds_per_second": 888.4e9,
    "share_of_peak": 1.004,
}
DOCUMENT = {
    "name": "digits-lenet5",
    "batch_size": 64,
    "input_shape": [32, 32, 1],
    "precision": "float32",
    "device": {"platform": "cpu", "kind": "cpu", "count": 1},
    "processors": 2,
    "load_before": 0.254,
    "kernels": {"in_use": True, "why": "convolutions on the CPU run by oneDNN"},
    "compile_seconds": {"training_step": 2.5, "evaluation": 0.414},
    "compilation_cache": "/somewhere",
    "multiply_adds": 416_520,
    "rounds": 5,
    "training": FIGURES,
    "evaluation": {"split": "validation", **FIGURES, "multiply_adds_per_image": 416_520},
    "peak": {"side": 1024, "multiply_adds_per_second": 884.4e9},
    "memory": {
        "step": 4_088_136,
        "step_arguments": 1_002_968,
        "step_temporary": 3_084_864,
        "step_results": 304,
        "process_peak": 520_769_536,
        "device_peak": None,
    },
}
SHOWN = """\
digits-lenet5 on 1 cpu (cpu): batches of 64, 32x32x1, float32

 5 rounds               median   min     max
 ───────────────────────────────────────────
 training, images/s      5,738   990  12,265
 training, ms a step      11.0  5.13    63.5
 evaluation, images/s    5,738   990  12,265
 evaluation, ms a step    11.0  5.13    63.5

compile     step 2.50 s, evaluation 0.41 s; JAX's compilation cache is on
data        2.8% of training's time, 2.8% of evaluation's
memory      step 4.09 MB: arguments 1 MB, temporary 3.08 MB, results 304 B
            at most: process 521 MB
arithmetic  training 999 M multiply-adds an image, 888 G/s, 100.4% of peak
            evaluation 417 k multiply-adds an image, 888 G/s, 100.4% of peak
peak        884 G/s in a product of 1024x1024
kernels     in use: convolutions on the CPU run by oneDNN
load        0.3 before this, on 2 processors
"""


def keys(document: dict) -> set[str]:
    """The paths of all values in nested dictionaries."""
    found = set()
    for key, value in document.items():
        found |= {f"{key}.{inner}" for inner in keys(value)} if isinstance(value, dict) else {key}
    return found


def test_the_table_fits_a_terminal(capsys):
    render.bench(DOCUMENT)
    assert capsys.readouterr().out == SHOWN
    assert max(map(len, SHOWN.splitlines())) <= 80


def test_the_memory_of_a_device_and_what_is_not_known(capsys):
    render.bench({**DOCUMENT, "memory": {**DOCUMENT["memory"], "device_peak": 1_500_000_000}})
    assert "\n            at most: process 521 MB, device 1.5 GB\n" in capsys.readouterr().out
    render.bench(
        {**DOCUMENT, "compilation_cache": None, "load_before": None, "memory": dict.fromkeys(DOCUMENT["memory"])}
    )
    out = capsys.readouterr().out
    assert "memory      step -: arguments -, temporary -, results -\n            at most: -\n" in out
    assert "compile     step 2.50 s, evaluation 0.41 s\n" in out
    assert out.endswith("load        - before this, on 2 processors\n")


def test_the_document(small, cnnlab):
    ended = cnnlab("bench", small, "--seconds", 0.05, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert keys(found) == keys(DOCUMENT)
    assert (found["name"], found["batch_size"], found["input_shape"]) == ("small", 16, [6, 6, 1])
    summary = json.loads(cnnlab("summary", small, "--json").out)
    assert found["multiply_adds"] == found["evaluation"]["multiply_adds_per_image"] == summary["multiply_adds"]
    assert found["training"]["multiply_adds_per_image"] == 3 * summary["multiply_adds"]
    assert all(0 < found[name]["data_share"] < 1 for name in ("training", "evaluation"))
    assert not Path("runs").exists(), "nothing is left behind"


def test_the_tables_of_a_spec(small, cnnlab):
    overrides = ["data.split={train: 0.8, test: 0.2}", "model.freeze=[conv_0]", "model.unfreeze_at_epoch=2"]
    ended = cnnlab("bench", small, *overrides, "--seconds", 0.05)
    assert ended.code == 0
    assert ended.err == "note: this is the step before epoch 2, while parts are frozen\n"
    assert ended.out.startswith("small on 1 cpu (cpu): batches of 16, 6x6x1, float32\n\n 5 rounds ")
    assert [line.split()[0] for line in ended.out.splitlines() if line[:1].isalpha()] == [
        *("small", "compile", "data", "memory", "arithmetic", "peak", "kernels", "load")
    ]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e9"])
def test_no_time_to_measure_for(small, cnnlab, seconds):
    ended = cnnlab("bench", small, f"--seconds={seconds}")
    sentence = f"--seconds: {float(seconds):g} is no time to measure for; such as 10; above 0, at most 3600\n"
    assert ended == (2, "", sentence)


def test_wrong_input_is_one_sentence(small, cnnlab):
    ended = cnnlab("bench", "smal.yaml")
    assert ended == (2, "", "smal.yaml: no such spec file; did you mean 'small.yaml'?\n")
    ended = cnnlab("bench", small, "sed=3")
    assert ended == (2, "", "command line: sed=3: sed: unknown key (value 3); did you mean 'seed'?\n")
    ended = cnnlab("bench", small, "data.path=nowhere.npz")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "nowhere.npz: no such file or folder" in ended.err
    small.write_text("model: {name: lenet5, input: [32, 32, 1]}\n")
    ended = cnnlab("bench", small)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "data" in ended.err
    assert not Path("runs").exists()
