"""`cnnlab lr-find`: a spec's own step, its learning rate growing from batch to batch. Nothing is written."""

from contextlib import closing

from cnnlab.data.prepare import Prepared
from cnnlab.errors import CnnlabError
from cnnlab.optim.range_test import RangeTest, growing, is_hopeless, judged
from cnnlab.runs.teacher import find_lesson
from cnnlab.runs.training import first_state
from cnnlab.spec.schema import Experiment
from cnnlab.train import devices
from cnnlab.train.feed import Feed
from cnnlab.train.step import Sizes, compile_program
from cnnlab.train.update import learning_rate


def range_test(experiment: Experiment, prepared: Prepared, low: float, high: float, updates: int) -> RangeTest:
    """Train for `updates` updates at rates from `low` to `high`, or until the loss is hopeless.

    All but the learning rate is the spec's, what is frozen at first stays so. A loss is that of the batches of an
    update before it. Raises CnnlabError where not even the first losses are finite.
    """
    model = experiment.model.model_copy(update={"unfreeze_at_epoch": None})
    experiment = experiment.model_copy(update={"model": model})
    lesson, sizes = find_lesson(experiment, prepared), Sizes.of(experiment, prepared)
    program = compile_program(experiment, sizes, growing(low, high, updates), lesson and lesson.teacher)
    state = first_state(experiment, prepared, program)
    zero, steps = program.zero, program.steps_per_epoch
    rates: list[float] = []
    losses: list[float] = []
    with closing(Feed(program, experiment, prepared)) as feed:
        for _ in range(updates):
            epoch, done = divmod(int(state.step), steps)
            if done == 0:
                feed.begin(epoch, state)
            rates.append(learning_rate(program.rate, state, int(state.step)))
            state = state._replace(sums=devices.replicated(zero, program.mesh))
            state = feed.advance(state, done, min(experiment.optimizer.accumulate, steps - done))
            losses.append(program.task.means(state.sums)["loss"])
            if is_hopeless(losses):
                break
    found = judged(rates, losses)
    if len(found.losses) < 2:
        raise CnnlabError(f"the loss is {losses[-1]} at the rate {rates[-1]:g} already", hint="try a lower --from")
    return found
