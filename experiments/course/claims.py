"""What a spec's head says that its run will show, as data, and whether it did.

    # Expected: accuracy 0.95 to 0.98; train/loss at most 0.1; accuracy above sigmoid.yaml by 0.2, 3 s on two cores

A claim is FIGURE and then one of

    LOW to HIGH                  at least X              at most X
    above SPEC by X              below SPEC by X         within X of SPEC
    above SPEC X times           below SPEC X times

or the one word `diverges`: training ends with exit code 1, because the loss is no number any more. SPEC is another
file of the topic, and its same figure is compared. A figure is a path: in the test split's metrics.json (`accuracy`,
`per_class.0.f1`), a column of history.csv in its last epoch (`train/loss`) or in another one (`train/loss@5`), or in
model.json (`model.parameters`, `model.receptive_field.size.0`), or in what the command behind the run has printed
(`then.rows.1.difference`); `epochs` is how many there were, `codes.mean` the mean of an autoencoder's code over the
test split.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

DIVERGES = "diverges"
Relation = Literal["to", "at least", "at most", "above", "below", "within"]
# The figure of a spec, by the spec's file name and the figure's path.
Figures = Callable[[str, str], float]

_NUMBER = r"-?\d+(?:\.\d+)?"
_SPEC = r"(?P<other>\S+\.yaml)"
_FORMS = [
    rf"(?P<low>{_NUMBER}) (?P<relation>to) (?P<high>{_NUMBER})",
    rf"(?P<relation>at least|at most) (?P<low>{_NUMBER})",
    rf"(?P<relation>above|below) {_SPEC} by (?P<low>{_NUMBER})",
    rf"(?P<relation>above|below) {_SPEC} (?P<low>{_NUMBER}) (?P<times>times)",
    rf"(?P<relation>within) (?P<low>{_NUMBER}) of {_SPEC}",
]
_CLAIMS = [re.compile(rf"(?P<figure>[\w/.@]+) {form}") for form in _FORMS]
_LINE = re.compile(r"# Expected: (?P<claims>.+), (?P<seconds>\d+) s on two cores")


@dataclass(frozen=True)
class Claim:
    """One thing that a run is to show. `text` is how the head says it."""

    text: str
    figure: str
    relation: Relation
    low: float
    high: float = 0.0
    other: str | None = None
    times: bool = False

    def holds(self, found: float, compared: float) -> bool:
        """Whether the figure is as said; `compared` is the other spec's, and not looked at where there is none."""
        ahead = found / self.low - compared if self.times else found - self.low - compared
        behind = found * self.low - compared if self.times else found + self.low - compared
        match self.relation:
            case "to":
                return self.low <= found <= self.high
            case "at least":
                return found >= self.low
            case "at most":
                return found <= self.low
            case "above":
                return ahead >= 0
            case "below":
                return behind <= 0
            case "within":
                return abs(found - compared) <= self.low


@dataclass(frozen=True)
class Expected:
    """What a head promises: claims, or that training diverges; and about how long it takes."""

    claims: tuple[Claim, ...]
    seconds: int
    diverges: bool = False

    @property
    def texts(self) -> list[str]:
        return [DIVERGES] if self.diverges else [claim.text for claim in self.claims]


def read_expected(line: str) -> Expected:
    """The line of a head. Raises ValueError with a sentence where it is not of the form above."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"'{line}' is not '# Expected: CLAIM; CLAIM, N s on two cores'")
    texts = match["claims"].split("; ")
    seconds = int(match["seconds"])
    if texts == [DIVERGES]:
        return Expected((), seconds, diverges=True)
    return Expected(tuple(_claim(text) for text in texts), seconds)


def _claim(text: str) -> Claim:
    for form in _CLAIMS:
        if match := form.fullmatch(text):
            parts = match.groupdict()
            numbers = {name: float(parts[name]) for name in ("low", "high") if parts.get(name)}
            return Claim(
                text,
                parts["figure"],
                cast(Relation, parts["relation"]),
                **numbers,
                other=parts.get("other"),
                times=bool(parts.get("times")),
            )
    forms = "LOW to HIGH, at least X, at most X, above SPEC by X, below SPEC X times, within X of SPEC"
    raise ValueError(f"'{text}' is no claim; after the figure comes {forms}")
