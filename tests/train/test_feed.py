"""Examples from the device, many steps in a dispatch, and batches from the host: the same bits."""

import time
from dataclasses import replace

import jax
import numpy as np
import pytest

from cnnlab import kernels
from cnnlab.data.batches import epoch_places, order, training_batch
from cnnlab.data.stored import StoredImages
from cnnlab.data.survey import survey
from cnnlab.spec.data import ImageFolder
from cnnlab.train import feed as feeding
from cnnlab.train.feed import Feed
from tests.train.test_step import bits, form_used, program_of


def test_places_are_those_of_the_batches(small):
    _, prepared, program = program_of(small)
    shuffled = order(3, 1, prepared.counts["train"])
    index, mask = epoch_places(prepared, shuffled, 16)
    assert index.shape == mask.shape == (program.steps_per_epoch, 16)
    for i in range(program.steps_per_epoch):
        batch = training_batch(prepared, shuffled, i, 16)
        np.testing.assert_array_equal(index[i], batch.index)
        np.testing.assert_array_equal(mask[i], batch.mask)


def after_two_epochs(small, at_once: int, **settings):
    experiment, prepared, program = program_of(small)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setattr(feeding, name, value)
        feed, state = Feed(program, experiment, prepared), program.initial_state
        for epoch in range(2):
            feed.begin(epoch, state)
            for first in range(0, program.steps_per_epoch, at_once):
                state = feed.advance(state, first, min(at_once, program.steps_per_epoch - first))
    return program, state, feed


@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_however_examples_come_the_bits_are_the_same(small, at_once):
    host, expected, _ = after_two_epochs(small, 1, resident_bytes=lambda: 0)
    assert form_used(host.first) == [host.first.one]
    resident, state, feed = after_two_epochs(small, at_once, loops_are_fast=lambda *_: True)
    assert form_used(resident.first) == [resident.first.many]
    if not kernels.enable().in_use:
        pytest.skip("XLA's own convolutions sum in another order in a loop")
    assert bits(state) == bits(expected)
    assert feed.data_seconds > 0


def test_a_loop_with_a_convolution_of_xla_s_own_is_slow_on_a_cpu(small):
    """A network without one goes in a loop; one whose convolutions no kernel takes is told from its program."""
    experiment, prepared, program = program_of(small, "model.layers=[flatten, dense: classes]")
    feed = Feed(program, experiment, prepared)
    feed.begin(0, program.initial_state)
    feed.advance(program.initial_state, 0, 2)
    assert form_used(program.first) == [program.first.many]

    from cnnlab.kernels import lowering

    with lowering.switched(False):
        experiment, prepared, program = program_of(small)
        feed = Feed(program, experiment, prepared)
        feed.begin(0, program.initial_state)
        assert "stablehlo.convolution" in feed.lowered(program.initial_state).as_text()
        feed.advance(program.initial_state, 0, 2)
    assert form_used(program.first) == [program.first.one]


def test_where_memory_is_short_examples_stay_on_the_host(small, monkeypatch):
    experiment, prepared, program = program_of(small)
    for limit, inside in ((prepared.dataset.x.nbytes, True), (prepared.dataset.x.nbytes - 1, False)):
        monkeypatch.setattr(feeding, "resident_bytes", lambda limit=limit: limit)
        assert (Feed(program, experiment, prepared)._examples is not None) is inside


class InMemory:
    """A source of images in files, of which each is an array; the second is slow to come."""

    def __init__(self, x: np.ndarray):
        self.x, self.shape = x, x.shape[1:]

    def read_again(self, i: int) -> np.ndarray:
        if i == 1:
            time.sleep(0.02)
        return self.x[i]


def stored(prepared):
    x = prepared.dataset.x
    found = StoredImages(InMemory(x), survey(x.__getitem__, len(x)))
    return replace(prepared, dataset=replace(prepared.dataset, x=found))


def test_from_files_the_bits_are_the_same_and_it_is_told_once_where_the_time_goes(small):
    _, expected, feed = after_two_epochs(small, 1, resident_bytes=lambda: 0)
    assert feed.time_spent() == ()
    experiment, prepared, program = program_of(small)
    feed, state = Feed(program, experiment, stored(prepared)), program.initial_state
    assert feed._examples is None
    told = []
    for epoch in range(2):
        feed.begin(epoch, state)
        for first in range(0, program.steps_per_epoch, 2):
            state = jax.block_until_ready(feed.advance(state, first, 2))
        told.append(feed.time_spent())
    assert bits(state) == bits(expected)
    assert len(told[0]) == 1
    assert told[0][0].startswith("waiting for images takes ")
    assert "images/s of 6 x 6 from files)" in told[0][0]
    assert told[1] == ()


def test_an_accelerator_takes_images_from_files_in_parts(small, monkeypatch):
    experiment, prepared, program = program_of(small)
    monkeypatch.setattr(feeding, "fits_device", lambda x: x.nbytes <= feeding.resident_bytes())
    monkeypatch.setattr(feeding, "PART", 7 * 36)  # bytes: seven images at once
    found = Feed(program, experiment, stored(prepared))._examples
    assert found is not None
    np.testing.assert_array_equal(found.x, prepared.dataset.x)

    data = ImageFolder(source="image_folder", path="images", batch_size=16, workers=2)
    feed = Feed(program, experiment.model_copy(update={"data": data}), stored(prepared))
    assert feed.time_spent() == ("data.workers: 2 is not used: the images lie on the device",)
    assert feed.time_spent() == ()


@pytest.mark.parametrize("on_device", [True, False])
def test_an_epoch_that_is_sampled_goes_on_where_it_was_interrupted(small, on_device):
    """Two steps of the second epoch by one feed, the others by another, as in a run that is resumed."""
    settings = {"loops_are_fast": lambda *_: True} if on_device else {"resident_bytes": lambda: 0}
    overrides = ("data.sampling={top: 5}",)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setattr(feeding, name, value)
        experiment, prepared, program = program_of(small, *overrides)
        assert prepared.sampling is not None
        states = []
        for stop in (program.steps_per_epoch, 2):
            feed, state = Feed(program, experiment, prepared), program.initial_state
            feed.begin(1, state)
            state = feed.advance(state, 0, stop)
            if stop < program.steps_per_epoch:
                feed = Feed(program, experiment, prepared)
                feed.begin(1, state)
                state = feed.advance(state, stop, program.steps_per_epoch - stop)
            states.append(bits(state))
    assert states[0] == states[1]
