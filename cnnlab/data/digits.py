"""`source: digits`: handwritten digits of 43 people, 8x8 (Alpaydin and Kaynak 1998, UCI "Optical
Recognition of Handwritten Digits", test set), as scikit-learn carries them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.errors import DataError
from cnnlab.spec.schema import Digits

FILE = "datasets/data/digits.csv.gz"


def load(data: Digits, base: Path) -> Dataset:
    """1,797 images [1797, 8, 8, 1], float32 in [0, 1] in steps of 1/16, classes "0" to "9".

    scikit-learn is not imported (2 s): the file is found beside it and read. DataError where it is not.
    """
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        message = "the digits come with scikit-learn, and it is not installed"
        raise DataError(message, where="digits", hint="pip install scikit-learn")
    path = Path(folders[0]) / FILE
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}", where="digits", hint=REINSTALL) from error
    if table.shape != (1797, 65):
        message = f"{path} has the shape {table.shape}, not (1797, 65)"
        raise DataError(message, where="digits", hint=REINSTALL)
    x = (table[:, :64] / 16).reshape(-1, 8, 8, 1)
    classes = tuple(map(str, range(10)))
    return Dataset(x, table[:, 64].astype(np.int32), classes, source=data.source)


REINSTALL = "pip install --force-reinstall scikit-learn"
