"""Promise: what a manifest says is checked key by key, and every fault of it is named."""

import json

import pytest

from gm.errors import ConfigError
from gm.models import BASELINE_PATH, agent_rows, golden_check, load_bundle, tactical_rows
from gm.models.manifest import Manifest, parse_manifest, read_manifest

from .make import HOUR_NS, WEIGHTS, edit, six_networks


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    bundle = six_networks(tmp_path_factory.mktemp("six") / "bundle")
    return (bundle.path / "manifest.json").read_bytes()


def faults_after(raw, change):
    tree = json.loads(raw)
    change(tree)
    return read_manifest(json.dumps(tree).encode())[1]


def test_six_networks_read_back_and_answer_as_onnxruntime(tmp_path):
    bundle = six_networks(tmp_path / "six")
    names = [agent.name for agent in bundle.manifest.networks]
    assert names == ["mlmi", "nwrqk", "regime", "fvg", "momentum", "entry"]
    assert [agent.inputs for agent in bundle.manifest.networks] == [198, 198, 150, 420, 420, 420]
    assert len(bundle.onnx) == 6
    assert golden_check(bundle)


def test_the_engine_is_given_the_strategic_agents_alone(tmp_path):
    rows, onnx = agent_rows(six_networks(tmp_path / "six"))
    assert rows["name"].tolist() == [b"mlmi", b"nwrqk", b"regime"]
    assert rows["onnx_size"].tolist() == [len(file) for file in onnx]


def test_a_tail_is_float32_unless_it_says_otherwise(tmp_path, raw):
    assert parse_manifest(raw).tail == "f32"
    assert b'"tail"' not in raw  # bundles of before keep their hash
    assert faults_after(raw, lambda tree: tree.update(tail="f16"))[0].startswith("tail: ")
    rows, _ = agent_rows(six_networks(tmp_path / "six", tail="bf16"))
    assert rows["tail"].tolist() == [1, 1, 1]


def test_the_tactical_agents_are_rows_of_their_own_with_their_weights(tmp_path):
    settings, rows, onnx = tactical_rows(six_networks(tmp_path / "six"))
    assert settings["threshold"].tolist() == [0.65]
    assert settings["weights"][0].tolist() == [list(row) for row in WEIGHTS]
    assert rows["name"].tolist() == [b"fvg", b"momentum", b"entry"]
    assert rows["column_mask"].tolist() == [127] * 3
    assert rows["context_count"].tolist() == [0] * 3
    assert rows["onnx_size"].tolist() == [len(file) for file in onnx]
    assert tactical_rows(load_bundle(BASELINE_PATH)) is None


def test_the_shipped_baseline_has_no_training():
    manifest = load_bundle(BASELINE_PATH).manifest
    assert manifest.training is None
    assert manifest.tactical is None
    assert len(manifest.networks) == 3


def test_several_faults_are_all_named(raw):
    def change(tree):
        del tree["label"]
        tree["extra"] = 1
        tree["threshold"] = 2
        del tree["agents"][1]["columns"]
        tree["tactical"]["agents"][2]["temperature"] = 0
        del tree["training"]["splits"][0]["purge_bars"]
        tree["training"]["data"][0]["sha256"] = "x"

    found = faults_after(raw, change)
    assert [fault.split(": ")[0] for fault in found] == [
        "extra",
        "label",
        "threshold",
        "agents[1].columns",
        "tactical.agents[2].temperature",
        "training.data[0].sha256",
        "training.splits[0].purge_bars",
    ]


def required_keys(tree, at=()):
    """Ways to all keys of a tree, those in free parts excepted."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield (*at, key)
            if key not in ("configuration", "precision", "metrics", "logits", "documents"):
                yield from required_keys(value, (*at, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from required_keys(value, (*at, i))


def test_each_key_is_missed_by_name_or_may_be_absent(raw):
    whole = json.loads(raw)
    absent = set()
    for way in required_keys(whole):
        tree = json.loads(raw)
        part = tree
        for key in way[:-1]:
            part = part[key]
        del part[way[-1]]
        found = read_manifest(json.dumps(tree).encode())[1]
        if not found:
            absent.add(".".join(map(str, way)))
        else:
            # Without the section, it is the golden logits that name its agents.
            word = "fvg" if way == ("tactical",) else way[-1]
            assert any(word in fault for fault in found), (way, found)
    assert absent == {
        "documents",
        "training",
        "training.normaliser",
        "training.calibration",
        "training.guard",
        "training.parameters_sha256",
        "training.training_slice",
    }


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda t: t["tactical"]["agents"].reverse(), "in this order"),
        (lambda t: t["tactical"]["agents"].pop(), "tactical.agents"),
        (lambda t: t["tactical"]["agents"][0].update(columns=[0, 7]), "the last is 6"),
        (lambda t: t["tactical"]["agents"][0].update(columns=[1, 0]), "must ascend"),
        (lambda t: t["tactical"]["agents"][0].update(name="mlmi"), "tactical.agents[0].name"),
        (
            lambda t: t["tactical"]["weights"][2].reverse() or t["tactical"]["weights"].pop(),
            "weights",
        ),
        (lambda t: t["tactical"]["weights"].__setitem__(1, [0.5, 0.3, 0.1]), "weights[1] must add"),
        (lambda t: t.pop("tactical"), "golden logits"),
        (lambda t: t["golden"]["logits"].pop("entry"), "golden logits"),
        (lambda t: t["agents"][0].update(columns=[1, 0, 8, 9]), "must ascend"),
        (lambda t: t["agents"][0].update(file="nwrqk.onnx"), "share a file"),
        (lambda t: t["documents"].update({"manifest.json": "a" * 64}), "no document"),
        (lambda t: t["documents"].update({"more.onnx": "a" * 64}), "no document"),
        (lambda t: t["documents"].update({"../x.html": "a" * 64}), "documents"),
        (lambda t: t["training"]["normaliser"]["mean"].pop(), "normaliser"),
        (lambda t: t["training"]["normaliser"]["scale"].__setitem__(0, 0), "scale"),
        (lambda t: t["training"]["calibration"]["log_loss_after"].pop("fvg"), "log_loss_after"),
        (lambda t: t["training"]["splits"][0]["train"].update(end_ts_ns=0), "splits[0].train"),
        (
            lambda t: t["training"]["splits"][0].update(embargo_bars=9),
            "between train and validation",
        ),
        (lambda t: t["training"]["data"].append(t["training"]["data"][0]), "splits: 1 for 2 files"),
        (lambda t: t["training"]["guard"]["low"].pop(), "guard.low: 12 values for 13 names"),
        (lambda t: t["training"]["guard"]["low"].__setitem__(0, 3.0), "guard.high: 2.0 of"),
        (lambda t: t["training"]["guard"].update(rows_max=0), "guard.rows_max"),
        (
            lambda t: t["training"]["training_slice"]["columns"][0].update(shares=[0.5, 0.4]),
            "add up to 1",
        ),
        (lambda t: t["training"]["training_slice"].update(rows=9), "training_slice.rows"),
        (
            lambda t: t["training"]["splits"][0]["validation"].update(end_ts_ns=170 * HOUR_NS),
            "between validation and test",
        ),
    ],
)
def test_a_contradiction_is_named(raw, change, part):
    found = faults_after(raw, change)
    assert any(part in fault for fault in found), found


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(raw, text):
    tree = raw.decode().replace('"sharpe": -0.25', f'"sharpe": {text}')
    assert text in tree
    with pytest.raises(ConfigError):
        parse_manifest(tree.encode())


def test_a_sound_manifest_has_no_fault(raw):
    manifest, found = read_manifest(raw)
    assert isinstance(manifest, Manifest)
    assert found == []


def test_a_document_is_hashed_like_a_network(tmp_path):
    folder = six_networks(tmp_path / "six").path
    (folder / "report.html").write_bytes(b"better")
    with pytest.raises(ConfigError, match=r"report\.html: SHA-256"):
        load_bundle(folder)
    edit(folder, lambda tree: tree["documents"].clear())
    load_bundle(folder)
