"""A bundle: a folder with one ONNX file an agent and the manifest that says how they decide.

A bundle is loaded whole or refused: every key known, every file hashed, the feature schema that of
this build. Its identity is the SHA-256 of manifest.json, which holds the hashes of everything else.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm._native.features import feature_schema_digest
from gm.errors import ConfigError
from gm.models.manifest import (
    ACTIONS,
    CONTEXT,
    GOLDEN_VECTORS,
    MANIFEST,
    ROWS,
    TAILS,
    Agent,
    Golden,
    Manifest,
    TacticalAgent,
    parse_manifest,
)

MANIFEST_BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 16 << 20

__all__ = [
    "ACTIONS",
    "CONTEXT",
    "GOLDEN_VECTORS",
    "MANIFEST",
    "ROWS",
    "Agent",
    "Bundle",
    "Golden",
    "Manifest",
    "agent_rows",
    "load_bundle",
    "read_bounded",
    "schema_fault",
    "tactical_rows",
    "write_bundle",
]


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A checked manifest, the ONNX files of its networks, and the SHA-256 of manifest.json."""

    path: Path
    manifest: Manifest
    onnx: tuple[bytes, ...]
    sha256: str


def load_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Parameters
    ----------
    path : path
        Folder that holds manifest.json.

    Returns
    -------
    Bundle
        Whole. Its networks are not run yet: golden_check does that.

    Raises
    ------
    ConfigError
        If a file is missing or too large, a key is unknown, missing, doubled or out of range, a
        hash differs, or the bundle was made for another feature schema. The text names the file.

    Source
    ------
    Ours; ARCHITECTURE §2, ONNX.
    """
    folder = Path(path)
    raw = read_bounded(folder / MANIFEST, MANIFEST_BYTES_MAX)
    try:
        manifest = parse_manifest(raw)
    except ConfigError as error:
        raise ConfigError(f"{folder / MANIFEST}: {error}") from error
    if fault := schema_fault(manifest):
        raise ConfigError(f"{folder / MANIFEST}: {fault}")
    files = {
        name: _read_hashed(folder / name, expected) for name, expected in manifest.files.items()
    }
    return Bundle(
        path=folder,
        manifest=manifest,
        onnx=tuple(files[agent.file] for agent in manifest.networks),
        sha256=sha256(raw).hexdigest(),
    )


def schema_fault(manifest: Manifest) -> str | None:
    """Say what is wrong if the bundle was made for other features than this build computes."""
    schema = feature_schema_digest().hex()
    if manifest.feature_schema_sha256 == schema:
        return None
    return f"feature_schema_sha256 {manifest.feature_schema_sha256}, this build computes {schema}"


def write_bundle(
    folder: Path,
    manifest: Manifest,
    onnx: Sequence[bytes],
    documents: Mapping[str, bytes] = MappingProxyType({}),
) -> Bundle:
    """Write a bundle and read it back.

    Parameters
    ----------
    folder : path
        Created if missing.
    manifest : Manifest
        With the hashes of the files.
    onnx : sequence of bytes
        One file an agent, in the order of ``manifest.networks``.
    documents : mapping of str to bytes
        What else the manifest names, by name.

    Returns
    -------
    Bundle
        As load_bundle gives it. Equal arguments give equal bytes.

    Raises
    ------
    ConfigError
        If the bundle contradicts itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for agent, file in zip(manifest.networks, onnx, strict=True):
        (folder / agent.file).write_bytes(file)
    for name in manifest.documents:
        (folder / name).write_bytes(documents[name])
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST).write_bytes(text + b"\n")
    return load_bundle(folder)


def agent_rows(bundle: Bundle) -> tuple[NDArray[np.void], tuple[bytes, ...]]:
    """Put a bundle's strategic agents into the form of the settings block.

    Parameters
    ----------
    bundle : Bundle
        A checked bundle.

    Returns
    -------
    tuple
        ndarray of layout.AGENT_SETTINGS, shape (n,), and one ONNX file an agent.
    """
    onnx = bundle.onnx[: len(bundle.manifest.agents)]
    rows = _rows(bundle, bundle.manifest.agents, onnx)
    rows["weight"] = [agent.weight for agent in bundle.manifest.agents]
    rows["context_count"] = [agent.context for agent in bundle.manifest.agents]
    return rows, onnx


def tactical_rows(
    bundle: Bundle,
) -> tuple[NDArray[np.void], NDArray[np.void], tuple[bytes, ...]] | None:
    """Put a bundle's tactical agents into the form of the settings block.

    Parameters
    ----------
    bundle : Bundle
        A checked bundle.

    Returns
    -------
    tuple, or None if it has none
        ndarray of layout.TACTICAL_SETTINGS, shape (1,); of layout.AGENT_SETTINGS, shape (3,); and
        one ONNX file an agent.
    """
    tactical = bundle.manifest.tactical
    if tactical is None:
        return None
    settings = np.zeros(1, layout.TACTICAL_SETTINGS)
    settings["threshold"], settings["weights"] = tactical.threshold, tactical.weights
    onnx = bundle.onnx[len(bundle.manifest.agents) :]
    return settings, _rows(bundle, tactical.agents, onnx), onnx


def _rows(
    bundle: Bundle, agents: Sequence[Agent | TacticalAgent], onnx: Sequence[bytes]
) -> NDArray[np.void]:
    rows = np.zeros(len(agents), layout.AGENT_SETTINGS)
    rows["tail"] = TAILS.index(bundle.manifest.tail)
    for row, agent, file in zip(rows, agents, onnx, strict=True):
        row["name"] = agent.name.encode()
        row["temperature"] = agent.temperature
        row["column_mask"] = sum(1 << column for column in agent.columns)
        row["onnx_size"] = len(file)
    return rows


def read_bounded(path: Path, size_max: int) -> bytes:
    """Read a regular file of at most ``size_max`` bytes, once; ConfigError names it otherwise."""
    try:
        # A pipe or a device would hang, a link would leave the folder.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{path}: not a regular file")
            raw = file.read(size_max + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(raw) > size_max:
        raise ConfigError(f"{path}: larger than {size_max} bytes")
    return raw


def _read_hashed(path: Path, expected: str) -> bytes:
    raw = read_bounded(path, FILE_BYTES_MAX)
    found = sha256(raw).hexdigest()
    if found != expected:
        raise ConfigError(f"{path}: SHA-256 {found}, manifest {expected}")
    return raw
