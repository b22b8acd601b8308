import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import RunError
from cnnlab.runs.history import columns, read, write
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification

COLUMNS = columns(Classification(("a", "b"), CrossEntropy()))

numbers = st.floats(allow_nan=False)
row = st.fixed_dictionaries(
    {"epoch": st.integers(1, 10**6), "step": st.integers(1, 10**9)},
    optional={name: numbers for name in COLUMNS if name not in ("epoch", "step")},
)


@given(st.lists(row, max_size=5))
def test_a_history_comes_back_bit_for_bit(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("history") / "history.csv"
    write(path, rows, COLUMNS)
    assert read(path) == rows


def test_the_columns_are_the_contract_s(tmp_path):
    path = tmp_path / "history.csv"
    write(path, [{"epoch": 1, "step": 20, "train/loss": 0.1, "learning_rate": float(np.float64(1e-3))}], COLUMNS)
    assert path.read_text() == (
        "epoch,step,train/loss,train/accuracy,validation/loss,validation/accuracy,validation/f1,"
        "learning_rate,seconds,images_per_second\n1,20,0.1,,,,,0.001,,\n"
    )


def test_no_file_is_no_rows_and_another_file_is_an_error(tmp_path):
    assert read(tmp_path / "none.csv") == []
    (tmp_path / "other.csv").write_text("epoch,step\none,2\n")
    with pytest.raises(RunError, match="cannot be read as a history"):
        read(tmp_path / "other.csv")
