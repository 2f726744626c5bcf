"""Promise: a bundle's every fault is named, and a bundle without one is called sound."""

import os
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state as state

from gm.models import verification
from gm.models.baseline_bundle import dense_onnx
from gm.models.verification import Terms, verify_bundle

from .make import edit, named, six_networks, swap_network


@pytest.fixture
def folder(tmp_path):
    return six_networks(tmp_path / "six").path


def faults(folder):
    return verify_bundle(folder, Terms()).faults


def layer(inputs, outputs=3, value=0.0):
    weights = np.full((inputs, outputs), value, np.float32)
    return [(weights, np.zeros(outputs, np.float32))]


def test_a_sound_bundle_has_no_fault(folder):
    found = verify_bundle(folder, Terms())
    assert found.faults == ()
    assert found.is_sound
    assert found.name == "six"
    assert found.sha256 == sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert found.signature == "absent"


def test_several_faults_are_all_named(folder):
    (folder / "extra.txt").write_text("x")
    (folder / "fvg.onnx").unlink()
    raw = bytearray((folder / "report.html").read_bytes())
    raw[3] ^= 1
    (folder / "report.html").write_bytes(raw)
    edit(folder, lambda tree: tree.update(feature_schema_sha256="0" * 64))
    found = faults(folder)
    assert len(found) == 4, found
    parts = (
        "feature_schema_sha256 0000",
        "fvg.onnx: No such file",
        "report.html: SHA-256",
        "extra",
    )
    for part in parts:
        assert any(part in fault for fault in found), part


def test_a_folder_that_cannot_be_listed_is_a_fault(folder, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gm.models.verification.os.listdir", refuse)
    assert faults(folder) == (f"{folder}: Permission denied",)


@pytest.mark.parametrize("error", [state.RuntimeException, state.Fail, ValueError, IndexError])
def test_what_a_run_of_a_network_ends_with_is_a_fault_of_its_file(folder, monkeypatch, error):
    def fail(agent, _raw, _manifest):
        if agent.name == "fvg":
            raise error("cannot reshape")

    monkeypatch.setattr(verification, "check_network", fail)
    assert faults(folder) == ("fvg.onnx: cannot reshape",)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    bundle = named(tmp_path_factory.mktemp("flips") / "bundle", "flips")
    files = {name: (bundle.path / name).read_bytes() for name in os.listdir(bundle.path)}
    return bundle, files


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_is_found(shared, data):
    bundle, files = shared
    name = data.draw(st.sampled_from(sorted(files)))
    bit = data.draw(st.integers(0, 8 * len(files[name]) - 1))
    raw = bytearray(files[name])
    raw[bit // 8] ^= 1 << bit % 8
    (bundle.path / name).write_bytes(raw)
    try:
        found = verify_bundle(bundle.path, Terms(), bundle.sha256)
    finally:
        (bundle.path / name).write_bytes(files[name])
    assert any(name in fault for fault in found.faults), found


@pytest.mark.parametrize(
    ("onnx", "says"),
    [
        (dense_onnx("x", layer(198, value=float("nan"))), "not finite"),
        (dense_onnx("x", layer(197)), "must hold 198"),
        (dense_onnx("x", layer(198, outputs=4)), "4 logits, must be 3"),
        (dense_onnx("x", layer(198, value=0.5)), "golden vector 0"),
        (b"no model", "mlmi.onnx: "),
        (b"", "mlmi.onnx: "),
    ],
)
def test_a_network_that_is_wrong_under_its_right_hash_is_named(tmp_path, onnx, says):
    folder = named(tmp_path / "bundle", "odd").path
    swap_network(folder, 0, onnx)
    found = faults(folder)
    assert len(found) == 1, found
    assert found[0].startswith("mlmi.onnx: ")
    assert says in found[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("threshold"), "threshold: missing"),
        (lambda t: t["agents"][0]["columns"].reverse(), "must ascend"),
        (lambda t: t["agents"][0]["columns"].pop(), "must hold 150"),
        (lambda t: t["agents"][0].update(context=0), "must hold 192"),
        (lambda t: t.update(feature_schema_sha256="1" * 64), "this build computes"),
        (lambda t: t["golden"].update(seed=83), "golden vector"),
        (lambda t: t["golden"]["logits"]["nwrqk"][15].__setitem__(2, 9.0), "vector 15, logit 2"),
        (lambda t: t["agents"][0].update(sha256="2" * 64), "mlmi.onnx: SHA-256"),
    ],
)  # fmt: skip
def test_a_manifest_that_says_other_things_than_the_files_is_named(tmp_path, change, says):
    folder = named(tmp_path / "bundle", "odd").path
    edit(folder, change)
    assert any(says in fault for fault in faults(folder)), faults(folder)


def test_a_change_that_the_files_allow_is_found_by_the_registered_hash(tmp_path):
    bundle = named(tmp_path / "bundle", "odd")
    edit(bundle.path, lambda tree: tree["agents"][0].update(columns=[0, 1, 8, 10]))
    assert faults(bundle.path) == ()
    found = verify_bundle(bundle.path, Terms(), bundle.sha256)
    assert "the registry has" in found.faults[0]


@pytest.mark.parametrize("kind", ["absent", "file", "empty"])
def test_a_folder_that_is_no_bundle_is_a_fault(tmp_path, kind):
    folder = tmp_path / "x"
    if kind == "file":
        folder.write_text("x")
    if kind == "empty":
        folder.mkdir()
    found = verify_bundle(folder, Terms())
    assert not found.is_sound
    assert "manifest.json" in found.faults[0]


@pytest.mark.timeout(10)
def test_a_link_and_a_pipe_in_a_files_place_are_refused_and_do_not_hang(tmp_path):
    folder = named(tmp_path / "bundle", "odd").path
    (folder / "mlmi.onnx").rename(tmp_path / "outside.onnx")
    (folder / "mlmi.onnx").symlink_to(tmp_path / "outside.onnx")
    (folder / "regime.onnx").unlink()
    os.mkfifo(folder / "regime.onnx")
    found = faults(folder)
    assert len(found) == 2, found
    assert "mlmi.onnx" in found[0]
    assert "regime.onnx: not a regular file" in found[1]
