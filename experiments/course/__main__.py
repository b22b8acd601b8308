"""`python -m experiments.course`: run the course and check it; with --pictures draw it, with --contents list it."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.course.checks import Row, check
from experiments.course.runs import train
from experiments.course.topics import Topic, topics


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.course", description=__doc__)
    parser.add_argument("topics", nargs="*", help="numbers of topics, such as 03; default: all")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and take those of the same specs from here")
    parser.add_argument("--seed", type=int, help="another seed than the specs'")
    parser.add_argument("--pictures", action="store_true", help="draw each topic's figure.png from its runs")
    parser.add_argument("--contents", action="store_true", help="only write experiments/README.md")
    given = parser.parse_args()
    chosen = [topic for topic in topics() if not given.topics or topic.folder.name[:2] in given.topics]
    if given.contents:
        from experiments.course.contents import README, contents

        README.write_text(contents(topics()), encoding="utf-8")
        return 0
    if given.runs is not None:
        return run(chosen, given.runs, given.seed, pictures=given.pictures)
    with tempfile.TemporaryDirectory() as folder:
        return run(chosen, Path(folder), given.seed, pictures=given.pictures)


def run(chosen: Sequence[Topic], folder: Path, seed: int | None, *, pictures: bool) -> int:
    """Train and check topic by topic, printing a line for each claim; 1 where any does not hold."""
    begin, rows = time.perf_counter(), []
    width = max((len(f"{topic.folder.name}/{spec.name}") for topic in chosen for spec in topic.specs), default=0)
    for topic in chosen:
        ended = {spec.name: train(spec, folder, seed) for spec in topic.specs}
        for row in check(topic, ended):
            rows.append(row)
            print(_line(row, width), flush=True)
        if pictures:
            from experiments.course.pictures import draw

            topic.figure.write_bytes(draw(topic, ended))
    missed = [row for row in rows if not row.ok]
    minutes = (time.perf_counter() - begin) / 60
    print(f"{len(rows) - len(missed)} of {len(rows)} figures are as expected; {minutes:.1f} minutes")
    return 1 if missed else 0


def _line(row: Row, width: int) -> str:
    return f"{'ok  ' if row.ok else 'MISS'}  {row.spec:{width}}  {row.seconds:5.1f} s  {row.expected}: {row.found}"


if __name__ == "__main__":
    sys.exit(main())
