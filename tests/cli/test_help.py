"""Help, lists, schema and init: what they print, and that they import no more than they need."""

import json
import subprocess
import sys

import pytest

from cnnlab import __version__
from cnnlab.cli import COMMANDS, app
from cnnlab.cli.listing import KINDS
from cnnlab.spec.catalogue import catalogue
from cnnlab.spec.schema import Experiment

HEAVY = ("jax", "flax", "optax", "orbax", "numpy", "rich", "pydantic", "matplotlib", "PIL", "yaml")


def loaded_after(code):
    """The heavy packages that a fresh interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def after_command(*arguments):
    call = "try:\n    cnnlab.cli.main()\nexcept SystemExit:\n    pass"
    return loaded_after(f"import cnnlab.cli\nsys.argv = {['cnnlab', *arguments]}\n{call}")


# ---------------------------------------------------------------- what is imported


def test_the_command_line_starts_without_any_library():
    assert loaded_after("import cnnlab.cli") == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)], ids=" ".join)
def test_help_needs_no_library(arguments):
    assert after_command(*arguments) == set()


def test_a_commands_help_needs_no_library_but_typers():
    assert after_command("train", "--help") <= {"pydantic"}  # Typer reads the types of parameters with it


@pytest.mark.parametrize("arguments", [("schema",), ("list", "layers")], ids=" ".join)
def test_what_needs_no_jax_does_not_import_it(arguments):
    loaded = after_command(*arguments)
    assert "pydantic" in loaded
    assert not loaded & {"jax", "flax", "optax", "orbax", "numpy", "matplotlib", "PIL"}


# ---------------------------------------------------------------- help


def test_the_help_names_every_command(cnnlab):
    ended = cnnlab("--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: cnnlab [OPTIONS] COMMAND [ARGS]...\n")
    for command in COMMANDS:
        assert f"\n  {command} " in ended.out


def test_the_version(cnnlab):
    assert cnnlab("--version") == (0, f"cnnlab {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_all_it_takes(cnnlab, command):
    from typer.main import get_command

    ended = cnnlab(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: cnnlab {command} ")
    words = " ".join(ended.out.split())
    assert " ".join((COMMANDS[command].__doc__ or "?").split("\n\n")[0].split()) in words
    for parameter in get_command(app).commands[command].params:  # pyright: ignore[reportAttributeAccessIssue]
        assert parameter.help, f"{command}: {parameter.name}"
        assert " ".join(parameter.help.split()) in words


# ---------------------------------------------------------------- list


@pytest.mark.parametrize("kind", KINDS)
def test_list_shows_every_name_with_its_settings(cnnlab, kind):
    ended = cnnlab("list", kind)
    assert (ended.code, ended.err) == (0, "")
    names, entries = [line.split()[0] for line in ended.out.splitlines()], catalogue(kind)
    assert names == [name for name, _ in entries]
    for line, (_, settings) in zip(ended.out.splitlines(), entries, strict=True):
        assert line.endswith(settings)
        assert line == line.rstrip()


def test_the_list_of_schedules(cnnlab):
    assert cnnlab("list", "schedules").out == (
        "constant       peak=0.001, warmup_epochs=0.0\n"
        "step           peak=0.001, warmup_epochs=0.0, every_epochs=null, at_epochs=null, factor=0.1\n"
        "exponential    peak=0.001, warmup_epochs=0.0, factor=0.9\n"
        "polynomial     peak=0.001, warmup_epochs=0.0, power=1.0, end=0.0\n"
        "inverse        peak=0.001, warmup_epochs=0.0, mu=1.0\n"
        "cosine         peak=0.001, warmup_epochs=1.0, end=0.0\n"
        "warm_restarts  peak=0.001, warmup_epochs=0.0, first_epochs=10.0, growth=1.0, end=0.0\n"
        "one_cycle      peak=0.001, rise=0.3, start_share=0.04, end_share=4e-06\n"
        "plateau        peak=0.001, warmup_epochs=0.0, metric=validation/loss, factor=0.1, patience=5, min_delta=0.0, "
        "smallest=0.0\n"
    )


# ---------------------------------------------------------------- schema, init


def test_the_schema_is_one_json_document(cnnlab):
    ended = cnnlab("schema")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Experiment.model_json_schema(),
    }


def test_init_writes_a_spec_that_check_accepts(cnnlab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cnnlab("init") == (0, "experiment.yaml\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cnnlab.schema.json", "experiment.yaml"]
    assert json.loads((tmp_path / "cnnlab.schema.json").read_text()) == Experiment.model_json_schema()
    assert "# yaml-language-server: $schema=cnnlab.schema.json\n" in (tmp_path / "experiment.yaml").read_text()
    ended = cnnlab("check", "experiment.yaml", "--json")
    assert (ended.code, ended.err) == (0, "")
    plan = json.loads(ended.out)
    assert (plan["name"], plan["epochs"], plan["counts"]["train"]) == ("experiment", 20, 1258)


def test_init_refuses_to_write_over_a_file(cnnlab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("keep: me")
    assert cnnlab("init", "mine.yaml") == (2, "", "mine.yaml: is there already; choose another name\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    assert (tmp_path / "mine.yaml").read_text() == "keep: me"


def test_init_for_data_of_ones_own(cnnlab, tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (200, 9, 9, 3), np.uint8)
    np.savez(tmp_path / "my: data.npz", x=pixels, y=np.arange(200) % 2)
    for i in range(100):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(path)
    for data, shape in (("my: data.npz", [9, 9, 3]), ("photos", [64, 64, 3])):
        spec = f"{data[:2]}.yaml"
        assert cnnlab("init", spec, "--data", data).code == 0
        ended = cnnlab("check", spec, "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["model"]["input_shape"] == shape
    nowhere = "nowhere: no such file or folder; name a folder of images or an .npz file\n"
    assert cnnlab("init", "c.yaml", "--data", "nowhere") == (2, "", nowhere)
    assert not (tmp_path / "c.yaml").exists()


@pytest.mark.parametrize("file", ["my net.yaml", "_first.yaml", "é.yaml"])
def test_init_takes_any_file_name(cnnlab, tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    assert cnnlab("init", file).code == 0
    assert cnnlab("check", file).code == 0


# ---------------------------------------------------------------- how a process ends


def ended_process(*arguments, after=""):
    script = f"import atexit, sys\nfrom cnnlab.cli import command\n{after}\ncommand()"
    run = [sys.executable, "-c", script, *arguments]
    return subprocess.run(run, capture_output=True, text=True, timeout=60)


def test_a_process_ends_at_once_and_leaves_nothing_unsaid():
    done = ended_process("schema", after="atexit.register(lambda: print('last', file=sys.stderr, flush=True))")
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"]
    assert done.stderr == "last\n"
    wrong = ended_process("list", "layer")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean" in wrong.stderr


def test_a_reader_who_is_gone_is_no_fault():
    with subprocess.Popen(
        [sys.executable, "-c", "from cnnlab.cli import command; command()", "list", "models"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
