"""`gm kernels build`: a file of kernels becomes a shared object and its manifest.

Runs in a process of its own: Numba writes executable memory and takes a second to import, neither
of which an engine should.
"""

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from types import ModuleType

import msgspec

from gm._native.runtime import check_kernel_object
from gm.config.run_dir import write_whole
from gm.errors import BadSettings, KernelRefused
from gm.kernels.declare import Kernel
from gm.kernels.library import KernelManifest, LibraryManifest, manifest_path

LINKERS = ("ld", "ld.lld", "ld.gold", "ld.mold")
_MODULE = "gm_user_kernels"
_NEEDS = (
    (
        ("NRT_",),
        "it makes an array or a list, and a kernel has no memory of its own: write a loop, or a "
        "reduction of a window",
    ),
    (("Py", "_Py", "numba_gil", "numba_unpickle"), "it needs the Python interpreter"),
)


def build_library(source: Path, output: Path) -> LibraryManifest:
    """Compile every kernel of a Python file into one shared object.

    Parameters
    ----------
    source : Path
        A file with functions decorated by ``gm.feature`` and ``gm.rule``. It is executed.
    output : Path
        The shared object; its manifest goes beside it, with ``.json`` behind the name.

    Returns
    -------
    LibraryManifest
        What was built. Equal sources give equal bytes with equal versions.

    Raises
    ------
    KernelRefused
        If the file cannot be executed, holds no kernel or two of one name, a kernel cannot be
        compiled or needs the interpreter, memory or the system, or no linker is found.

    Source
    ------
    Ours.
    """
    module, sources = _execute(source)
    kernels = _kernels_of(module, source)
    # Not before the file is known to be sound: Numba takes a second.
    from gm.kernels.compiler import compile_kernel, hash_object, versions

    objects, rows = [], []
    for kernel in kernels:
        code, digest = compile_kernel(kernel)
        _check(source, kernel.name, code)
        objects.append(code)
        rows.append(
            KernelManifest(
                name=kernel.name,
                kind=kernel.kind,
                inputs=kernel.inputs,
                warmup=kernel.warmup,
                minutes=kernel.minutes,
                low=kernel.low,
                high=kernel.high,
                sha256=digest,
            )
        )
    objects.append(hash_object({row.name: row.sha256 for row in rows}))
    library = _link(objects)
    manifest = LibraryManifest(
        versions=versions(),
        sources=sources,
        sha256=hashlib.sha256(library).hexdigest(),
        kernels=tuple(rows),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, library)
    write_whole(manifest_path(output), msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def _execute(source: Path) -> tuple[ModuleType, dict[str, str]]:
    """Run the file as a module; also the files beside it that it imported, with their hashes."""
    folder = source.resolve().parent
    spec = importlib.util.spec_from_file_location(_MODULE, source.resolve())
    if not source.is_file() or spec is None or spec.loader is None:
        raise KernelRefused(f"{source}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    with _importing_from(folder) as beside:
        try:
            spec.loader.exec_module(module)
        except KernelRefused as error:
            raise KernelRefused(f"{source}: {error}") from error
        except SystemExit as error:
            raise KernelRefused(
                f"{source}:{_line_in(error, spec.origin)}: SystemExit: the file ends the process"
                f" with code {error.code!r}"
            ) from error
        except Exception as error:  # whatever a user's file raises, said in one line
            line = getattr(error, "lineno", _line_in(error, spec.origin))
            raise KernelRefused(f"{source}:{line or 0}: {type(error).__name__}: {error}") from error
    return module, {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (source.resolve(), *beside)
    }


def _line_in(error: BaseException, file: str | None) -> int:
    at = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(at) if f.filename == file), 0)


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[list[Path]]:
    """Import what the files there say now; which ones were imported, once the block is left.

    Not what they said at the last build: Python finds bytecode by a file's size and second, which
    an edit may keep, and a module by its name.
    """
    prefix, before = sys.pycache_prefix, set(sys.modules)
    imported: list[Path] = []
    sys.path.insert(0, str(folder))
    with tempfile.TemporaryDirectory(prefix="gm-kernels-") as nowhere:
        sys.pycache_prefix = nowhere
        try:
            yield imported
        finally:
            sys.pycache_prefix = prefix
            sys.path.remove(str(folder))
            for name in sorted(set(sys.modules) - before):
                file = getattr(sys.modules[name], "__file__", None)
                path = Path(file or "/").resolve()
                if path.is_relative_to(folder) and "site-packages" not in path.parts:
                    imported.append(path)
                    del sys.modules[name]


def _kernels_of(module: ModuleType, source: Path) -> list[Kernel]:
    found = [value for value in vars(module).values() if isinstance(value, Kernel)]
    if not found:
        raise KernelRefused(f"{source}: no function is decorated with @gm.feature or @gm.rule")
    names = [kernel.name for kernel in found]
    for name in names:
        if names.count(name) > 1:
            raise KernelRefused(f"{source}: two kernels are named {name}")
    return found


def _check(source: Path, name: str, code: bytes) -> None:
    try:
        check_kernel_object(code)
    except BadSettings as error:
        symbol = str(error).rpartition("needs ")[2]
        why = next((why for heads, why in _NEEDS if symbol.startswith(heads)), "no kernel may")
        raise KernelRefused(f"{source}: {name}: needs {symbol}: {why}") from error


def _link(objects: list[bytes]) -> bytes:
    linker = next(filter(None, map(which, LINKERS)), None)
    if linker is None:
        raise KernelRefused(
            f"no linker is installed (looked for {', '.join(LINKERS)}): install binutils"
        )
    with tempfile.TemporaryDirectory(prefix="gm-kernels-") as folder:
        parts = []
        for index, code in enumerate(objects):
            parts.append(Path(folder, f"{index}.o"))
            parts[-1].write_bytes(code)
        output = Path(folder, "kernels.so")
        command: list[str | Path] = [
            linker, "-shared", "-s", "--build-id=none", "--no-undefined",
            "-z", "noexecstack", "-z", "relro", "-z", "now",
            "-o", output, *parts, _loaded("libm.so"), _loaded("libc.so"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KernelRefused(f"{linker}: {done.stderr.strip()[-500:]}")
        return output.read_bytes()


def _loaded(name: str) -> str:
    """Path of a library of this process: linking wants no development files then."""
    import numpy as np  # brings libm

    assert np.sqrt(4.0) == 2.0
    with open(f"/proc/{os.getpid()}/maps") as maps:
        for line in maps:
            path = line.split(maxsplit=5)[-1].strip()
            if path.rpartition("/")[2].startswith(name):
                return path
    raise KernelRefused(f"{name} is not in this process: is this glibc?")
