import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab import __version__
from cnnlab.errors import RunError
from cnnlab.runs.directory import Lock, Run, latest, locate, open_run, unfinished


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def begun(path: Path, **environment: object) -> Path:
    """The least that a run directory has."""
    path.mkdir(parents=True)
    (path / "resolved.yaml").write_text("model: {name: lenet5}\n")
    content = {"cnnlab": __version__, "run_format": 1, **environment}
    (path / "environment.json").write_text(json.dumps(content))
    (path / "status.json").write_text(json.dumps({"status": "running", "reason": None}))
    return path


def sentence(error: pytest.ExceptionInfo[RunError]) -> str:
    return str(error.value)


def test_a_name_that_is_taken_gets_a_number():
    paths = [locate("digits", None, resume=False).path for _ in range(3)]
    assert list(map(str, paths)) == ["runs/digits", "runs/digits-2", "runs/digits-3"]


def test_resume_takes_the_latest_of_that_name_and_no_other():
    for name in ("digits", "digits-2", "digits-10", "digits-x", "digits-2-old"):
        begun(Path("runs") / name)
    found = latest("digits")
    assert found is not None
    assert found.path == Path("runs/digits-10")
    assert locate("digits", None, resume=True).path == Path("runs/digits-10")
    assert latest("other") is None
    assert locate("other", None, resume=True).path == Path("runs/other")


def test_a_chosen_directory_must_be_free():
    assert locate("x", Path("mine"), resume=False).path == Path("mine")  # made
    assert locate("x", Path("mine"), resume=False).path == Path("mine")  # empty
    Path("mine/file").write_text("")
    with pytest.raises(RunError) as error:
        locate("x", Path("mine"), resume=False)
    assert sentence(error) == "mine: is taken; choose another, or continue it with --resume"
    with pytest.raises(RunError) as error:
        locate("x", Path("mine"), resume=True)
    assert sentence(error) == "mine: is not a run directory, and not empty; choose another with --run"


def test_a_run_that_was_killed_before_it_had_begun_is_taken_up():
    Path("mine").mkdir()
    Path("mine/spec.yaml").write_text("")
    assert locate("x", Path("mine"), resume=True).path == Path("mine")


def test_a_directory_that_cannot_be_made_is_named():
    Path("file").write_text("")
    with pytest.raises(RunError) as error:
        locate("x", Path("file/run"), resume=False)
    assert sentence(error) == "file/run: cannot be made: Not a directory; choose another with --run"


def test_opening_says_what_is_wrong():
    begun(Path("runs/digits"))
    assert open_run(Path("runs/digits")).path == Path("runs/digits")
    Path("runs/empty").mkdir()
    cases = {
        "runs/digit": "runs/digit: no such run directory; did you mean 'digits'?",
        "nothing/x": "nothing/x: no such run directory; 'cnnlab train SPEC' makes one",
        "runs/empty": "runs/empty: is not a run directory: it has no resolved.yaml; "
        "a run is what 'cnnlab train' leaves in runs/",
    }
    for path, expected in cases.items():
        with pytest.raises(RunError) as error:
            open_run(Path(path))
        assert sentence(error) == expected


@pytest.mark.parametrize("environment", [{"cnnlab": "99.0.0"}, {"cnnlab": "0.2.0"}])
def test_a_run_of_a_newer_version_is_refused(environment):
    path = begun(Path("runs/new"), **environment)
    with pytest.raises(RunError) as error:
        open_run(path)
    expected = f"runs/new: was trained by cnnlab {environment['cnnlab']}, and this is {__version__}"
    assert sentence(error) == f"{expected}; install a version at least as new"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"cnnlab": "0.0.1", "run_format": 2}, "has the format 2, and this cnnlab reads 1"),
        ([], "its environment.json tells no version"),
        ({"cnnlab": "0.1.0"}, "its environment.json tells no version"),
    ],
)
def test_a_run_of_another_format_is_refused(content, expected):
    path = begun(Path("runs/other"))
    (path / "environment.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=expected):
        open_run(path)


def test_an_unfinished_run_says_so():
    path = begun(Path("runs/a"))
    assert unfinished(Run(path)) == ["runs/a is not finished: running, no reason given"]
    (path / "status.json").write_text(json.dumps({"status": "finished"}))
    assert unfinished(Run(path)) == []


def test_a_damaged_file_of_a_run_is_named():
    path = begun(Path("runs/a"))
    (path / "data.json").write_text("{")
    with pytest.raises(RunError) as error:
        Run(path).read_json(Run(path).data)
    assert sentence(error) == "runs/a: its data.json is missing or damaged"


def test_one_process_trains_in_a_directory_at_a_time():
    run = Run(begun(Path("runs/a")))
    code = (
        "import sys; from pathlib import Path; from cnnlab.runs.directory import Lock, Run\n"
        "with Lock(Run(Path(sys.argv[1]))): pass"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with Lock(run):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "runs/a: another process is training here" in other.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
