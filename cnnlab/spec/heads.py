"""What contradicts itself in `task: {name: heads}`."""

from collections.abc import Iterator

from cnnlab.spec.endings import WITH_MORE_TO_SAY, doubled
from cnnlab.spec.layer import LayerSpec
from cnnlab.spec.layers import Dense
from cnnlab.spec.losses import default_loss, misfits
from cnnlab.spec.schema import Experiment, LayersModel
from cnnlab.spec.tasks import HeadSpec, HeadsTask, RegressionTask
from cnnlab.spec.yaml import Path


def heads(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """As `contradictions` yields it: of each head, and of what is the whole network's and means nothing with heads."""
    if not isinstance(experiment.task, HeadsTask):
        return
    for name, head in experiment.task.heads.items():
        yield from _head(head, ("task", "heads", name))
    if experiment.loss is not None:
        yield ("loss",), "every head has its own loss: write it beside its task, as task.heads.<name>.loss"
    model = experiment.model
    if model.classes is not None:
        yield ("model", "classes"), "the heads have classes, the trunk has none; leave it out"
    if isinstance(model, LayersModel):
        for i, layer in enumerate(model.layers):
            if _of_classes(layer):
                yield ("model", "layers", i), "the heads have classes, the trunk has none; give a number of features"
            if layer.name == "heads":
                yield ("model", "layers", i), "the name 'heads' is that of the heads; choose another"


def _head(head: HeadSpec, path: Path) -> Iterator[tuple[Path, str]]:
    loss = head.loss or default_loss(head.task.name)
    yield from misfits(loss, head.task.name, (*path, "loss"))
    for key in ("l1", "l2"):
        if getattr(loss, key):
            yield (*path, "loss", key), f"{key} is of the whole network, and a head is a part; set weight_decay"
    if isinstance(head.task, RegressionTask) and head.layers[-1].kind == head.task.output != "identity":
        where = (*path, "layers", len(head.layers) - 1)
        yield where, f"task.heads.{path[-1]}.task.output applies the {head.task.output} itself; leave this one out"
    if head.task.name not in WITH_MORE_TO_SAY and (sentence := doubled(head.layers[-1].kind, loss, head.task.name)):
        yield (*path, "layers", len(head.layers) - 1), sentence


def _of_classes(layer: LayerSpec) -> bool:
    return isinstance(layer, Dense) and layer.features == "classes"
