"""Promise: a bundle that answers otherwise than onnxruntime or its manifest does not trade."""

from hashlib import sha256

import msgspec
import numpy as np
import pytest

from gm.errors import ConfigError
from gm.models import BASELINE_PATH, golden, golden_check, golden_inputs, load_bundle
from gm.models.baseline_bundle import dense_onnx
from gm.models.golden import native_logits


@pytest.fixture
def bundle():
    return load_bundle(BASELINE_PATH)


def test_golden_inputs_are_those_of_the_written_stream():
    inputs = golden_inputs(7, "mlmi", 10)
    assert inputs.shape == (16, 10)
    assert inputs.dtype == np.float32
    word = int.from_bytes(sha256(b"7:mlmi:0").digest()[4:8], "little")
    assert inputs[0, 1] == (word >> 8) / 2**23 - 1
    assert np.abs(inputs).max() <= 1
    assert len(np.unique(inputs)) == 160


def test_a_sound_bundle_passes_and_is_remembered(bundle, tmp_path):
    assert golden_check(bundle, tmp_path / "cache")
    assert not golden_check(bundle, tmp_path / "cache")
    other = msgspec.structs.replace(bundle, sha256="f" * 64)
    assert golden_check(other, tmp_path / "cache")


def test_logits_that_are_not_the_manifests_are_refused(bundle, tmp_path):
    logits = {
        name: [list(row) for row in rows] for name, rows in bundle.manifest.golden.logits.items()
    }
    logits["nwrqk"][3][0] += 1e-3
    changed = msgspec.structs.replace(bundle.manifest.golden, logits=logits)
    manifest = msgspec.structs.replace(bundle.manifest, golden=changed)
    with pytest.raises(ConfigError, match=r"nwrqk.onnx: manifest: golden vector 3, logit 0"):
        golden_check(msgspec.structs.replace(bundle, manifest=manifest), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [np.float32(2e-5), np.float32("nan")])
def test_logits_that_are_not_onnxruntimes_are_refused(bundle, monkeypatch, wrong):
    real = golden.oracle

    def off(onnx):
        shape, run = real(onnx)
        return shape, lambda x: run(x) + wrong

    monkeypatch.setattr(golden, "oracle", off)
    with pytest.raises(ConfigError, match=r"mlmi.onnx: onnxruntime: golden vector 0"):
        golden_check(bundle)


@pytest.fixture
def large(bundle):
    """The baseline with a network of its agent mlmi that a bfloat16 tail changes."""
    random = np.random.default_rng(3)
    widths = ((198, 256), (256, 128), (128, 3))
    layers = [
        (random.normal(0, (2 / shape[0]) ** 0.5, shape).astype(np.float32),
         np.zeros(shape[1], np.float32))
        for shape in widths
    ]  # fmt: skip
    onnx = dense_onnx("mlmi", layers)
    seed = bundle.manifest.golden.seed
    found = native_logits(seed, "mlmi", onnx).astype(float).tolist()
    golden = msgspec.structs.replace(
        bundle.manifest.golden, logits=bundle.manifest.golden.logits | {"mlmi": found}
    )
    manifest = msgspec.structs.replace(bundle.manifest, golden=golden)
    return msgspec.structs.replace(bundle, manifest=manifest, onnx=(onnx, *bundle.onnx[1:]))


def test_a_bfloat16_tail_is_held_against_float32(large, monkeypatch):
    bundle = large
    manifest = msgspec.structs.replace(bundle.manifest, tail="bf16")
    narrow = msgspec.structs.replace(bundle, manifest=manifest)
    assert golden_check(narrow)
    monkeypatch.setattr(golden, "TAIL_TOLERANCE", 1e-7)
    assert golden_check(bundle)  # float32 knows nothing of it
    with pytest.raises(ConfigError, match=r"float32, of a bfloat16 tail: golden vector"):
        golden_check(narrow)


def test_a_network_of_another_width_is_refused(bundle):
    agents = bundle.manifest.agents
    narrow = msgspec.structs.replace(agents[0], columns=(0, 1, 8))
    manifest = msgspec.structs.replace(bundle.manifest, agents=(narrow, *agents[1:]))
    with pytest.raises(ConfigError, match="must hold 150"):
        golden_check(msgspec.structs.replace(bundle, manifest=manifest))
