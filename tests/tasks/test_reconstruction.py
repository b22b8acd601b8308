"""Losses, penalties and figures of reconstructions against NumPy, and what of a network they refuse."""

import csv
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.metrics import average_precision_score, roc_auc_score

from cnnlab.errors import DataError, SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import build
from cnnlab.spec.load import parse
from cnnlab.tasks.reconstruction import Reconstruction, Wanted
from cnnlab.tasks.task import Found, Listing, Outcome, joined

RANDOM = np.random.default_rng(0)
SHAPE, BATCH = (4, 6, 2), 5
MEAN, STD = (0.5, 0.25), (2.0, 0.5)
X, OUTPUT = RANDOM.normal(size=(2, BATCH, *SHAPE)).astype(np.float32)
Y = np.stack([[0, 1, 2, 1, 0], [7, 3, 9, 4, 5]], 1).astype(np.int32)
KEY = jax.random.key(0)
LAYERS = "[flatten, dense: 8, {sigmoid: {}, name: code}, dense: 48]"


def task(
    settings: str = "", *, loss: str = "mean_squared", pixels: bool = False, layers: str = LAYERS
) -> Reconstruction:
    experiment = parse(
        f"task: {{name: reconstruction{settings}}}\nloss: {loss}\n"
        f"data: {{source: digits, normalize: {str(loss != 'binary_cross_entropy').lower()}}}\n"
        f"model: {{layers: {layers}}}", "spec.yaml",
    )  # fmt: skip
    assert experiment.task is not None
    assert experiment.loss is not None
    return Reconstruction(("a", "b", "c"), experiment.loss, experiment.task, SHAPE, MEAN, STD, pixels, True)  # type: ignore[arg-type]


def network(layers: str = LAYERS, shape: tuple[int, ...] = SHAPE) -> Any:
    model = parse(f"model: {{layers: {layers}, input: {list(shape)}}}", "spec.yaml").model
    return build(model, shape, 2, init=Initializer(0))


def losses(of: Reconstruction, output: np.ndarray = OUTPUT, key: jax.Array | None = KEY) -> tuple[np.ndarray, Wanted]:
    _, wanted = of.given(jnp.asarray(X), jnp.asarray(Y), key)
    found, lowered = of.objective(jnp.asarray(output), wanted, jnp.asarray(Y))
    np.testing.assert_array_equal(found, lowered)
    return np.asarray(found), wanted


def test_the_loss_is_of_the_normalised_input_whatever_form_the_output_has():
    error = (OUTPUT - X).reshape(BATCH, -1).astype(np.float64)
    huber = np.where(abs(error) <= 1, error**2 / 2, abs(error) - 0.5)
    for name, each in {"mean_squared": error**2, "mean_absolute": abs(error), "huber": huber}.items():
        np.testing.assert_allclose(losses(task(loss=name))[0], each.mean(1), rtol=1e-5)
        np.testing.assert_allclose(losses(task(loss=name), OUTPUT.reshape(BATCH, -1))[0], each.mean(1), rtol=1e-5)


def test_binary_cross_entropy_is_of_logits_and_so_is_the_answer():
    of = task(loss="binary_cross_entropy")
    x = jnp.asarray(scipy.special.expit(X))
    found, _ = of.objective(jnp.asarray(OUTPUT), Wanted(x, x, x, jnp.ones((BATCH, 4, 6, 1), bool)), jnp.asarray(Y))
    p = scipy.special.expit(OUTPUT.astype(np.float64))
    wanted = -(np.asarray(x) * np.log(p) + (1 - np.asarray(x)) * np.log(1 - p)).reshape(BATCH, -1).mean(1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(of.answer(jnp.asarray(OUTPUT)), p, rtol=1e-5)


def test_only_what_was_hidden_counts():
    of = task(", corruption: {patches: 0.5, size: 2}, hidden_only: true")
    found, wanted = losses(of)
    hidden = np.asarray(wanted.counted)[..., 0]
    assert (hidden.sum((1, 2)) == 12).all()
    np.testing.assert_allclose(found, [np.mean((OUTPUT[i] - X[i])[hidden[i]] ** 2) for i in range(BATCH)], rtol=1e-5)
    outcome = of.outcome(jnp.asarray(OUTPUT), wanted, jnp.asarray(Y))
    own = (OUTPUT - X) * np.array(STD)
    np.testing.assert_allclose(
        outcome.values["mse"], [np.mean(own[i][hidden[i]] ** 2) for i in range(BATCH)], rtol=1e-5
    )
    completed = np.where(hidden[..., None], OUTPUT, X) * np.array(STD) + np.array(MEAN)
    np.testing.assert_allclose(outcome.shown["reconstruction"], completed, rtol=1e-5, atol=1e-6)


def test_a_noisy_target_is_a_second_copy_and_evaluation_compares_with_the_clean_one():
    of = task(", corruption: {gaussian: 0.5}, target: noisy")
    given, wanted = of.given(jnp.asarray(X), jnp.asarray(Y), KEY)
    first, second = np.asarray(given) - X, np.asarray(wanted.target) - X
    assert 0.4 < first.std() < 0.6
    assert 0.4 < second.std() < 0.6
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2
    given, wanted = of.given(jnp.asarray(X), jnp.asarray(Y), None)
    np.testing.assert_array_equal(wanted.target, X)
    assert 0.4 < (np.asarray(given) - X).std() < 0.6


def test_evaluation_draws_by_the_examples_place_in_the_data_and_training_by_the_step():
    of = task(", corruption: {gaussian: 0.5}")
    once, _ = of.given(jnp.asarray(X), jnp.asarray(Y), None)
    moved, _ = of.given(jnp.asarray(X[::-1]), jnp.asarray(Y[::-1]), None)
    np.testing.assert_array_equal(moved[::-1], once)
    steps = [np.asarray(of.given(jnp.asarray(X), jnp.asarray(Y), jax.random.key(i))[0]) for i in (1, 1, 2)]
    np.testing.assert_array_equal(steps[0], steps[1])
    assert (steps[0] != steps[2]).all()
    assert (steps[0] != np.asarray(once)).all()


# ---------------------------------------------------------------- penalties


def code_by_numpy(model: Any) -> np.ndarray:
    kernel, bias = (np.asarray(v[...], np.float64) for v in (model.dense_1.kernel, model.dense_1.bias))
    return scipy.special.expit(X.reshape(BATCH, -1) @ kernel + bias)


def test_penalties_of_the_code_leave_the_padding_out():
    model, mask = network(), np.array([True, True, False, True, False])
    h = code_by_numpy(model)[mask]
    kernel = np.asarray(model.dense_1.kernel[...], np.float64)
    rho, mean = 0.1, h.mean(0)
    divergence = (rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))).sum()
    frobenius = ((h * (1 - h)) ** 2 @ (kernel**2).sum(0)).mean()
    for settings, wanted in {
        ", sparse: {weight: 0.5}": 0.5 * h.sum(1).mean(),
        ", sparse: {penalty: kullback_leibler, rho: 0.1, weight: 0.5}": 0.5 * divergence,
        ", contractive: 0.3": 0.3 * frobenius,
        ", contractive: 0.3, sparse: {weight: 0.5}": 0.3 * frobenius + 0.5 * h.sum(1).mean(),
        "": 0,
    }.items():
        found = task(settings).penalty(model, jnp.asarray(X), jnp.asarray(mask))
        assert float(found) == pytest.approx(wanted, rel=1e-4), settings


def test_the_code_is_kept_of_what_the_network_is_given():
    kept = task().inside(network(), jnp.asarray(X))
    np.testing.assert_allclose(kept["code"], code_by_numpy(network()), rtol=1e-5)
    layers = "[flatten, dense: 8, relu, dense: 48]"
    assert task(layers=layers).inside(network(layers), jnp.asarray(X)) == {}
    named = task(", code: dense_1", layers=layers).inside(network(layers), jnp.asarray(X))
    assert named["code"].shape == (BATCH, 8)


def test_the_whole_after_the_code_is_what_it_was():
    """The encoder shares the layers: nothing of the network changes."""
    model = network()
    before = np.asarray(model(jnp.asarray(X), Mode()))
    task().check_network(model, SHAPE)
    task().inside(model, jnp.asarray(X))
    np.testing.assert_array_equal(model(jnp.asarray(X), Mode()), before)


@pytest.mark.parametrize(
    ("settings", "layers", "message"),
    [
        (", contractive: 1.0", "[flatten, dense: 48]",
         "task.contractive: penalises the code, and the network has no layer encoder or code; name a layer of the "
         "model 'code', or name it in task.code"),
        (", sparse: {}", "[flatten, dense: 48]",
         "task.sparse: penalises the code, and the network has no layer encoder or code; name a layer of the model "
         "'code', or name it in task.code"),
        (", sparse: {penalty: kullback_leibler}", "[flatten, {dense: 8, name: code}, dense: 48]",
         "task.sparse.penalty: kullback_leibler is of activities from 0 to 1, and the code is that of Dense; let the "
         "code's layer be a sigmoid, or use l1"),
        (", code: cod", LAYERS, "task.code: the network has no layer 'cod' here; did you mean 'code'?"),
        (", code: residual_0.body", "[residual: [relu], flatten, dense: 48]",
         "task.code: 'body' is not on the one way to the output, which Residual divides; name a layer that "
         "everything goes through, as in conv_autoencoder"),
    ],
)  # fmt: skip
def test_a_code_that_is_not_there_is_told(settings, layers, message):
    with pytest.raises(SpecError) as caught:
        task(settings, layers=layers).check_network(network(layers), SHAPE)
    assert str(caught.value) == message


def test_the_cost_of_a_huge_code_is_told():
    layers = "[flatten, {dense: 200, name: code}, dense: 48]"
    (note,) = task(", contractive: 1.0", layers=layers).check_network(network(layers), SHAPE)
    assert note == "task.contractive: every step takes 200 passes back through the encoder, one for each unit"
    assert task(layers=layers).check_network(network(layers), SHAPE) == ()


def test_an_output_of_another_shape_is_refused():
    task().check(SHAPE, SHAPE)
    task().check((48,), SHAPE)
    with pytest.raises(SpecError, match="gives 4x6x1, and reconstruction needs the input's own 4x6x2; choose"):
        task().check((4, 6, 1), SHAPE)
    with pytest.raises(SpecError, match="one square of 8 positions covers the input, 4x6x2; give smaller ones"):
        task(", corruption: {patches: 0.5, size: 8}").check(SHAPE, SHAPE)


def test_values_that_binary_cross_entropy_cannot_take_are_refused():
    of = task(loss="binary_cross_entropy")
    of.check_inputs(np.array([0.0, 1.0]), "x.npz")
    with pytest.raises(DataError, match=r"x.npz: values from 0 to 1.5, and binary_cross_entropy takes 0 to 1; scale"):
        of.check_inputs(np.array([0.0, 1.5]), "x.npz")


# ---------------------------------------------------------------- figures


def found_of(of: Reconstruction, code: bool = True) -> Found:
    given, wanted = of.given(jnp.asarray(X), jnp.asarray(Y), None)
    outcome = of.outcome(jnp.asarray(OUTPUT), wanted, jnp.asarray(Y))
    inside = of.inside(network(), given) if code else {}
    values = {name: np.asarray(value) for name, value in {**outcome.values, **inside}.items()}
    return joined([(Outcome(values, {k: np.asarray(v) for k, v in outcome.shown.items()}), Y)])


def test_figures_are_in_the_inputs_own_units():
    of = task(", corruption: {gaussian: 0.5}, normal: [a, c]")
    found = found_of(of)
    clean, made = (v * np.array(STD) + np.array(MEAN) for v in (X.astype(np.float64), OUTPUT))
    mse = ((made - clean) ** 2).reshape(BATCH, -1).mean(1)
    np.testing.assert_allclose(found.values["mse"], mse, rtol=1e-5)
    np.testing.assert_allclose(of.answer(jnp.asarray(OUTPUT)), made, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of.errors(X, made), mse, rtol=1e-5)
    report = of.report(found, "test", 0)
    peak = clean.max() - clean.min()
    assert report["peak"] == pytest.approx(peak, rel=1e-5)
    assert report["mse"] == pytest.approx(mse.mean(), rel=1e-5)
    assert report["psnr"] == pytest.approx(10 * np.log10(peak**2 / mse.mean()), rel=1e-5)
    noise = (np.asarray(of.given(jnp.asarray(X), jnp.asarray(Y), None)[0]) - X) * np.array(STD)
    assert report["corrupted_psnr"] == pytest.approx(10 * np.log10(peak**2 / (noise**2).mean()), rel=1e-4)
    strange = Y[:, 0] == 1
    assert report["roc_auc"] == pytest.approx(roc_auc_score(strange, mse))
    assert report["average_precision"] == pytest.approx(average_precision_score(strange, mse))
    assert set(report["intervals"]) == {"loss", "mse", "psnr", "corrupted_psnr", "roc_auc", "average_precision"}
    assert of.validation(found) == {name: report[name] for name in ("loss", "mse", "psnr")}
    pixels = task(pixels=True)
    assert pixels.report(found_of(pixels), "test", 0)["psnr"] == pytest.approx(-10 * np.log10(mse.mean()), rel=1e-5)


def test_tables_and_codes_name_every_example():
    of = task(", normal: [a]")
    found = found_of(of)
    files = of.files(found, of.report(found, "test", 0), Listing("test", Y[:, 1], [f"{i}.png" for i in range(BATCH)]))
    rows = list(csv.DictReader(io.StringIO(str(files["predictions.csv"]))))
    assert [row["class"] for row in rows] == ["a", "b", "c", "b", "a"]
    assert [row["anomaly"] for row in rows] == ["0", "1", "1", "1", "0"]
    assert [int(row["index"]) for row in rows] == Y[:, 1].tolist()
    np.testing.assert_array_equal(np.array([row["mse"] for row in rows], np.float32), found.values["mse"])
    assert str(files["per_class.csv"]).startswith("class,normal,mse,psnr,examples\na,True,")
    content = files["codes.npz"]
    assert isinstance(content, bytes)
    with np.load(io.BytesIO(content)) as codes:
        np.testing.assert_array_equal(codes["codes"], found.values["code"])
        np.testing.assert_array_equal(codes["labels"], Y[:, 0])
        np.testing.assert_array_equal(codes["indices"], Y[:, 1])
        assert codes["files"].tolist() == [row["file"] for row in rows]
        assert codes["classes"].tolist() == ["a", "b", "c"]
    assert "codes.npz" not in of.files(
        found_of(of, code=False), of.report(found, "test", 0), Listing("test", Y[:, 1], None)
    )
