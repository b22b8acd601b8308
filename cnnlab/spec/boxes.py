"""What a spec may say of boxes that stand in a table."""

from cnnlab.spec.types import Frozen, Str


class BoxColumns(Frozen):
    """The columns of a box: its edges in pixels, of which x1 and y1 are not inside, and the name of its class."""

    x0: Str
    y0: Str
    x1: Str
    y1: Str
    label: Str
