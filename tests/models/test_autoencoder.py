"""Encoder, decoder and both: counts, every layer against NumPy, and the input's shape given back whatever it is."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.autoencoder import conv_autoencoder, conv_decoder, conv_encoder
from cnnlab.trace.walk import trace


def shapes(model: nnx.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {call.path: call.output_shape for call in trace(model, input_shape).calls}


def parameters(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def smallest(space: tuple[int, ...], stages: int) -> tuple[int, ...]:
    for _ in range(stages):
        space = tuple(math.ceil(n / 2) for n in space)
    return space


# ---------------------------------------------------------------- counts and maps


def encoder_count(shape: tuple[int, ...], widths: tuple[int, ...], code: int, norm: bool) -> int:
    *space, channels = shape
    convs = [3 ** len(space) * a * b + (2 * b if norm else b) for a, b in itertools.pairwise([channels, *widths])]
    return sum(convs) + (math.prod(smallest(tuple(space), len(widths))) * widths[-1] + 1) * code


def decoder_count(features: int, shape: tuple[int, ...], widths: tuple[int, ...], norm: bool) -> int:
    *space, channels = shape
    start = math.prod(smallest(tuple(space), len(widths))) * widths[0]
    dense = features * start + (2 * widths[0] if norm else start)
    convs = [3 ** len(space) * a * b + (2 * b if norm else b) for a, b in itertools.pairwise(widths)]
    return dense + sum(convs) + (3 ** len(space) * widths[-1] + 1) * channels


@pytest.mark.parametrize(
    ("shape", "widths", "code", "normalization"),
    [
        ((32, 32, 1), (32, 64, 128), 64, "batch"),
        ((27, 30, 3), (4, 6), 5, "none"),
        ((50, 2), (3, 5, 7, 9), 4, "group"),
        ((9, 6, 5, 1), (8,), 2, "layer"),
    ],
)
def test_the_counts_of_parameters_are_the_formulas(shape, widths, code, normalization):
    options = {"normalization": normalization, "init": Initializer()}
    norm = normalization != "none"
    encoder = conv_encoder(shape, 10, widths=widths, code=code, **options)
    assert parameters(encoder) == encoder_count(shape, widths, code, norm) + (code + 1) * 10
    both = conv_autoencoder(shape, 10, widths=widths, code=code, **options)
    decoder = decoder_count(code, shape, widths[::-1], norm)
    assert parameters(both) == encoder_count(shape, widths, code, norm) + decoder
    alone = conv_decoder((code,), 10, shape=shape, widths=widths[::-1], **options)
    assert parameters(alone) == decoder


def test_with_the_defaults_the_counts_are_those_of_the_docstring():
    init = Initializer()
    assert parameters(conv_encoder((32, 32, 1), 10, init=init)) == 224_682
    assert parameters(conv_autoencoder((32, 32, 1), 10, init=init)) == 448_001
    assert parameters(conv_decoder((64,), 10, init=init)) == 223_969


def test_the_decoders_maps_are_the_encoders_in_reverse():
    of = shapes(conv_autoencoder((27, 30, 1), 10, init=Initializer()), (27, 30, 1))
    assert [of[f"encoder.stage{i}"] for i in (1, 2, 3)] == [(14, 15, 32), (7, 8, 64), (4, 4, 128)]
    assert (of["encoder.flatten"], of["encoder.code"], of["encoder"]) == ((2048,), (64,), (64,))
    assert (of["decoder.dense"], of["decoder.unflatten"]) == ((2048,), (4, 4, 128))
    assert [of[f"decoder.{name}"] for name in ("stage1", "stage2", "output")] == [(7, 8, 64), (14, 15, 32), (27, 30, 1)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 21), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 4))
def test_any_size_comes_back(space, channels, stages):
    shape = (*space, channels)
    model = conv_autoencoder(shape, 10, widths=(2, 3, 4, 5)[:stages], code=2, init=Initializer())
    assert trace(model, shape).output_shape == shape


# ---------------------------------------------------------------- the same in NumPy


def normalised(x: np.ndarray, part: nnx.Module) -> np.ndarray:
    if not hasattr(part, "norm"):
        return x
    flat = x.reshape(-1, x.shape[-1])
    return (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)


def with_bias(x: np.ndarray, layer: nnx.Module) -> np.ndarray:
    return x if layer.bias is None else x + np.asarray(layer.bias[...], np.float64)


def encoded(x: np.ndarray, encoder: nnx.Module, stages: int) -> np.ndarray:
    for i in range(1, stages + 1):
        part = getattr(encoder, f"stage{i}")
        kernel = np.asarray(part.conv.kernel[...], np.float64)
        out = np.zeros((len(x), *(math.ceil(n / 2) for n in x.shape[1:-1]), kernel.shape[-1]))
        for to in np.ndindex(out.shape[1:-1]):
            for at in np.ndindex(kernel.shape[:-2]):
                of = tuple(2 * t + a - 1 for t, a in zip(to, at, strict=True))  # 1 position of padding
                if all(0 <= o < n for o, n in zip(of, x.shape[1:-1], strict=True)):
                    out[(slice(None), *to)] += x[(slice(None), *of)] @ kernel[at]
        x = np.maximum(normalised(with_bias(out, part.conv), part), 0)
    return with_bias(x.reshape(len(x), -1) @ np.asarray(encoder.code.kernel[...], np.float64), encoder.code)


def enlarged(x: np.ndarray, layer: nnx.Module, space: tuple[int, ...]) -> np.ndarray:
    """Every position is added, times the kernel, where a window of the encoder would have read."""
    kernel = np.asarray(layer.kernel[...], np.float64)
    out = np.zeros((len(x), *space, kernel.shape[-1]))
    for of in np.ndindex(x.shape[1:-1]):
        for at in np.ndindex(kernel.shape[:-2]):
            to = tuple(2 * o + a - 1 for o, a in zip(of, at, strict=True))
            if all(0 <= t < n for t, n in zip(to, space, strict=True)):
                out[(slice(None), *to)] += x[(slice(None), *of)] @ kernel[at]
    return with_bias(out, layer)


def decoded(x: np.ndarray, decoder: nnx.Module, space: tuple[int, ...], width: int, stages: int) -> np.ndarray:
    x = with_bias(x @ np.asarray(decoder.dense.kernel[...], np.float64), decoder.dense)
    x = np.maximum(normalised(x.reshape(len(x), *smallest(space, stages), width), decoder.start), 0)
    for i in range(1, stages):
        part = getattr(decoder, f"stage{i}")
        x = np.maximum(normalised(enlarged(x, part.conv, smallest(space, stages - i)), part), 0)
    return 1 / (1 + np.exp(-enlarged(x, decoder.output.conv, space)))


@pytest.mark.parametrize(
    ("space", "widths", "normalization"),
    [((11,), (3, 4, 5), "none"), ((6, 5), (3, 4), "batch"), ((3, 4, 2), (4,), "none")],
)
def test_a_pass_in_training_is_that_of_numpy(space, widths, normalization):
    shape, stages, mode = (*space, 2), len(widths), Mode(train=True)
    options = {"widths": widths, "code": 3, "normalization": normalization, "init": Initializer(0)}
    both, classifier = conv_autoencoder(shape, 4, output="sigmoid", **options), conv_encoder(shape, 4, **options)
    random = np.random.default_rng(0)
    for model in (both, classifier):
        for _, layer in nnx.iter_modules(model):  # biases that are not zero
            if getattr(layer, "kernel", None) is not None and layer.bias is not None:
                layer.bias[...] = random.standard_normal(layer.bias.shape, dtype=np.float32)
    x = random.standard_normal((3, *shape), dtype=np.float32)

    code = encoded(x.astype(np.float64), both.encoder, stages)
    expected = decoded(code, both.decoder, space, widths[-1], stages)
    np.testing.assert_allclose(both(jnp.asarray(x), mode), expected, rtol=1e-3, atol=1e-4)

    code = np.maximum(encoded(x.astype(np.float64), classifier.encoder, stages), 0)
    expected = with_bias(code @ np.asarray(classifier.head.kernel[...], np.float64), classifier.head)
    np.testing.assert_allclose(classifier(jnp.asarray(x), mode), expected, rtol=1e-3, atol=1e-4)


# ---------------------------------------------------------------- parts that fit each other


def test_the_parts_of_an_autoencoder_have_the_paths_and_shapes_of_those_alone():
    shape, init = (13, 9, 2), Initializer()
    both = nnx.to_pure_dict(nnx.state(conv_autoencoder(shape, 4, init=init)))
    encoder = nnx.to_pure_dict(nnx.state(conv_encoder(shape, 4, init=init)))
    decoder = nnx.to_pure_dict(nnx.state(conv_decoder((64,), 4, shape=shape, init=init)))
    of = [jax.tree.map(np.shape, part) for part in (both, encoder, decoder)]
    assert set(both) == {"encoder", "decoder"}
    assert (of[0]["encoder"], of[0]["decoder"]) == (of[1]["encoder"], of[2]["decoder"])
    assert set(encoder) == {"encoder", "head"}
    assert set(decoder) == {"decoder"}


def test_the_number_of_classes_counts_for_the_classifier_alone():
    made = {"init": Initializer(), "widths": (2,), "code": 3}
    assert parameters(conv_encoder((8, 1), 7, **made)) == parameters(conv_encoder((8, 1), 2, **made)) + 5 * 4
    assert parameters(conv_autoencoder((8, 1), 7, **made)) == parameters(conv_autoencoder((8, 1), 2, **made))
    counts = {parameters(conv_decoder((3,), n, shape=(8, 1), widths=(2,), init=Initializer())) for n in (2, 7)}
    assert len(counts) == 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("make", [conv_encoder, conv_autoencoder])
def test_an_input_without_one_to_three_spatial_axes_is_refused(make):
    with pytest.raises(ShapeError) as caught:
        make((64,), 10, init=Initializer())
    assert str(caught.value) == "needs a map with spatial axes, and gets a vector of 64"
    with pytest.raises(ShapeError) as caught:
        make((2, 2, 2, 2, 1), 10, init=Initializer())
    assert str(caught.value).startswith("takes 1 or 2 or 3 spatial axes, and the input has 4")


def test_the_decoder_takes_a_vector():
    with pytest.raises(ShapeError) as caught:
        conv_decoder((8, 8, 1), 10, init=Initializer())
    assert str(caught.value) == (
        "takes a vector of features, and the input is 8x8x1; use conv_autoencoder, which makes one from a map"
    )
