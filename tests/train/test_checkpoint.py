import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnlab.errors import RunError
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.train import checkpoint
from cnnlab.train.checkpoint import keep, load, save, stored, verify
from cnnlab.train.state import State, from_named, initial, named_leaves


@pytest.fixture(scope="module")
def state() -> State:
    """A state with more than ten layers: Orbax orders keys as text, and 10 comes before 2 there."""
    random = np.random.default_rng(0)
    params = {f"layer_{i}": {"kernel": random.normal(size=(3, i + 1)).astype(np.float32)} for i in range(12)}
    stats = {"norm": {"mean": random.normal(size=4).astype(np.float32)}}
    state = initial(
        params, stats, {"optimizer": optax.adam(1e-3).init(params)}, Classification(("a", "b"), CrossEntropy())
    )
    return state._replace(step=jnp.asarray(7, jnp.int32))


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    return save(tmp_path_factory.mktemp("checkpoints"), state, 3)


def assert_same(one: State, other: State) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for (name, a), b in zip(named_leaves(one).items(), named_leaves(other).values(), strict=True):
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


def test_a_state_comes_back_bit_for_bit(state, saved):
    zeros = jax.tree.map(jnp.zeros_like, state)
    assert_same(load(saved, zeros), state)


def test_named_leaves_are_readable_and_complete(state):
    names = named_leaves(state)
    assert "params.layer_11.kernel" in names
    assert {"step", "diverged_at", "sums.examples"} <= set(names)
    assert_same(from_named(names, state), state)


def test_stored_steps_are_listed_oldest_first_and_kept_by_choice(state, tmp_path):
    made = [save(tmp_path, state._replace(step=jnp.asarray(step)), epoch) for step, epoch in [(20, 2), (5, 0), (10, 1)]]
    (tmp_path / ".00009-00000090.1").mkdir()  # what a kill leaves
    assert [c.step for c in stored(tmp_path)] == [5, 10, 20]
    keep(tmp_path, [made[0], made[1]])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000-00000005", "00002-00000020"]


def test_no_directory_holds_no_steps(tmp_path):
    assert stored(tmp_path / "nothing") == []


def test_every_flipped_bit_is_noticed(saved, tmp_path):
    """One bit in every file, the arrays' and the manifest's own sums included."""
    random = np.random.default_rng(1)
    files = [p.relative_to(saved.path) for p in saved.path.rglob("*") if p.is_file() and p.stat().st_size]
    assert len(files) > 4
    for number, name in enumerate(files):
        copy = checkpoint.Checkpoint(tmp_path / str(number), 7, 3)
        shutil.copytree(saved.path, copy.path)
        file = copy.path / name
        data = bytearray(file.read_bytes())
        position = random.integers(len(data))
        if name.name == checkpoint.MANIFEST:  # a digit of a sum; elsewhere it may be a letter of a key
            position = data.index(b'"files"') + data[data.index(b'"files"') :].index(b': "') + 4
        data[position] ^= 1
        file.write_bytes(data)
        with pytest.raises(RunError, match="damaged"):
            verify(copy)


@pytest.mark.parametrize("change", ["missing", "new"])
def test_a_missing_or_a_new_file_is_noticed(saved, tmp_path, change):
    copy = checkpoint.Checkpoint(tmp_path / "copy", 7, 3)
    shutil.copytree(saved.path, copy.path)
    if change == "missing":
        (copy.path / "state" / "_CHECKPOINT_METADATA").unlink()
    else:
        (copy.path / "state" / "more").write_text("x")
    with pytest.raises(RunError, match=f"damaged: the file .* is {change}"):
        verify(copy)


def test_a_manifest_that_is_gone_or_broken_is_damage(saved, tmp_path):
    copy = checkpoint.Checkpoint(tmp_path / "copy", 7, 3)
    shutil.copytree(saved.path, copy.path)
    (copy.path / checkpoint.MANIFEST).write_text("{")
    with pytest.raises(RunError, match="manifest cannot be read"):
        verify(copy)


def test_the_arrays_of_another_model_are_refused_by_name(state, saved):
    params = {**state.params, "layer_3": {"kernel": jnp.zeros((3, 9))}}
    with pytest.raises(
        RunError, match=r"another model: 'params.layer_3.kernel' is \[\[3, 4\], 'float32'\], not \[\[3, 9\]"
    ):
        load(saved, state._replace(params=params))


def test_a_full_disk_is_an_os_error(state, tmp_path, monkeypatch):
    from orbax.checkpoint import v1 as ocp

    def full(*_: object) -> None:
        raise ValueError("RESOURCE_EXHAUSTED: Error writing: No space left on device")

    monkeypatch.setattr(ocp, "save", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, state, 3)
    assert stored(tmp_path) == []


def test_the_manifest_tells_step_epoch_and_arrays(saved):
    manifest = json.loads((saved.path / checkpoint.MANIFEST).read_text())
    assert (manifest["step"], manifest["epoch"]) == (7, 3)
    assert manifest["arrays"]["params.layer_0.kernel"] == [[3, 1], "float32"]
