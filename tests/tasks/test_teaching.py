"""Who teaches whom: heads by their names, and a network with one task the head of that task."""

import pytest

from cnnlab.errors import SpecError
from cnnlab.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquared
from cnnlab.tasks.classification import Classification
from cnnlab.tasks.heads import Head, SeveralHeads
from cnnlab.tasks.multi_label import MultiLabel
from cnnlab.tasks.perceptron import Perceptron
from cnnlab.tasks.regression import Regression
from cnnlab.tasks.task import Task
from cnnlab.tasks.teaching import pairs

DIGIT = Classification(("0", "1"), CrossEntropy())
LETTER = Classification(("a", "b", "c"), CrossEntropy())
SIZE = Regression(("size",), MeanSquared(name="mean_squared"), (0.0,), (1.0,))
LABELS = MultiLabel(("a", "b"), BinaryCrossEntropy(name="binary_cross_entropy"))


def heads(**tasks: Task) -> SeveralHeads:
    return SeveralHeads(tuple(Head(name, task, 1.0, ()) for name, task in tasks.items()))


@pytest.mark.parametrize(
    ("student", "teacher", "found"),
    [
        (DIGIT, DIGIT, {"": ""}),
        (heads(digit=DIGIT, size=SIZE), heads(size=SIZE, digit=DIGIT), {"digit": "digit", "size": "size"}),
        (heads(digit=DIGIT, size=SIZE), heads(digit=DIGIT, other=LABELS), {"digit": "digit"}),
        (heads(digit=DIGIT, size=SIZE), SIZE, {"size": ""}),
        (heads(digit=DIGIT, letter=LETTER), LETTER, {"letter": ""}),  # of two that classify the one with these classes
        (SIZE, heads(digit=DIGIT, size=SIZE), {"": "size"}),
    ],
)
def test_who_teaches_whom(student, teacher, found):
    assert pairs(student, teacher) == found


@pytest.mark.parametrize(
    ("student", "teacher", "said"),
    [
        (
            heads(a=DIGIT, b=SIZE),
            heads(c=DIGIT),
            "the teacher's heads are c, and these are a, b; heads that belong",
        ),
        (heads(a=DIGIT, b=DIGIT), DIGIT, "classification alone, and the other has several heads for it, a, b; give"),
        (heads(a=DIGIT, b=SIZE), LABELS, "learns multi_label alone, and the other has no head for it, but a, b; give"),
        (heads(a=DIGIT), Perceptron(("0", "1"), CrossEntropy()), "perceptron cannot be learnt from a teacher"),
    ],
)
def test_where_nothing_belongs_together(student, teacher, said):
    with pytest.raises(SpecError) as caught:
        pairs(student, teacher)
    assert said in str(caught.value)
    assert caught.value.where == "distill.teacher"
