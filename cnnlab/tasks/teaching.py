"""Which part of a teacher teaches which part of its student: heads by their names, or the one of the same task."""

from collections.abc import Mapping

from cnnlab.errors import SpecError
from cnnlab.spec.distill import TASKS, not_taught
from cnnlab.tasks.heads import ALONE, SeveralHeads
from cnnlab.tasks.task import Task

WHERE = "distill.teacher"


def parts(task: Task) -> dict[str, Task]:
    """The tasks of several heads by their names; any other task under no name."""
    return {head.name: head.task for head in task.heads} if isinstance(task, SeveralHeads) else {ALONE: task}


def pairs(student: Task, teacher: Task) -> dict[str, str]:
    """Of each part of the student that has a teacher which one of the teacher's parts that is.

    Heads go by their names. Where one of the two has no heads, its task is that of one head of the other. Raises
    SpecError where nothing belongs together.
    """
    ours, theirs = parts(student), parts(teacher)
    if ALONE in ours or ALONE in theirs:
        if ALONE in ours and ALONE in theirs:
            return {ALONE: ALONE}
        return {ALONE: _the_same(ours[ALONE], theirs)} if ALONE in ours else {_the_same(theirs[ALONE], ours): ALONE}
    found = {name: name for name, task in ours.items() if name in theirs and task.name in TASKS}
    if not found:
        message = f"the teacher's heads are {', '.join(theirs)}, and these are {', '.join(ours)}"
        raise SpecError(message, where=WHERE, hint="heads that belong together have one name")
    return found


def _the_same(alone: Task, heads: Mapping[str, Task]) -> str:
    """The head that learns what the other network learns alone. Raises SpecError where there are none or several."""
    if alone.name not in TASKS:
        raise SpecError(not_taught(alone.name), where=WHERE)
    found = {name: task for name, task in heads.items() if task.name == alone.name}
    if len(found) > 1:
        found = {name: task for name, task in found.items() if task.names == alone.names} or found
    if len(found) != 1:
        there = f"several heads for it, {', '.join(found)}" if found else f"no head for it, but {', '.join(heads)}"
        message = f"one of teacher and student learns {alone.name} alone, and the other has {there}"
        raise SpecError(message, where=WHERE, hint="give both heads of one name")
    return next(iter(found))
