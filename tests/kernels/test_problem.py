"""How a convolution of JAX is told apart and described, without JAX's help."""

from dataclasses import replace

import pytest

from cnnlab.kernels.problem import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, Call, Dimensions, Problem, recognise

MAPS = (0, 3, 1, 2)
HWIO = (3, 2, 0, 1)
ORDINARY = Dimensions(MAPS, HWIO, MAPS)
WIDE = [
    (FORWARD, "float32", True),
    (INPUT_GRADIENT, "float32", True),
    (WEIGHT_GRADIENT, "float32", False),
    (FORWARD, "bfloat16", False),
    (INPUT_GRADIENT, "bfloat16", False),
    (WEIGHT_GRADIENT, "bfloat16", False),
]
FLOATS = {"operand": "float32", "result": "float32"}


def test_a_convolution():
    # 2 examples of 9x8x6, 3 groups of 2 to 4 channels, window 3x2, stride 2x1
    call = recognise(
        (2, 9, 8, 6),
        (3, 2, 2, 12),
        (2, 5, 8, 12),
        stride=(2, 1),
        padding=[(1, 1), (1, 0)],
        lhs_dilation=(1, 1),
        rhs_dilation=(1, 1),
        dimensions=ORDINARY,
        feature_groups=3,
        batch_groups=1,
        **FLOATS,
    )
    assert call is not None
    assert (call.swapped, call.reversed_weights) == (False, False)
    assert call.problem == Problem(
        kind=FORWARD,
        batch=2,
        groups=3,
        channels=6,
        features=12,
        source=(9, 8),
        target=(5, 8),
        window=(3, 2),
        stride=(2, 1),
        dilation=(1, 1),
        pad=(1, 1),
        weight_strides=(4, 1, 12, 48, 24),
        **FLOATS,
    )
    assert call.problem.numbers() == [
        *(0, 2, 2, 3, 6, 12),
        *(9, 8, 0, 5, 8, 0, 3, 2, 0),
        *(2, 1, 0, 1, 1, 0, 1, 1, 0),
        *(4, 1, 12, 48, 24, 0, 0, 0),
        *(0, 0),
    ]


def test_an_input_gradient_of_stride_two():
    # of 9x9x4 to 5x5x8 with padding 1: the window looks the other way, its feature dimensions change places
    call = recognise(
        (2, 5, 5, 8),
        (3, 3, 4, 8),
        (2, 9, 9, 4),
        stride=(1, 1),
        padding=[(1, 1), (1, 1)],
        lhs_dilation=(2, 2),
        rhs_dilation=(1, 1),
        dimensions=Dimensions(MAPS, (2, 3, 0, 1), MAPS),
        feature_groups=1,
        batch_groups=1,
        **FLOATS,
    )
    assert call is not None
    assert (call.swapped, call.reversed_weights) == (False, True)
    problem = call.problem
    assert (problem.kind, problem.channels, problem.features) == (INPUT_GRADIENT, 4, 8)
    assert (problem.source, problem.target, problem.stride, problem.pad) == ((9, 9), (5, 5), (2, 2), (1, 1))
    assert problem.weight_strides[1:] == (1, 8, 96, 32)


def test_a_weight_gradient_of_two_groups():
    call = recognise(
        (2, 9, 9, 4),
        (2, 5, 5, 8),
        (3, 3, 2, 8),
        stride=(1, 1),
        padding=[(1, 1), (1, 1)],
        lhs_dilation=(1, 1),
        rhs_dilation=(2, 2),
        dimensions=Dimensions((3, 0, 1, 2), (3, 0, 1, 2), (2, 3, 0, 1)),
        feature_groups=1,
        batch_groups=2,
        **FLOATS,
    )
    assert call is not None
    assert (call.swapped, call.reversed_weights) == (False, False)
    problem = call.problem
    assert (problem.kind, problem.groups, problem.channels, problem.features) == (WEIGHT_GRADIENT, 2, 4, 8)
    assert (problem.window, problem.stride, problem.dilation) == ((3, 3), (2, 2), (1, 1))
    assert problem.weight_strides == (4, 1, 8, 48, 16)


def test_the_weight_gradient_of_a_transposed_convolution():
    # 5x5x8 to 10x10x4, window 2, stride 2: the larger map is the source, and given second
    call = recognise(
        (3, 5, 5, 8),
        (3, 10, 10, 4),
        (2, 2, 8, 4),
        stride=(1, 1),
        padding=[(1, 1), (1, 1)],
        lhs_dilation=(2, 2),
        rhs_dilation=(1, 1),
        dimensions=Dimensions((3, 0, 1, 2), (3, 0, 1, 2), (2, 3, 0, 1)),
        feature_groups=1,
        batch_groups=1,
        **FLOATS,
    )
    assert call is not None
    assert (call.swapped, call.reversed_weights) == (True, True)
    problem = call.problem
    assert (problem.kind, problem.channels, problem.features) == (WEIGHT_GRADIENT, 4, 8)
    assert (problem.source, problem.target, problem.stride, problem.pad) == ((10, 10), (5, 5), (2, 2), (0, 0))


@pytest.mark.parametrize(("kind", "operand", "plain"), WIDE)
def test_windows_wider_than_the_map_get_its_zeros_where_onednn_fails(kind, operand, plain):
    problem = Problem(
        kind=kind,
        batch=1,
        groups=1,
        channels=6,
        features=13,
        source=(1, 13),
        target=(1, 8),
        window=(2, 5),
        stride=(1, 2),
        dilation=(2, 2),
        pad=(1, 7),
        weight_strides=(13, 1, 13, 390, 78),
        operand=operand,
        result=operand,
    )
    assert problem.is_plain() is plain
    call = Call(problem).trusted()
    if plain:
        assert call == Call(problem)
    elif kind == INPUT_GRADIENT:
        assert call is None  # what is made would have to be cut
    else:
        assert call is not None
        assert call.around == ((1, 1), (7, 3))
        assert (call.problem.source, call.problem.pad) == ((3, 23), (0, 0))
    assert replace(problem, source=(3, 13), target=(3, 8)).is_plain()
