"""The topics of the course and their specs, as their heads tell it.

    # yaml-language-server: $schema=../cnnlab.schema.json
    # Topic: Capacity. Too few hidden units underfit, too many overfit, and the test error tells.
    # Picture: validation/loss, logarithmic
    # Twelve hidden units on two spirals: look at ... (Goodfellow, Bengio and Courville 2016, section 5.2)
    # Then: compress --rank 0.5 --int8
    # Expected: accuracy 0.95 to 0.99, 3 s on two cores

`Topic` (title, then what the topic shows) and `Picture` stand in one spec of a folder, which comes first; the others
follow by name. What pictures there are is in pictures.py. `Then` is for a command on the run, if there is one: what it
prints has figures too.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from experiments.course.claims import Expected, read_expected

EXPERIMENTS = Path(__file__).parent.parent
_SCHEMA = "# yaml-language-server: $schema=../cnnlab.schema.json"
_TOPIC, _PICTURE, _EXPECTED, _THEN = "# Topic: ", "# Picture: ", "# Expected: ", "# Then: "


@dataclass(frozen=True)
class Spec:
    """A spec of the course: its file, and the lines of its head without their marks."""

    path: Path
    about: str
    expected: Expected
    topic: str | None
    picture: str | None
    then: str | None = None

    @property
    def name(self) -> str:
        """The file's name, which is what the heads beside it call it."""
        return self.path.name


@dataclass(frozen=True)
class Topic:
    """A numbered folder: a title, a sentence, and specs in their order."""

    folder: Path
    specs: tuple[Spec, ...]

    @cached_property
    def first(self) -> Spec:
        return self.specs[0]

    @property
    def title(self) -> str:
        return (self.first.topic or "").partition(". ")[0]

    @property
    def shows(self) -> str:
        return (self.first.topic or "").partition(". ")[2]

    @property
    def figure(self) -> Path:
        return self.folder / "figure.png"


def topics(folder: Path = EXPERIMENTS) -> list[Topic]:
    """All topics in their order. Raises ValueError, with the file's name, for a head that is not as above."""
    return [read_topic(path) for path in sorted(folder.glob("[0-9][0-9]-*"))]


def read_topic(folder: Path) -> Topic:
    specs = [read_spec(path) for path in sorted(folder.glob("*.yaml"))]
    heads = [spec for spec in specs if spec.topic is not None]
    if len(heads) != 1 or heads[0].picture is None:
        raise ValueError(f"{folder}: one spec has the lines '{_TOPIC}TITLE. SENTENCE' and '{_PICTURE}...', not more")
    names = {spec.name for spec in specs}
    for spec in specs:
        for claim in spec.expected.claims:
            if claim.other is not None and claim.other not in names:
                raise ValueError(f"{spec.path}: there is no {claim.other} beside it")
    return Topic(folder, (heads[0], *(spec for spec in specs if spec is not heads[0])))


def read_spec(path: Path) -> Spec:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate([*lines, ""]) if not line.startswith("#"))]
    if not head or head[0] != _SCHEMA:
        raise ValueError(f"{path}: its first line is not '{_SCHEMA}'")
    tagged = {tag: [line for line in head if line.startswith(tag)] for tag in (_TOPIC, _PICTURE, _EXPECTED, _THEN)}
    about = [line for line in head[1:] if not line.startswith(tuple(tagged))]
    if len(tagged[_EXPECTED]) != 1 or not about:
        raise ValueError(f"{path}: its head has one '{_EXPECTED}...', and says what to look at")
    try:
        expected = read_expected(tagged[_EXPECTED][0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    topic, picture, then = (
        next((line.removeprefix(tag) for line in tagged[tag]), None) for tag in (_TOPIC, _PICTURE, _THEN)
    )
    if then is None and any(claim.figure.startswith("then.") for claim in expected.claims):
        raise ValueError(f"{path}: figures of a command behind the run are expected, and no '{_THEN}...' names one")
    return Spec(path, " ".join(line.removeprefix("#").strip() for line in about), expected, topic, picture, then)
