"""experiments/README.md: the course's table of contents from the heads of the specs, then all networks."""

from collections.abc import Iterator, Sequence

from cnnlab.report.models import table
from experiments.course.topics import EXPERIMENTS, Topic

README = EXPERIMENTS / "README.md"
NETWORKS = "# Networks\n"  # where the other part begins, which is what `cnnlab list models --figures` prints
_HEAD = """\
# The course

From Rosenblatt's perceptron to U-Net: each idea is a setting in a spec, and each spec shows its point in seconds.
`make course` runs them all and checks every figure that is expected here; `cnnlab train experiments/.../NAME.yaml`
runs one. The head of a spec says what to look at and where to read on.
`python -m experiments.course --contents` writes this file from the heads.

"""


def contents(topics: Sequence[Topic]) -> str:
    """The whole file; tracing all networks takes some seconds."""
    return "".join([*course(topics), *table()])


def course(topics: Sequence[Topic]) -> Iterator[str]:
    """The course's part of the file, line by line."""
    yield _HEAD
    for topic in topics:
        number = topic.folder.name.partition("-")[0]
        yield f"- [{number} {topic.title}](#{_anchor(f'{number} {topic.title}')})\n"
    for topic in topics:
        yield from _topic(topic)
    yield "\n"


def _topic(topic: Topic) -> Iterator[str]:
    yield f"\n## {topic.folder.name.partition('-')[0]} {topic.title}\n\n{topic.shows}\n\n"
    yield "| spec | what to look at | expected | time |\n|---|---|---|---:|\n"
    for spec in topic.specs:
        link = f"[{spec.path.stem}]({spec.path.parent.name}/{spec.name})"
        yield f"| {link} | {spec.about} | {'<br>'.join(spec.expected.texts)} | {spec.expected.seconds} s |\n"
    if topic.figure.exists():
        yield f"\n![{topic.title}]({topic.folder.name}/{topic.figure.name})\n"


def _anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")
