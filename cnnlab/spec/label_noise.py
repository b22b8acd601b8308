"""What a spec's `data.label_noise` may say: a share of wrong labels, to be learnt by heart or not."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from cnnlab.spec.types import Fraction, Frozen


class LabelNoise(Frozen):
    """Training labels of this share of the examples are replaced by classes drawn at random, the true one among them.

    Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning requires rethinking generalization" (2017),
    section 2.1, have them drawn once. train/loss and train/accuracy go by the labels that training sees; validation,
    test and the tables, of the training split too, by the true ones.
    """

    share: Fraction
    drawn: Literal["once", "every_epoch"] = "once"


def _share_alone(value: Any) -> Any:
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


NoisyLabels = Annotated[LabelNoise, BeforeValidator(_share_alone, json_schema_input_type=float | LabelNoise)]
