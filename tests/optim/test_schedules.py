"""Learning rates step by step, against the formulas written out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.optim.schedules import schedule
from cnnlab.spec.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    Inverse,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    WarmRestarts,
)

STEPS = jnp.arange(60)


def rates(spec: float | Schedule, steps_per_epoch: int, epochs: int) -> np.ndarray:
    """The rate of every step of the training."""
    rate = schedule(spec, steps_per_epoch=steps_per_epoch, epochs=epochs)
    values = np.asarray(jax.vmap(rate)(STEPS))
    assert values.dtype == np.float32
    assert steps_per_epoch * epochs <= len(values)
    return values[: steps_per_epoch * epochs]


def close(found: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_a_number_is_the_rate_of_every_step():
    close(rates(0.25, 3, 2), [0.25] * 6)


def test_constant_after_a_warm_up():
    spec = Constant(schedule="constant", peak=0.8, warmup_epochs=2)
    close(rates(spec, 4, 3), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8])
    close(rates(Constant(schedule="constant", peak=0.8), 2, 2), [0.8] * 4)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 10),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 6.0]),
    st.sampled_from([1e-4, 0.1, 3.0]),
    st.sampled_from([0.0, 0.01, 1.0]),
)
def test_cosine_rises_to_the_peak_and_falls_to_the_end_with_the_last_step(steps, epochs, warmup, peak, share):
    end = share * peak
    found = rates(Cosine(peak=peak, warmup_epochs=min(warmup, epochs), end=end), steps, epochs)
    rising = round(min(warmup, epochs) * steps)
    falling = steps * epochs - rising
    expected = [peak * i / rising for i in range(1, rising + 1)]
    expected += [end + (peak - end) * (1 + math.cos(math.pi * i / falling)) / 2 for i in range(1, falling + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * peak)
    if rising:
        assert found[rising - 1] == pytest.approx(peak, rel=1e-6)
    if falling:
        assert found[-1] == pytest.approx(end, rel=1e-6, abs=1e-7 * peak)


def test_the_default_cosine_warms_up_for_one_epoch():
    found = rates(Cosine(peak=1.0), 4, 3)
    close(found[:4], [0.25, 0.5, 0.75, 1])
    assert (np.diff(found[3:]) < 0).all()
    assert found[-1] == 0


def test_behind_the_last_step_the_cosine_stays_at_its_end():
    rate = schedule(Cosine(peak=1.0, end=0.2), steps_per_epoch=2, epochs=3)
    close(np.asarray([rate(jnp.int32(step)) for step in (5, 6, 50)]), [0.2] * 3)


def test_a_step_every_few_epochs():
    spec = Step(schedule="step", peak=0.8, every_epochs=2, factor=0.5)
    close(rates(spec, 2, 5), [0.8] * 4 + [0.4] * 4 + [0.2] * 2)


def test_a_step_at_each_named_epoch_in_any_order():
    spec = Step(schedule="step", peak=1.0, at_epochs=(4, 1), factor=0.1)
    close(rates(spec, 3, 6), [1.0] * 3 + [0.1] * 9 + [0.01] * 6)


def test_epochs_of_a_step_are_counted_from_the_start_of_training_not_from_the_warm_up():
    spec = Step(schedule="step", peak=1.0, every_epochs=2, factor=0.1, warmup_epochs=1)
    close(rates(spec, 2, 4), [0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1])
    spec = Step(schedule="step", peak=1.0, at_epochs=(1, 2), factor=0.1, warmup_epochs=1)
    close(rates(spec, 2, 3), [0.5, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("warmup", [0.25, 0.5, 0.75])
def test_a_warm_up_may_end_inside_an_epoch(warmup):
    spec = Constant(schedule="constant", peak=1.0, warmup_epochs=warmup)
    rising = int(warmup * 8)
    close(rates(spec, 8, 1), [min((i + 1) / rising, 1) for i in range(8)])


def test_an_unknown_schedule_is_refused():
    rate = schedule(Schedule(peak=1.0), steps_per_epoch=1, epochs=1)
    with pytest.raises(TypeError, match=r"^no such schedule: Schedule$"):
        rate(jnp.int32(0))


def cosine_between(start: float, end: float, steps: int) -> list[float]:
    """From `start`, by half a cosine, to the last value before `end`."""
    return [end + (start - end) * (1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)]


def test_exponential_falls_by_its_factor_an_epoch():
    spec = Exponential(schedule="exponential", peak=0.8, factor=0.5, warmup_epochs=1)
    close(rates(spec, 4, 4), [0.2, 0.4, 0.6, 0.8] + [0.8 * 0.5 ** (i / 4) for i in range(12)])


@pytest.mark.parametrize(("power", "end"), [(1.0, 0.0), (2.0, 0.1), (0.5, 0.0)])
def test_polynomial_reaches_its_end_with_the_last_step(power, end):
    found = rates(Polynomial(schedule="polynomial", peak=0.5, power=power, end=end, warmup_epochs=1), 3, 5)
    wanted = [0.5 / 3, 1 / 3, 0.5] + [end + (0.5 - end) * (1 - i / 12) ** power for i in range(1, 13)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert found[-1] == pytest.approx(end, abs=1e-7)


def test_inverse_is_alpha_over_one_plus_mu_t():
    close(rates(Inverse(schedule="inverse", peak=0.6, mu=2.0), 5, 4), [0.6 / (1 + 2 * i / 5) for i in range(20)])
    robbins_monro = rates(Inverse(schedule="inverse", peak=1.0), 1, 50)
    close(robbins_monro, [1 / (1 + i) for i in range(50)])


def test_warm_restarts_begin_again_at_the_peak_and_grow():
    spec = WarmRestarts(schedule="warm_restarts", peak=0.8, first_epochs=2, growth=2, end=0.1)
    cycles = cosine_between(0.8, 0.1, 6) + cosine_between(0.8, 0.1, 12) + cosine_between(0.8, 0.1, 24)
    close(rates(spec, 3, 10), cycles[:30])
    warmed = rates(spec.model_copy(update={"warmup_epochs": 1, "growth": 1.0}), 3, 6)
    close(warmed, [0.8 / 3, 1.6 / 3, 0.8, *(cosine_between(0.8, 0.1, 6) * 3)[:15]])


def test_one_cycle_rises_and_falls_by_half_cosines():
    spec = OneCycle(schedule="one_cycle", peak=1.0, rise=0.25, start_share=0.1, end_share=0.01)
    wanted = cosine_between(0.1, 1.0, 5) + cosine_between(1.0, 0.01, 15) + [0.01]
    close(rates(spec, 5, 4), wanted[1:])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps_is_finite_and_has_its_peak(steps):
    found = rates(OneCycle(schedule="one_cycle", peak=0.5), 1, steps)
    assert np.isfinite(found).all()
    assert found.max() == pytest.approx(0.5)


def test_a_plateau_alone_is_constant():
    close(rates(Plateau(schedule="plateau", peak=0.4, warmup_epochs=1), 2, 2), [0.2, 0.4, 0.4, 0.4])


@pytest.mark.parametrize("cls", SCHEDULES, ids=lambda cls: cls.tags[0])
def test_every_schedule_stays_between_0_and_its_peak(cls):
    more = {"every_epochs": 2} if cls is Step else {}
    found = rates(cls.model_validate({"schedule": cls.tags[0], "peak": 0.3, **more}), 4, 12)
    assert ((found >= 0) & (found <= np.float32(0.3) * (1 + 1e-6))).all()
