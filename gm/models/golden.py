"""Golden vectors: what a bundle must answer, here, before it may trade.

The inputs are a stream of SHA-256 digests read as numbers, so that every machine, language and
NumPy version makes the same ones.
"""

import contextlib
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gm._native.policy import WIDEST, Network as NativeNetwork
from gm.errors import ConfigError
from gm.models.bundle import Bundle
from gm.models.manifest import ACTIONS, GOLDEN_VECTORS, TAILS, Agent, Manifest, TacticalAgent
from gm.models.oracle import oracle

TOLERANCE = 1e-5
# A bfloat16 weight is off by at most 1/256 of itself: measured, logits move by some 0.2 % of their
# spread; the farthest of a thousand by less than a hundredth of the largest.
TAIL_TOLERANCE = 0.02


def golden_inputs(seed: int, agent: str, width: int) -> NDArray[np.float32]:
    """Make the golden inputs of one agent.

    Parameters
    ----------
    seed : int
        Of the manifest.
    agent : str
        The agent's name.
    width : count
        Of the network's input.

    Returns
    -------
    ndarray of float32, shape (16, width)
        Uniform in [-1, 1), multiples of 2^-23: digests of "seed:agent:block", read as
        little-endian 32-bit words, of which the upper 24 bits count.
    """
    count = GOLDEN_VECTORS * width
    blocks = (sha256(f"{seed}:{agent}:{i}".encode()).digest() for i in range((count + 7) // 8))
    words = np.frombuffer(b"".join(blocks), "<u4")[:count] >> 8
    values = words.astype(np.float64) / 2.0**23 - 1.0
    return values.astype(np.float32).reshape(GOLDEN_VECTORS, width)


def native_logits(seed: int, agent: str, onnx: bytes) -> NDArray[np.float32]:
    """Logits of the core's own kernels for the golden inputs, float32 (16, k)."""
    network = NativeNetwork(onnx)
    return network.run(golden_inputs(seed, agent, int(np.prod(network.input_shape))))


def golden_check(bundle: Bundle, cache: Path | None = None) -> bool:
    """Hold the native kernels against onnxruntime and against the manifest.

    Parameters
    ----------
    bundle : Bundle
        A checked bundle.
    cache : path, optional
        Folder that remembers bundles that passed, by the bundle's SHA-256, the versions of core
        and onnxruntime, and the instruction set. Created if missing.

    Returns
    -------
    bool
        True if the bundle was run now, False if the cache remembered it.

    Raises
    ------
    ConfigError
        If a network's input is not that of its agent, or logits differ by more than
        1e-5 x max(1, |logit|), or those of a bfloat16 tail from the float32 ones by more than
        0.02 x the network's largest; the text names agent, vector and values.
    UnsupportedNetwork, BadNetwork
        If the core cannot run a network.
    """
    versions = f"{version('grandmodel')}-{version('onnxruntime')}-{WIDEST}"
    note = cache / f"golden-{bundle.sha256}-{versions}" if cache is not None else None
    if note is not None and note.exists():
        return False
    for agent, onnx in zip(bundle.manifest.networks, bundle.onnx, strict=True):
        try:
            check_network(agent, onnx, bundle.manifest)
        except ConfigError as error:
            raise ConfigError(f"{bundle.path / agent.file}: {error}") from error
    if note is not None:
        # A service may not write here: then the check runs at each start.
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
    return True


def check_network(agent: Agent | TacticalAgent, onnx: bytes, manifest: Manifest) -> None:
    """Hold one network against its agent, onnxruntime and the manifest; raises as golden_check."""
    golden = manifest.golden
    native = NativeNetwork(onnx)
    if int(np.prod(native.input_shape)) != agent.inputs:
        raise ConfigError(f"input {native.input_shape}, must hold {agent.inputs}")
    if native.outputs != len(ACTIONS):
        raise ConfigError(f"{native.outputs} logits, must be {len(ACTIONS)}")
    inputs = golden_inputs(golden.seed, agent.name, agent.inputs)
    found = native.run(inputs)
    shape, run = oracle(onnx)
    _compare("onnxruntime", found, run(inputs.reshape(-1, *shape)))
    _compare("manifest", found, golden.logits[agent.name])
    if manifest.tail == "bf16":
        narrow = NativeNetwork(onnx, tail=TAILS.index("bf16")).run(inputs)
        limit = TAIL_TOLERANCE * max(1.0, float(np.abs(found).max()))
        _compare("float32, of a bfloat16 tail", narrow, found, limit)


def _compare(
    where: str,
    found: NDArray[np.float32],
    expected: NDArray[np.float32] | Sequence[Sequence[float]],
    apart_max: float | None = None,
) -> None:
    if any(len(row) != found.shape[1] for row in expected):
        raise ConfigError(f"{where}: {found.shape[1]} logits, expected {len(expected[0])}")
    wanted = np.asarray(expected, np.float64)
    limit = TOLERANCE * np.maximum(1.0, np.abs(wanted))
    if apart_max is not None:
        limit = np.full(wanted.shape, apart_max)
    apart = ~(np.abs(found - wanted) <= limit)  # a NaN is apart
    if apart.any():
        vector, logit = np.argwhere(apart)[0]
        raise ConfigError(
            f"{where}: golden vector {vector}, logit {logit}: core {found[vector, logit]!s}, "
            f"expected {wanted[vector, logit]!s}, at most {limit[vector, logit]:.1e} apart"
        )
