"""A built library of kernels: its manifest, the cache, and its rows in the settings block."""

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import __version__, layout
from gm._native.runtime import check_kernel_object
from gm.config.run_dir import write_whole
from gm.errors import BadSettings, KernelRefused
from gm.kernels.declare import INPUTS, WARMUP_MAX

# Of entry and manifest; a library of another one is built again.
ABI = 1
FEATURES_MAX = 3
QUARANTINED_FILE = "kernels-quarantined.json"
BUILD_S_MAX = 300

Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class KernelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kernel of a library."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,30}$")]
    kind: Literal["feature", "rule"]
    inputs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=len(INPUTS))]
    warmup: Annotated[int, msgspec.Meta(ge=1, le=WARMUP_MAX)]
    minutes: Literal[5, 30]
    low: float
    high: float
    sha256: Hash


class LibraryManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shared object holds and what it was made from. ``sources``: file, SHA-256."""

    format: Literal[1] = 1
    versions: dict[str, str]
    sources: dict[str, Hash]
    sha256: Hash
    kernels: Annotated[tuple[KernelManifest, ...], msgspec.Meta(min_length=1)]


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A shared object that was checked, and its manifest."""

    path: Path
    manifest: LibraryManifest


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that the process died in."""

    sha256: Hash
    name: str
    reason: str


def manifest_path(library: Path) -> Path:
    """Where the manifest of a library lies."""
    return library.with_name(library.name + ".json")


def find_library(path: Path, cache: Path, kept: Path | None = None) -> Library:
    """Read a built library, or build it first if the path names Python source.

    Parameters
    ----------
    path : Path
        A ``.so`` of `gm kernels build`, or a ``.py``.
    cache : Path
        Folder for libraries of sources, by the hash of the source and of the compiler's versions.
    kept : Path, optional
        A library to take, unbuilt, as long as its sources are what they were.

    Returns
    -------
    Library
        Whole: its hash is the manifest's, and it needs nothing but arithmetic.

    Raises
    ------
    KernelRefused
        If there is no such file, it cannot be built, or it is not what its manifest says.

    Source
    ------
    Ours.
    """
    if path.suffix != ".py":
        return read_library(path)
    folder = path.resolve().parent
    if kept is not None and kept.is_file():
        found = read_library(kept)
        if path.name in found.manifest.sources and _is_current(found.manifest, folder):
            return found
    try:
        source = path.read_bytes()
    except OSError as error:
        raise KernelRefused(f"{path}: {error.strerror}") from error
    names = ("numba", "llvmlite", "numpy")
    made_with = [sys.version, __version__, str(ABI), *(f"{name} {version(name)}" for name in names)]
    key = hashlib.sha256(b"\0".join([source, *(text.encode() for text in made_with)]))
    built = cache / "kernels" / f"{key.hexdigest()[:32]}.so"
    if manifest_path(built).is_file():
        found = read_library(built)
        if _is_current(found.manifest, folder):
            return found
    _build_apart(path, built)
    return read_library(built)


def read_library(path: Path) -> Library:
    """Read a shared object and its manifest.

    Raises
    ------
    KernelRefused
        If one is missing, they do not belong together, or it needs what no kernel may need.
    """
    try:
        content = path.read_bytes()
        raw = manifest_path(path).read_bytes()
        manifest = msgspec.json.decode(raw, type=LibraryManifest)
    except OSError as error:
        raise KernelRefused(
            f"{error.filename}: {error.strerror}; make it with: gm kernels build FILE.py"
        ) from error
    except msgspec.DecodeError as error:
        raise KernelRefused(f"{manifest_path(path)}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise KernelRefused(f"{path}: SHA-256 {found}, its manifest says {manifest.sha256}")
    try:
        check_kernel_object(content)
    except BadSettings as error:
        raise KernelRefused(f"{path}: {error}") from error
    return Library(path=path, manifest=manifest)


def keep_library(library: Library, path: Path) -> None:
    """Copy a library and its manifest into a run directory, which then needs nothing else."""
    write_whole(path, library.path.read_bytes())
    raw = msgspec.json.encode(library.manifest)
    write_whole(manifest_path(path), msgspec.json.format(raw, indent=1))


def kernel_rows(
    library: Library | None, *, profile: str, on_failure: Literal["halt", "skip"]
) -> NDArray[np.void]:
    """Rows of the settings block: the features, and the rule where it decides.

    Parameters
    ----------
    library : Library or None
        None: there are no kernels.
    profile : str
        ``policy.profile``; "rule" wants exactly one rule.
    on_failure : "halt" or "skip"
        What follows a quarantine.

    Returns
    -------
    structured array of layout.KERNEL_SETTINGS, shape (n,)

    Raises
    ------
    KernelRefused
        If there are more than three features, or the profile wants a rule and there is not one.

    Source
    ------
    Ours; core/include/gm/engine/settings.hpp.
    """
    kernels = library.manifest.kernels if library else ()
    features = [kernel for kernel in kernels if kernel.kind == "feature"]
    rules = [kernel for kernel in kernels if kernel.kind == "rule"]
    where = library.path if library else "kernels.path"
    if len(features) > FEATURES_MAX:
        raise KernelRefused(f"{where}: {len(features)} features, at most {FEATURES_MAX}")
    if profile == "rule" and len(rules) != 1:
        names = ", ".join(rule.name for rule in rules) or "none"
        raise KernelRefused(
            f"{where}: policy.profile: rule wants exactly one @gm.rule, has {names}"
        )
    chosen = [*features, *(rules if profile == "rule" else ())]
    rows = np.zeros(len(chosen), layout.KERNEL_SETTINGS)
    for row, kernel in zip(rows, chosen, strict=True):
        assert library is not None
        _fill(row, kernel, library.manifest.sha256, on_failure)
    return rows


def hung_kernels(run_dir: Path) -> bytes:
    """Hashes of the kernels that hung in a former life of a run, 32 bytes each.

    Raises
    ------
    KernelRefused
        If the file is damaged: which kernel must not be called is then not known.
    """
    path = run_dir / QUARANTINED_FILE
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[Quarantined])
    except FileNotFoundError:
        return b""
    except (OSError, msgspec.DecodeError) as error:
        raise KernelRefused(f"{path}: {error}") from error
    return b"".join(bytes.fromhex(entry.sha256) for entry in entries)


def _fill(row: Any, kernel: KernelManifest, library: str, on_failure: str) -> None:  # noqa: ANN401
    row["name"] = kernel.name.encode()
    row["sha256"] = np.frombuffer(bytes.fromhex(kernel.sha256), "u1")
    row["library_sha256"] = np.frombuffer(bytes.fromhex(library), "u1")
    row["low"], row["high"] = kernel.low, kernel.high
    row["kind"] = layout.KernelKind[kernel.kind.upper()]
    row["minutes"], row["warmup"] = kernel.minutes, kernel.warmup
    row["policy"] = layout.KernelPolicy[on_failure.upper()]
    row["input_count"] = len(kernel.inputs)
    row["inputs"][: len(kernel.inputs)] = [INPUTS.index(name) for name in kernel.inputs]


def _is_current(manifest: LibraryManifest, folder: Path) -> bool:
    """Whether the files that the source imported are as they were."""
    for name, digest in manifest.sources.items():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            return False
        if hashlib.sha256(content).hexdigest() != digest:
            return False
    return True


def _build_apart(source: Path, output: Path) -> None:
    command = [sys.executable, "-m", "gm", "kernels", "build", str(source), "--output", str(output)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=BUILD_S_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise KernelRefused(f"{source}: not built within {BUILD_S_MAX} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise KernelRefused(lines[-1].removeprefix("gm: "))
