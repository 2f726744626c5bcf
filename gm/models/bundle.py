"""A bundle: a folder with one ONNX file an agent and the manifest that says how they decide.

A bundle is loaded whole or refused: every key known, every file hashed, the feature schema that of
this build. Its identity is the SHA-256 of manifest.json, which holds the hashes of everything else.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm._native.features import feature_schema_digest
from gm.errors import ConfigError

MANIFEST = "manifest.json"
ACTIONS = ("long", "neutral", "short")
GOLDEN_VECTORS = 16
ROWS = 48
CONTEXT = 6
LAST_COLUMN = 12
_MANIFEST_BYTES_MAX = 1 << 20
_ONNX_BYTES_MAX = 16 << 20

Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,14}$")]
FileName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}\.onnx$")]
# From 13 on: what user kernels add.
Column = Annotated[int, msgspec.Meta(ge=0, le=15)]
Logits = Annotated[list[float], msgspec.Meta(min_length=3, max_length=4096)]


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One network and its part in the ensemble (SPEC §5)."""

    name: Name
    file: FileName
    sha256: Hash
    columns: Annotated[tuple[Column, ...], msgspec.Meta(min_length=1, max_length=16)]
    context: Literal[0, 6]
    weight: Annotated[float, msgspec.Meta(ge=-100, le=100)]
    temperature: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]

    @property
    def inputs(self) -> int:
        """Width of the network's input: 48 rows of its columns, then the context."""
        return ROWS * len(self.columns) + self.context


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seed of the 16 golden inputs, and by agent the logits that were found for them."""

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    logits: dict[
        str,
        Annotated[list[Logits], msgspec.Meta(min_length=GOLDEN_VECTORS, max_length=GOLDEN_VECTORS)],
    ]


class Manifest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """The contents of manifest.json."""

    format: Literal[1]
    name: Name
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    created_by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    feature_schema_sha256: Hash
    actions: tuple[Literal["long"], Literal["neutral"], Literal["short"]]
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)]
    # Of the feature kernels whose columns agents look at, in their order from column 13 on.
    kernels: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=3)] = ()
    agents: Annotated[tuple[Agent, ...], msgspec.Meta(min_length=1, max_length=3)]
    golden: Golden


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A checked manifest, the ONNX files in its order, and the SHA-256 of manifest.json."""

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
    raw = _read(folder / MANIFEST, _MANIFEST_BYTES_MAX)
    manifest = _parse(folder / MANIFEST, raw)
    schema = feature_schema_digest().hex()
    if manifest.feature_schema_sha256 != schema:
        raise ConfigError(
            f"{folder / MANIFEST}: feature_schema_sha256 {manifest.feature_schema_sha256}, "
            f"this build computes {schema}"
        )
    onnx = []
    for agent in manifest.agents:
        file = _read(folder / agent.file, _ONNX_BYTES_MAX)
        found = sha256(file).hexdigest()
        if found != agent.sha256:
            raise ConfigError(f"{folder / agent.file}: SHA-256 {found}, manifest {agent.sha256}")
        onnx.append(file)
    return Bundle(path=folder, manifest=manifest, onnx=tuple(onnx), sha256=sha256(raw).hexdigest())


def write_bundle(folder: Path, manifest: Manifest, onnx: Sequence[bytes]) -> Bundle:
    """Write a bundle and read it back.

    Parameters
    ----------
    folder : path
        Created if missing.
    manifest : Manifest
        With the hashes of the files.
    onnx : sequence of bytes
        One file an agent, in the manifest's order.

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
    for agent, file in zip(manifest.agents, onnx, strict=True):
        (folder / agent.file).write_bytes(file)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / MANIFEST).write_bytes(text + b"\n")
    return load_bundle(folder)


def agent_rows(bundle: Bundle) -> tuple[NDArray[np.void], tuple[bytes, ...]]:
    """Put a bundle's agents into the form of the settings block.

    Parameters
    ----------
    bundle : Bundle
        A checked bundle.

    Returns
    -------
    tuple
        ndarray of layout.AGENT_SETTINGS, shape (n,), and one ONNX file an agent.
    """
    rows = np.zeros(len(bundle.manifest.agents), layout.AGENT_SETTINGS)
    for row, agent, file in zip(rows, bundle.manifest.agents, bundle.onnx, strict=True):
        row["name"] = agent.name.encode()
        row["weight"] = agent.weight
        row["temperature"] = agent.temperature
        row["column_mask"] = sum(1 << column for column in agent.columns)
        row["context_count"] = agent.context
        row["onnx_size"] = len(file)
    return rows, bundle.onnx


def _read(path: Path, size_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(size_max + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(raw) > size_max:
        raise ConfigError(f"{path}: larger than {size_max} bytes")
    return raw


def _parse(path: Path, raw: bytes) -> Manifest:
    try:
        json.loads(raw, object_pairs_hook=_refuse_doubles)
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    names = [agent.name for agent in manifest.agents]
    if len(set(names)) != len(names) or set(names) != set(manifest.golden.logits):
        raise ConfigError(f"{path}: agents {names}, golden logits {sorted(manifest.golden.logits)}")
    for agent in manifest.agents:
        if list(agent.columns) != sorted(set(agent.columns)):
            raise ConfigError(f"{path}: columns of {agent.name} must ascend: {agent.columns}")
        if agent.columns[-1] > LAST_COLUMN + len(manifest.kernels):
            raise ConfigError(
                f"{path}: column {agent.columns[-1]} of {agent.name}: the last is {LAST_COLUMN}, "
                f"and kernels names {len(manifest.kernels)} behind it"
            )
    return manifest


def _refuse_doubles(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key is written twice among {keys[:20]}")
    return dict(pairs)
