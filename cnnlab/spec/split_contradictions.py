"""What in `data.split`, and in how the classes are evened out, contradicts itself or the rest of the spec."""

from collections.abc import Iterator

from cnnlab.spec.schema import Experiment
from cnnlab.spec.split import REST, Amount, Split, is_file, kind_of
from cnnlab.spec.yaml import Path

HERE: Path = ("data", "split")


def split_contradictions(experiment: Experiment) -> Iterator[tuple[Path, str]]:
    """Each as the path of one of the settings, and a sentence that names both."""
    split = experiment.data.split
    if split is not None:
        yield from _column(split, experiment)
        yield from _folds(split)
        if split.column is None:
            yield from _amounts(split)
        if split.group is not None and getattr(experiment.data, "group_column", None) is not None:
            yield (*HERE, "group"), "data.group_column says which examples belong together; keep one of the two"
    weights = getattr(experiment.loss, "class_weights", None)
    if weights == "balanced" and experiment.data.sampling == "balanced":
        message = "loss.class_weights is balanced too, and each of the two evens the classes out alone; keep one"
        yield ("data", "sampling"), message


def _column(split: Split, experiment: Experiment) -> Iterator[tuple[Path, str]]:
    if split.column is None:
        return
    path: Path = (*HERE, "column")
    others = [*split.amounts, *(key for key in ("folds", "fold", "seed") if getattr(split, key) is not None)]
    others += [] if split.stratify else ["stratify"]
    if others:
        yield path, f"the table says which example is in which split; leave {' and '.join(others)} out"
    if "split_column" not in type(experiment.data).model_fields:
        yield path, f"the source {experiment.data.source} is no table; give shares, numbers or files"
    elif getattr(experiment.data, "split_column", None) is not None:
        yield path, "data.split_column names a column too; keep one of the two"


def _folds(split: Split) -> Iterator[tuple[Path, str]]:
    if split.folds is None:
        if split.fold is not None:
            yield (*HERE, "fold"), f"fold {split.fold} of how many? Give data.split.folds"
        return
    if split.fold is not None and split.fold > split.folds:
        yield (*HERE, "fold"), f"{split.fold}, and there are {split.folds} folds, counted from 1"
    for key in ("train", "validation", "unused"):
        if key in split.amounts:
            yield (*HERE, key), f"with folds one of them validates and the others train; leave {key} out"
    if split.test == REST:
        yield (*HERE, "test"), "with folds the rest is for them; give test a share, a number or a file"


def _amounts(split: Split) -> Iterator[tuple[Path, str]]:
    amounts = {**({"train": REST} if split.folds else {}), **split.amounts}
    if not amounts:
        return
    if "train" not in amounts:
        yield HERE, "train is required beside what else there is"
        return
    rests = [name for name, amount in amounts.items() if amount == REST]
    if len(rests) > 1 and split.folds is None:
        yield HERE, f"{' and '.join(rests)} cannot both have the rest"
    kind = kind_of(amounts.values())
    stated = {name: amount for name, amount in amounts.items() if amount != REST}
    if kind == "files":
        strange = [name for name, amount in stated.items() if not is_file(amount)]
        if strange:
            name = strange[0]
            yield (*HERE, name), f"{stated[name]:g} beside a file; give {name} a file too, or rest"
        drawn = ["seed"] if split.seed is not None else []
        drawn += [] if split.stratify else ["stratify"]
        if drawn and split.folds is None:
            yield (*HERE, drawn[0]), "nothing is drawn: files say which example is in which split"
    elif kind == "counts":
        broken = [name for name, amount in stated.items() if not isinstance(amount, int)]
        if broken:
            name = broken[0]
            yield (*HERE, name), f"{stated[name]:g} beside numbers of examples, which are whole; give them all alike"
    else:
        yield from _total(stated, rests)


def _total(shares: dict[str, Amount], rests: list[str]) -> Iterator[tuple[Path, str]]:
    total = sum(share for share in shares.values() if not isinstance(share, str))
    if not rests and abs(total - 1) > 1e-9:
        yield HERE, f"train, validation and test must add up to 1, and add up to {total:g}"
    elif rests and total > 1 - 1e-9:
        yield HERE, f"the shares add up to {total:g}, and nothing is left for {rests[0]}, which has the rest"
