"""Files of weights: safetensors, ours and torch's; torch's own format through torch, which loads no code with it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.errors import DataError, did_you_mean
from cnnlab.files import write_atomically
from cnnlab.weights.preprocessing import Preprocessing
from cnnlab.weights.quantize import dequantized

_PICKLES = (".pth", ".pt", ".bin")
_KEY = "cnnlab"  # of the metadata
_INTEGERS = ("BOOL", *(f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)))
_TYPES = ("BF16", "F16", "F32", "F64", *_INTEGERS)


@dataclass(frozen=True)
class Description:
    """What a file of ours says of its weights: the `model:` of a spec, the naming of its tensors, the rest."""

    model: Mapping[str, Any]
    scheme: str
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None


def read(path: Path) -> tuple[dict[str, np.ndarray], Description | None]:
    """Every tensor by name, float16 and bfloat16 widened to float32; a description where cnnlab wrote the file.

    What cnnlab has quantised is float32 again.

    Raises DataError where the file is missing, damaged or of another kind.
    """
    if path.suffix in _PICKLES:
        return _read_pickle(_there(path)), None
    with _opened(path) as file:
        tensors = {name: _widened(file, path, name) for name in file.keys()}  # noqa: SIM118 - no mapping
        description = _description(file.metadata() or {}, str(path))
        return tensors if description is None else dequantized(tensors), description


def describe(path: Path) -> Description | None:
    """The description alone."""
    if _there(path).suffix in _PICKLES:
        return None
    with _opened(path) as file:
        return _description(file.metadata() or {}, str(path))


def _there(path: Path) -> Path:
    if path.is_dir():
        hint = "'cnnlab export-weights' makes one of a run"
        raise DataError("is a directory, not a weights file", where=str(path), hint=hint)
    if not path.is_file():
        known = [p.name for p in path.parent.glob("*") if p.suffix in (".safetensors", *_PICKLES)]
        hint = did_you_mean(path.name, known) or "name a .safetensors or .pth file, or a run"
        raise DataError("no such weights file", where=str(path), hint=hint)
    return path


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    if _there(path).suffix != ".safetensors":
        message = f"'{path.suffix}' is no format of weights"
        raise DataError(message, where=str(path), hint="name a .safetensors or .pth file")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        message = f"cannot be read as safetensors: {error}"
        raise DataError(message, where=str(path), hint="copy or export it again") from None


def _widened(file: Any, path: Path, name: str) -> np.ndarray:
    kind = file.get_slice(name).get_dtype()
    if kind not in _TYPES:
        raise _no_numbers(name, kind, str(path))
    if kind == "BF16":  # which NumPy lacks
        from safetensors import safe_open

        with safe_open(path, framework="flax") as again:
            return np.asarray(again.get_tensor(name), np.float32)
    value = file.get_tensor(name)
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _no_numbers(name: str, kind: str, where: str) -> DataError:
    message = f"the tensor '{name}' has the type {kind}, and numbers of 16 bits or more are wanted"
    return DataError(message, where=where, hint="save it as float32")


def _read_pickle(path: Path) -> dict[str, np.ndarray]:
    where = str(path)
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        hint = "install it, or save the state dict with safetensors.torch.save_file"
        raise DataError(
            f"reading {path.suffix} needs PyTorch, which is not installed", where=where, hint=hint
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=where, hint="copy or save it again") from None
    except Exception:  # whatever the pickle holds; torch's own sentence is long and advises to run its code
        message = "cannot be read as a state dict: it is damaged, or holds more than tensors"
        raise DataError(message, where=where, hint="save model.state_dict()") from None
    for wrapper in ("state_dict", "model", "model_state_dict"):  # training scripts save more beside it
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError("holds no state dict: names with tensors", where=where, hint="save model.state_dict()")
    arrays = {}
    for name, value in state.items():
        if value.is_complex() or value.is_quantized or value.layout != torch.strided:
            raise _no_numbers(name, f"{value.dtype}, {value.layout}".replace("torch.", ""), where)
        wide = value.dtype == torch.float64 or not value.is_floating_point()
        arrays[str(name)] = (value if wide else value.float()).detach().numpy()
    return arrays


def write(path: Path, tensors: Mapping[str, np.ndarray], description: Description) -> None:
    """A .safetensors file, whole or not at all. Raises DataError for a name that does not end so."""
    from safetensors.numpy import save

    if path.suffix != ".safetensors":
        message = f"'{path.suffix}' is no format to write weights in"
        raise DataError(message, where=str(path), hint="name a .safetensors file")
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    write_atomically(path, _ordered(save(arrays, {_KEY: json.dumps(asdict(description)), "format": "pt"})))


def _ordered(content: bytes) -> bytes:
    """The same file with its metadata in order, which comes by chance: equal weights make equal files."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[start:]


def _description(metadata: Mapping[str, str], where: str) -> Description | None:
    if _KEY not in metadata:
        return None
    try:
        content = json.loads(metadata[_KEY])
        classes, before = content["classes"], content["preprocessing"]
        if not isinstance(content["model"], dict):
            raise TypeError
        if before is not None:
            tuples = {key: tuple(before[key]) for key in ("mean", "std", "size")}
            resize = before.get("resize")
            resize = tuple(resize) if isinstance(resize, list) else resize
            before = Preprocessing(**{**before, **tuples, "resize": resize})
        return Description(content["model"], content["scheme"], None if classes is None else tuple(classes), before)
    except (ValueError, KeyError, TypeError):
        raise DataError("its description is damaged", where=where, hint="import or export it again") from None
