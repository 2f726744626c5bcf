"""Promise: `gm models` does what it says, in tables and in JSON, with the right exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gm.cli import app
from gm.errors import ConfigError, UsageError
from gm.models import registry

from .make import named, six_networks
from .test_signature import ADA, key_file, people_file, public

WHO = ["--person", "ada", "--reason", "test"]
CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = CONFIGS / "development.yaml"


@pytest.fixture
def gm(tmp_path, capsys):
    """Run `gm models ...` on a registry of its own; give exit code and output."""

    def call(command, *arguments, config=SHIPPED):
        where = ["--registry", str(tmp_path / "models"), "--config", str(config)]
        code = app(["models", command, *map(str, arguments), *where], result_action="return_value")
        return code, capsys.readouterr().out

    return call


@pytest.fixture
def strict(tmp_path):
    """Settings that want a signature of ada."""
    path = tmp_path / "gm.yaml"
    people_file(tmp_path / "people.yaml", ada=("risk_admin", public(ADA)))
    (tmp_path / "instruments.yaml").write_bytes((CONFIGS / "instruments.yaml").read_bytes())
    models = "models: {signature: required, people_file: people.yaml}"
    path.write_text(f"{SHIPPED.read_text()}\n{models}\n")
    return path


@pytest.fixture
def one(tmp_path):
    return named(tmp_path / "source_one", "one").path


def test_a_copy_runs_with_a_bfloat16_tail(gm, tmp_path):
    source, copy = six_networks(tmp_path / "six").path, tmp_path / "narrow"
    code, said = gm("tail", source, copy, "--to", "bf16", "--json")
    assert code == 0
    assert json.loads(said)["tail"] == "bf16"
    assert "tail bf16" in gm("show", copy)[1]
    assert gm("verify", copy)[0] == 0
    assert (copy / "report.html").read_bytes() == (source / "report.html").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        gm("tail", source, copy, "--to", "bf16")
    back = tmp_path / "exact"
    gm("tail", copy, back, "--to", "f32")
    assert (back / "manifest.json").read_bytes() == (source / "manifest.json").read_bytes()


def test_the_whole_way_of_two_bundles(gm, one, tmp_path):
    two = named(tmp_path / "source_two", "two").path
    for name, source in (("one", one), ("two", two)):
        assert gm("add", source, *WHO)[0] == 0
        assert "candidate -> shadow" in gm("promote", name, "--to", "shadow", *WHO)[1]
        code, said = gm("promote", name, "--to", "live", *WHO)
        assert code == 0
        assert "shadow -> live (strategic_only)" in said
    assert "live -> retired" in said
    code, said = gm("rollback", *WHO, "--json")
    assert code == 0
    assert json.loads(said)["bundle"].startswith("one-")
    found = json.loads(gm("list", "--json")[1])
    rows = {row["bundle"][:3]: (row["state"], row["person"]) for row in found["bundles"]}
    assert rows == {"one": ("live", "ada"), "two": ("retired", "ada")}
    shown = json.loads(gm("show", "one", "--json")[1])
    assert [event["cause"] for event in shown["history"]][-2:] == ["replaced", "restored"]
    assert shown["manifest"]["name"] == "one"
    said = gm("list")[1]
    assert "| live " in said
    assert "retired" in said
    assert "(restored) by ada: test" in gm("show", "one")[1]


def test_an_empty_registry_says_how_to_fill_it(gm):
    code, said = gm("list")
    assert code == 0
    assert "gm models add FOLDER" in said


def test_a_stranger_in_the_registry_is_listed(gm, tmp_path):
    (tmp_path / "models" / "stranger").mkdir(parents=True)
    assert "stranger: in the folder, not in the registry" in gm("list")[1]


def test_the_shipped_baseline_is_shown_and_sound(gm):
    assert "mlmi.onnx" in gm("show", "baseline")[1]
    code, said = gm("verify", "baseline", "--json")
    assert code == 0
    assert json.loads(said)["faults"] == []


def test_six_networks_and_their_training_are_shown(gm, tmp_path):
    folder = six_networks(tmp_path / "six").path
    said = gm("show", folder)[1]
    for part in ("entry.onnx", "sharpe -0.25", "train 1970-01-01"):
        assert part in said


def test_every_fault_is_printed_and_the_exit_code_is_1(gm, one):
    (one / "extra").write_text("x")
    (one / "regime.onnx").unlink()
    code, said = gm("verify", one)
    assert code == 1
    assert "extra: not in the manifest" in said
    assert "regime.onnx: No such file" in said
    assert "2 faults, signature absent" in said


def test_a_registered_folder_is_held_against_the_registered_hash(gm, one, tmp_path):
    bundle = json.loads(gm("add", one, *WHO, "--json")[1])["bundle"]
    folder = tmp_path / "models" / bundle
    named(folder, "one", threshold=0.1)
    for way in ("one", folder):
        code, said = gm("verify", way)
        assert code == 1
        assert "the registry has" in said


def test_a_required_signature_stands_between_candidate_and_shadow(gm, one, strict, tmp_path):
    assert gm("add", one, *WHO, config=strict)[0] == 0
    code, said = gm("verify", "one", config=strict)
    assert code == 1
    assert "models.signature is required" in said
    with pytest.raises(ConfigError, match=r"models\.signature is required"):
        gm("promote", "one", "--to", "shadow", *WHO, config=strict)
    key = key_file(tmp_path / "ada.pem", ADA)
    assert public(ADA) in gm("sign", "one", "--person", "ada", "--key", key, config=strict)[1]
    assert gm("promote", "one", "--to", "shadow", *WHO, config=strict)[0] == 0
    code, said = gm("verify", "one", config=strict)
    assert code == 0
    assert "sound, signature of ada good" in said
    assert "signature of ada unchecked" in gm("verify", "one")[1]


def test_somebody_who_is_not_in_people_yaml_may_not_promote(gm, one, strict):
    gm("add", one, *WHO, config=strict)
    with pytest.raises(UsageError, match=r"--person eve is not in people\.yaml: ada"):
        gm("promote", "one", "--to", "shadow", "--person", "eve", "--reason", "x", config=strict)


def test_a_required_signature_without_people_is_refused_at_start(gm, strict):
    strict.write_text(strict.read_text().replace(", people_file: people.yaml", ""))
    with pytest.raises(ConfigError, match=r"models\.people_file"):
        gm("verify", "baseline", config=strict)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "nothing"], 2, "'nothing' is not registered"),
        (["promote", "nothing", "--to", "live", *WHO], 2, "not registered"),
        (["promote", "one", "--to", "candidate", *WHO], 2, "candidate"),
        (["promote", "one", "--to", "live"], 2, "--person"),
        (["rollback", *WHO], 2, "has no live bundle"),
        (["add", "/nowhere", *WHO], 3, "/nowhere"),
        (["verify", "baseline", "--config", "nothing.yaml"], 3, "nothing.yaml"),
    ],
)
def test_an_end_has_its_exit_code_and_its_reason(tmp_path, arguments, code, says):
    found = subprocess.run(
        [sys.executable, "-m", "gm", "models", *arguments, "--registry", str(tmp_path / "models")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (found.returncode, says in found.stderr + found.stdout) == (code, True), found


@pytest.mark.parametrize(
    "command",
    [[], *([c] for c in ("list", "show", "verify", "add", "promote", "rollback", "sign"))],
)
def test_help_has_an_example(command, capsys):
    app(["models", *command, "--help"], result_action="return_value")
    assert f"Example: gm models {' '.join(command)}".rstrip() in capsys.readouterr().out


def test_without_registry_option_that_of_the_settings_is_meant(one, tmp_path, capsys):
    (tmp_path / "instruments.yaml").write_bytes((CONFIGS / "instruments.yaml").read_bytes())
    config = tmp_path / "gm.yaml"
    config.write_text(f"{SHIPPED.read_text()}\nmodels: {{registry: mine}}\n")

    def call(*words):
        assert app(["models", *words, "--config", str(config)], result_action="return_value") == 0
        return capsys.readouterr().out

    call("add", str(one), *WHO)
    assert (tmp_path / "mine" / "registry.json").exists()
    assert "one-" in call("list")
    sha256 = json.loads(call("show", "one", "--json"))["sha256"]
    assert registry.add_note(tmp_path / "mine", sha256, "refused by an engine: too late")
    assert not registry.add_note(tmp_path / "mine", sha256, "refused by an engine: too late")
    assert "note by engine: refused by an engine: too late" in call("show", "one")


def test_the_shipped_trained_bundle_is_sound_and_says_what_it_is(gm):
    code, said = gm("verify", "mappo-btc")
    assert code == 0
    assert "sound" in said
    said = gm("show", "mappo-btc")[1]
    for part in ("small sample", "btc_perp_1m_202201.csv", "out_of_sample.bundle.net", "seed 1"):
        assert part in said
