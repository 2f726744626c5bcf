"""Promise: a bundle is loaded whole, or refused with the file and the reason."""

import json
import shutil

import msgspec
import pytest

from gm import layout
from gm.errors import ConfigError
from gm.models import BASELINE_PATH, agent_rows, load_bundle, write_bundle


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(BASELINE_PATH, copy)
    return copy


def change(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_bundle_that_is_written_reads_back(folder, tmp_path):
    bundle = load_bundle(folder)
    again = write_bundle(tmp_path / "copy", bundle.manifest, bundle.onnx)
    assert again.manifest == bundle.manifest
    assert again.onnx == bundle.onnx
    assert again.sha256 == bundle.sha256


def test_agents_become_rows_of_the_settings_block(folder):
    rows, onnx = agent_rows(load_bundle(folder))
    assert rows.dtype == layout.AGENT_SETTINGS
    assert rows["name"].tolist() == [b"mlmi", b"nwrqk", b"regime"]
    assert rows["column_mask"].tolist() == [0b1100000011, 0b111100, 0b1110000000000]
    assert rows["context_count"].tolist() == [6, 6, 6]
    assert rows["tail"].tolist() == [0, 0, 0]
    assert rows["onnx_size"].tolist() == [len(file) for file in onnx]


def test_a_changed_network_is_refused_by_its_hash(folder):
    path = folder / "mlmi.onnx"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"mlmi\.onnx: SHA-256"):
        load_bundle(folder)


def test_a_missing_file_is_refused(folder):
    (folder / "regime.onnx").unlink()
    with pytest.raises(ConfigError, match=r"regime\.onnx: No such file"):
        load_bundle(folder)
    with pytest.raises(ConfigError, match=r"manifest\.json: No such file"):
        load_bundle(folder / "nowhere")


def test_another_feature_schema_is_refused(folder):
    change(folder, feature_schema_sha256="0" * 64)
    with pytest.raises(ConfigError, match="feature_schema_sha256 0000"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"extra": 1}, "unknown field"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"actions": ["short", "neutral", "long"]}, "actions"),
        ({"agents": []}, "agents"),
        ({"format": 2}, "format"),
    ],
)
def test_a_manifest_out_of_range_is_refused_with_its_key(folder, changes, part):
    change(folder, **changes)
    with pytest.raises(ConfigError, match=part):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../mlmi.onnx"},
        {"file": "/etc/passwd"},
        {"columns": [9, 8]},
        {"columns": [0, 0]},
        {"columns": [13]},
        {"context": 5},
        {"temperature": 0},
        {"name": "nwrqk"},
    ],
)
def test_an_agent_out_of_range_is_refused(folder, changes):
    agents = json.loads((folder / "manifest.json").read_text())["agents"]
    change(folder, agents=[agents[0] | changes, *agents[1:]])
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        load_bundle(folder)


def test_a_key_that_is_written_twice_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"threshold"', '"threshold": 0.99, "threshold"'))
    with pytest.raises(ConfigError, match="twice"):
        load_bundle(folder)


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b" " * (1 << 21)])
def test_a_manifest_that_is_no_manifest_is_refused(folder, raw):
    (folder / "manifest.json").write_bytes(raw)
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        load_bundle(folder)


def test_a_bundle_that_contradicts_itself_is_not_written(folder, tmp_path):
    bundle = load_bundle(folder)
    manifest = msgspec.structs.replace(bundle.manifest, feature_schema_sha256="0" * 64)
    with pytest.raises(ConfigError, match="feature_schema_sha256"):
        write_bundle(tmp_path / "odd", manifest, bundle.onnx)
