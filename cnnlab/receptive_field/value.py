"""What an operand is: an array that depends on the image, a known constant, or what is made from parameters."""

from collections.abc import Sequence

import numpy as np

from cnnlab.receptive_field.node import Node

Value = Node | np.ndarray | None
Values = Sequence[Value]
