"""Promise: a bundle that answers otherwise than onnxruntime or its manifest does not trade."""

from hashlib import sha256

import msgspec
import numpy as np
import pytest

from gm.errors import ConfigError
from gm.models import BASELINE_PATH, golden, golden_check, golden_inputs, load_bundle


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


def test_a_network_of_another_width_is_refused(bundle):
    agents = bundle.manifest.agents
    narrow = msgspec.structs.replace(agents[0], columns=(0, 1, 8))
    manifest = msgspec.structs.replace(bundle.manifest, agents=(narrow, *agents[1:]))
    with pytest.raises(ConfigError, match="must hold 150"):
        golden_check(msgspec.structs.replace(bundle, manifest=manifest))
