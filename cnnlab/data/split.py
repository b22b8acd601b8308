"""Which examples train, which validate, which test: disjoint, by a seed, stratified by class; or as files say."""

from collections.abc import Mapping

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.draw import draw, draw_folds
from cnnlab.data.groups import grouped
from cnnlab.data.lists import listed
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.split import REST, Amount, Split, kind_of

NAMES = ("train", "validation", "test")
DEFAULT: Mapping[str, Amount] = {"train": 0.7, "validation": 0.15, "test": 0.15}
WHERE = "data.split"


def split(dataset: Dataset, spec: Split | None, seed: int) -> dict[str, np.ndarray]:
    """Sorted int64 indices of "train", "validation" and "test", disjoint; a split without examples is absent.

    Splits that the source has itself stay as they are; `spec`'s shares (default 0.7, 0.15, 0.15, or 0.85 and
    0.15 where the source has its test split), numbers, files or folds divide the rest. What is drawn is drawn from
    each class alike, by `seed` or the spec's own. Identical examples go into one split together, as the class of
    the first of them; so do those of one group, then the shares are only met as nearly as whole groups allow.
    Raises SpecError where spec and source contradict each other, DataError where a split would be empty
    or a class without a training example.
    """
    spec = Split() if spec is None else spec
    if spec.group is not None:
        dataset = grouped(dataset, spec.group)
    given = {name: np.sort(np.asarray(dataset.given[name], np.int64)) for name in NAMES if name in dataset.given}
    held = {name: indices for name, indices in given.items() if name != "train"}
    pool = given["train"] if "train" in given else np.setdiff1d(range(len(dataset.y)), _joined(held))
    if spec.seed is not None:
        seed = spec.seed
    amounts = _amounts(spec, given)
    splits = {**_divide(dataset, pool, amounts, spec, seed), **held}
    if spec.folds is not None:
        splits |= _fold(dataset, splits["train"], spec, spec.folds, seed)
    for name, indices in splits.items():
        if len(indices) == 0:
            asked = f": {_words(amounts[name])} of {len(pool):,} examples" if name in amounts else ""
            hint = "add examples, or change the shares in data.split"
            raise DataError(f"the {name} split is empty{asked}", where=WHERE, hint=hint)
    _check_trained(dataset, splits)
    return {name: splits[name] for name in NAMES if name in splits}


def default_split(dataset: Dataset, spec: Split | None = None) -> Split | None:
    """The spec's split with the shares that hold where it gives none; None where there is nothing to state."""
    if spec is not None and (spec.amounts or spec.folds is not None or spec.column is not None):
        return spec
    amounts = _amounts(Split(), dataset.given)
    return spec if len(amounts) == 1 else (spec or Split()).model_copy(update=dict(amounts))


def _joined(splits: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *splits.values()])


def _amounts(spec: Split, given: Mapping[str, np.ndarray]) -> dict[str, Amount]:
    """What each split is to get, train first, of the examples that are in no validation or test split yet."""
    own = [name for name in ("validation", "test") if name in given]
    if spec.column is not None:
        return {"train": REST}
    if spec.folds is None and not spec.amounts:
        return dict({(): DEFAULT, ("test",): {"train": 0.85, "validation": 0.15}}.get(tuple(own), {"train": REST}))
    amounts = {"train": REST, **spec.amounts}
    if len(own) == 2:
        message = "the source has validation and test splits of its own"
        raise SpecError(message, where=WHERE, hint="leave data.split out")
    if spec.folds is not None and "validation" in given:
        message = f"the source has {len(given['validation']):,} validation examples of its own, and folds take turns"
        raise SpecError(message, where=WHERE, hint="leave data.split.folds out")
    for name in own:
        if name in amounts:
            asked, there = _words(amounts[name]), len(given[name])
            message = f"{name} is {asked}, and the source has {there:,} {name} examples of its own"
            hint = f"leave {name} out; the others divide the rest"
            raise SpecError(message, where=WHERE, hint=hint)
    return amounts


def _words(amount: Amount) -> str:
    return amount if isinstance(amount, str) else f"{amount:g}" if amount <= 1 else f"{amount:,}"


def _divide(
    dataset: Dataset, pool: np.ndarray, amounts: dict[str, Amount], spec: Split, seed: int
) -> dict[str, np.ndarray]:
    """The pool's indices, sorted, by split."""
    if list(amounts) == ["train"] and amounts["train"] in (REST, 1):
        return {"train": pool}
    if kind_of(amounts.values()) == "files":
        splits = _listed(dataset, pool, amounts)
    else:
        shares = _shares(dataset, pool, amounts, stratify=spec.stratify)
        counted = kind_of(amounts.values()) == "counts"
        parts = draw(dataset, pool, shares, seed, stratify=spec.stratify, totals_first=counted)
        splits = dict(zip(amounts, parts, strict=True))
    return {name: indices for name, indices in splits.items() if name != "unused"}


def _listed(dataset: Dataset, pool: np.ndarray, amounts: dict[str, Amount]) -> dict[str, np.ndarray]:
    """The indices that files name, and the rest."""
    paths = {name: str(path) for name, path in amounts.items() if path != REST}
    splits = listed(dataset, paths)
    for name, indices in splits.items():
        strange = np.setdiff1d(indices, pool)
        if len(strange):
            message = f"{name} names {dataset.name(int(strange[0]))}, which is in a split of the source's own"
            raise DataError(message, where=paths[name], hint=f"such examples: {len(strange):,}")
    left = np.setdiff1d(pool, _joined(splits))
    if len(paths) == len(amounts):
        _refuse_left_over(len(left), len(pool))
    return {name: splits.get(name, left) for name in amounts}


def _shares(dataset: Dataset, pool: np.ndarray, amounts: dict[str, Amount], *, stratify: bool) -> list[float]:
    """What shares or numbers of examples, and the rest, are of the pool."""
    counted = kind_of(amounts.values()) == "counts"
    whole = len(pool) if counted else 1
    stated = {name: float(amount) for name, amount in amounts.items() if amount != REST}
    left = whole - sum(stated.values())
    if counted and left < 0:
        message = f"{' and '.join(stated)} ask for {whole - left:,.0f} examples, and there are {whole:,}"
        raise SpecError(message, where=WHERE, hint="ask for fewer, or give one of them 'rest'")
    if counted and len(stated) == len(amounts):
        _refuse_left_over(int(left), whole)
    numbers = {name: stated.get(name, left) for name in amounts}
    present = len(np.unique(dataset.y[pool])) if stratify else 1
    if counted and numbers["train"] < present:
        message = f"train is {numbers['train']:.0f}, and there are {present} classes"
        raise SpecError(message, where=WHERE, hint="each class needs a training example")
    return [number / whole for number in numbers.values()]


def _refuse_left_over(count: int, of: int) -> None:
    if count:
        message = f"{count:,} of {of:,} examples are in no split"
        raise SpecError(message, where=WHERE, hint="give one split 'rest', or write unused: rest")


def _fold(dataset: Dataset, pool: np.ndarray, spec: Split, folds: int, seed: int) -> dict[str, np.ndarray]:
    """The pool as training and validation examples: the chosen fold validates. Every fold is checked, so that the
    last does not fail where the first was fine."""
    if spec.fold is None:
        message = f"{folds} folds, and none is chosen to validate"
        raise SpecError(message, where=WHERE, hint=f"train with --fold 1 (to {folds}) or all, or give data.split.fold")
    parts = draw_folds(dataset, pool, folds, seed, stratify=spec.stratify)
    made = [{"train": np.setdiff1d(pool, part), "validation": part} for part in parts]
    for number, splits in enumerate(made, 1):
        if len(splits["validation"]) == 0:
            message = f"fold {number} of {folds} is empty: there are {len(pool):,} examples to divide"
            hint = "ask for fewer folds; identical examples, and those of one group, stay together"
            raise DataError(message, where=WHERE, hint=hint)
        _check_trained(dataset, splits)
    return made[spec.fold - 1]


def missed(spec: Split | None, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on numbers of examples that were asked for, and are not met since what belongs together is not torn."""
    if spec is None or kind_of(spec.amounts.values()) != "counts":
        return ()
    found = {name: len(splits.get(name, ())) for name in NAMES}
    wrong = [f"{found[name]:,} {name}" for name, asked in spec.amounts.items() if asked not in (REST, found.get(name))]
    words = "identical examples, and those of one group, stay together"
    return (f"data.split asks for other numbers than the {' and '.join(wrong)} examples: {words}",) if wrong else ()


def _check_trained(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> None:
    trained = dataset.y[splits["train"]]
    for name, indices in splits.items():
        strange = indices[~np.isin(dataset.y[indices], trained)]
        if len(strange):
            label = dataset.classes[dataset.y[strange[0]]]
            message = f"the class '{label}' has no training example, and {dataset.name(strange[0])} is in {name}"
            raise DataError(message, where=WHERE, hint="what was never trained cannot be recognised")


def duplicates_across(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on examples that are identical and should not be: in two splits, or with different labels."""
    notes = []
    names = [name for name in NAMES if name in splits]
    for k, second in enumerate(names):
        for first in names[:k]:
            known = {dataset.digests[i]: i for i in splits[first].tolist()}
            twice = [i for i in splits[second].tolist() if dataset.digests[i] in known]
            if twice:
                pair = f"{dataset.name(twice[0])} is {dataset.name(known[dataset.digests[twice[0]]])}"
                share = f"{len(twice):,} of the {len(splits[second]):,} {second} examples"
                notes.append(f"{share} are in {first} too, for example {pair}: {second} figures are too good")
    leaders: dict[bytes, int] = {}
    pairs = [(i, leaders.setdefault(digest, i)) for i, digest in enumerate(dataset.digests)]
    torn = [(i, leader) for i, leader in pairs if dataset.y[i] != dataset.y[leader]]
    if torn:
        words = " and ".join(f"{dataset.name(i)} ('{dataset.classes[dataset.y[i]]}')" for i in reversed(torn[0]))
        notes.append(f"{len(torn):,} examples carry another label than an identical one, for example {words}")
    return tuple(notes)


def classes_missing(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Notes on classes with training examples and none in a split that measures."""
    trained = np.unique(dataset.y[splits["train"]])
    notes = []
    for name in ("validation", "test"):
        if name in splits:
            missing = np.setdiff1d(trained, dataset.y[splits[name]]).tolist()
            words = ", ".join(dataset.classes[i] for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
            notes += [f"{len(missing)} classes have no {name} example: {words}"] if missing else []
    return tuple(notes)
