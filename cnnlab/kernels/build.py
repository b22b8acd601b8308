"""The kernels' shared libraries: found in the user's cache directory, or built there at first use."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from cnnlab.files import cache_directory

SOURCES = Path(__file__).parent
ALONE = ("resize.cc",)  # each a library of its own, which XLA does not call
FLAGS = ("-O3", "-std=c++17", "-fPIC", "-fopenmp", "-w")
LIBRARY_WHEEL, HEADERS_WHEEL = "onednn-cpu-gomp", "onednn-devel-cpu-gomp"
BUILD_SECONDS = 300


class Unavailable(Exception):
    """Why the kernels cannot be used here, as one sentence."""


def _file_of(wheel: str, name: str) -> Path:
    try:
        files = metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        raise Unavailable(f"the package {wheel} is not installed") from None
    for file in files:
        if file.parts[-len(Path(name).parts) :] == Path(name).parts:
            return Path(str(file.locate())).resolve()
    raise Unavailable(f"the package {wheel} is installed without its file {name}")


def _compiler() -> tuple[str, str]:
    """The C++ compiler's path, and its version."""
    named = os.environ.get("CXX", "g++")
    path = shutil.which(named)
    if path is None:
        raise Unavailable(f"there is no C++ compiler: {named} is not on the PATH")
    try:
        version = subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as e:
        raise Unavailable(f"the C++ compiler {path} does not run: {e}") from None
    return path, version.stdout.strip()


def _run(*commands: list[str]) -> None:
    """Runs the commands side by side; Unavailable says what the first that fails said."""
    running = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
    try:
        for process in running:
            said = process.communicate(timeout=BUILD_SECONDS)[1].splitlines()
            if process.returncode:
                first = next((line for line in said if "error" in line), said[0] if said else "?")
                raise Unavailable(f"{commands[0][0]} cannot build the kernels: {first.strip()}")
    finally:
        for process in running:
            process.kill()
            process.wait()


def _compile(sources: Sequence[Path], flags: Sequence[str], linked: Sequence[str], target: Path) -> None:
    """Each source on its own, all at once; then the library beside its place and renamed, so that it is whole."""
    compiler = _compiler()[0]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as folder:
        objects = [str(Path(folder, f"{source.stem}.o")) for source in sources]
        command = [compiler, *FLAGS, *flags, "-c"]
        try:
            _run(*([*command, str(source), "-o", made] for source, made in zip(sources, objects, strict=True)))
            _run([compiler, "-shared", *objects, *linked, "-o", f"{folder}/library"])
            os.replace(f"{folder}/library", target)
        except (OSError, subprocess.SubprocessError) as e:
            raise Unavailable(f"{compiler} cannot build the kernels: {e}") from None


def _sources() -> list[Path]:
    """Of the library that XLA calls."""
    return sorted(path for path in SOURCES.glob("*.cc") if path.name not in ALONE)


def _digest(sources: Sequence[Path], packages: Sequence[str] = ()) -> str:
    parts = [path.read_bytes() for path in sorted([*sources, *SOURCES.glob("*.h")])]
    parts += [flag.encode() for flag in FLAGS]
    for package in packages:
        try:
            parts.append(f"{package} {metadata.version(package)}".encode())
        except metadata.PackageNotFoundError:
            raise Unavailable(f"the package {package} is not installed") from None
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def key() -> str:
    """Sixteen digits that change with the sources, jaxlib, oneDNN and how the sources are compiled."""
    return _digest(_sources(), ("jaxlib", LIBRARY_WHEEL))


def _place(name: str, digest: Callable[[], str]) -> Path:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unavailable(f"they are for Linux on x86-64, and this is {sys.platform} on {platform.machine()}")
    version = hashlib.sha256(_compiler()[1].encode()).hexdigest()[:8]
    return cache_directory() / "kernels" / f"{name}-{digest()}-{version}.so"


def target() -> Path:
    """Where the library is, or will be once it is built. Raises Unavailable where it cannot be had."""
    return _place("kernels", key)


def load() -> ctypes.CDLL:
    """The library, built if this is its first use; Unavailable says why there is none."""
    library = target()
    onednn = _file_of(LIBRARY_WHEEL, "libdnnl.so.3")

    def compile_all() -> None:
        import jax

        headers = _file_of(HEADERS_WHEEL, "oneapi/dnnl/dnnl.hpp").parents[2]
        include = [f"-I{jax.ffi.include_dir()}", f"-I{headers}"]
        _compile(_sources(), include, ["-fopenmp", str(onednn)], library)

    # Loaded first, oneDNN satisfies the kernels' need of a library of that name: no search path is built in.
    return _opened(library, compile_all, onednn)


def load_alone(name: str) -> ctypes.CDLL:
    """The library of the source `name`.cc alone, for which a compiler is enough: no XLA, no oneDNN, no import of jax.

    Built if this is its first use; Unavailable says why there is none.
    """
    source = SOURCES / f"{name}.cc"
    library = _place(name, lambda: _digest([source]))
    return _opened(library, lambda: _compile([source], [], [], library))


def _opened(library: Path, build: Callable[[], None], *before: Path) -> ctypes.CDLL:
    """The library, behind those that it needs, built if it is not there."""
    try:
        if not library.exists():
            _build_once(library, build)
        for needed in before:
            ctypes.CDLL(str(needed))
        return ctypes.CDLL(str(library))
    except OSError as e:
        raise Unavailable(f"the library {library} cannot be used: {e}") from None


def _build_once(target: Path, build: Callable[[], None]) -> None:
    """Builds the library, one process at a time; whoever waited finds it built."""
    import fcntl

    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in target.parent.glob("building-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if not target.exists():
            build()
