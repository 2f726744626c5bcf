"""Promise: gm train leaves a whole run folder, resumes to the same bits, sweeps with one code."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from gm.errors import ConfigError, UsageError
from gm.models import golden_check, load_bundle
from tests.training.fake_market import FakeMarket, make_markets

pytestmark = [
    pytest.mark.train,
    pytest.mark.usefixtures("one_thread"),
    # TensorBoard's own protobuf and NumPy habits.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*"),
]

SETTINGS = "markets: 4\nrollout: 16\ncut_every: 2\nactor_rate: 0.001\n"


@pytest.fixture
def options(tmp_path, monkeypatch):
    from gm.training import command

    monkeypatch.setattr(command, "EPISODES", 8)
    monkeypatch.setattr(command, "_CALIBRATION_STEPS", 8)
    settings = tmp_path / "training.yaml"
    settings.write_text(SETTINGS)

    def make(**changes):
        given = {"files": (), "instrument": "BTC-PERP", "config": Path("none.yaml"),
                 "out": tmp_path / "run", "settings": settings, "steps": 4 * 16 * 4,
                 "as_json": True}  # fmt: skip
        return command.TrainOptions(**(given | changes))

    return make


def train(options):
    from gm.training.command import run_train

    return run_train(options, make_markets)


def test_a_run_folder_holds_all_of_a_run(options, tmp_path):
    (trained,) = train(options())
    run = tmp_path / "run"
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["actor_rate"] == 0.001
    assert record["settings"]["steps"] == 256
    assert record["data"][0]["sha256"] == "0" * 64
    assert record["versions"]["torch"].startswith("2.13")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [64, 128, 192, 256]
    assert all(np.isfinite(row["value_loss"]) for row in rows)
    assert list((run / "tensorboard").glob("events*"))
    bundle = load_bundle(run / "bundle")
    golden_check(bundle)
    results = json.loads((run / "results.json").read_text())
    assert [agent.temperature for agent in bundle.manifest.agents] == (
        results["calibration"]["temperatures"]
    )
    assert set(results["evaluations"]) == {
        "validation", "test", "validation, random actions", "test, random actions"
    }  # fmt: skip
    assert results["parameters_sha256"] == trained.parameters_sha256
    page = (run / "report.html").read_text()
    assert page.index("no evidence of profit") < page.index("<h1>")
    assert page.count("<svg") >= 5
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_stopped_run_resumes_to_the_bits_of_one_that_was_not(options, tmp_path, monkeypatch):
    from gm.training import command

    (whole,) = train(options(out=tmp_path / "whole"))

    class Stopped(Exception):
        pass

    def stops(trainer, shows_progress):
        for number, metrics in updates(trainer, shows_progress):
            if number == 3:  # after the checkpoint of two, and one update that is lost
                raise Stopped
            yield number, metrics

    updates = command._updates
    monkeypatch.setattr(command, "_updates", stops)
    with pytest.raises(Stopped):
        train(options())
    monkeypatch.setattr(command, "_updates", updates)
    with pytest.raises(ConfigError, match="holds a run already; --resume goes on"):
        train(options())
    with pytest.raises(ConfigError, match="settings was"):
        train(options(resume=True, steps=64 * 6))
    (resumed,) = train(options(resume=True))
    assert resumed.parameters_sha256 == whole.parameters_sha256
    for name in ("metrics.jsonl", "results.json", "checkpoint.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert load_bundle(tmp_path / "run/bundle").sha256 == (
        load_bundle(tmp_path / "whole/bundle").sha256
    )


def test_export_writes_the_bundle_of_a_finished_run_again(options, tmp_path):
    from gm.training.command import run_export

    train(options())
    sha256 = run_export(tmp_path / "run", tmp_path / "out")
    assert sha256 == load_bundle(tmp_path / "run/bundle").sha256
    assert load_bundle(tmp_path / "out").manifest.label == "mappo seed 1"
    (tmp_path / "run/results.json").unlink()
    with pytest.raises(ConfigError, match="the run is not over"):
        run_export(tmp_path / "run", tmp_path / "out")
    with pytest.raises(ConfigError, match="not the folder of a training run"):
        run_export(tmp_path, tmp_path / "out")


def test_random_is_evaluated_and_exports_nothing(options, tmp_path):
    from gm.training.command import run_export

    options().settings.write_text(SETTINGS + "algorithm: random\n")
    train(options())
    assert not (tmp_path / "run/bundle").exists()
    with pytest.raises(ConfigError, match="algorithm random learned nothing"):
        run_export(tmp_path / "run", tmp_path / "out")


def test_a_sweep_runs_each_setting_with_each_seed_in_processes(options, tmp_path):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("algorithm: [random]\nrollout: [8, 16]\n")
    found = train(options(sweep=sweep, seeds=(1, 2), processes=2))
    assert [(Path(each.out).name, each.seed) for each in found] == [
        ("algorithm=random-rollout=8-seed=1", 1),
        ("algorithm=random-rollout=8-seed=2", 2),
        ("algorithm=random-rollout=16-seed=1", 1),
        ("algorithm=random-rollout=16-seed=2", 2),
    ]
    assert all((Path(each.out) / "report.html").exists() for each in found)


def test_a_cluster_gets_the_same_function(options, tmp_path, monkeypatch):
    calls = []

    def remote(function):
        calls.append(function.__name__)
        return types.SimpleNamespace(remote=lambda *arguments: (function, arguments))

    ray = types.SimpleNamespace(
        init=lambda address: calls.append(address),
        remote=remote,
        get=lambda tasks: [function(*arguments) for function, arguments in tasks],
        shutdown=lambda: calls.append("shutdown"),
    )
    options().settings.write_text(SETTINGS + "algorithm: random\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--cluster ray://head: Ray is not installed: pip"):
        train(options(cluster="ray://head"))
    monkeypatch.setitem(sys.modules, "ray", ray)
    found = train(options(cluster="ray://head", seeds=(1, 2)))
    assert calls == ["ray://head", "train_one", "shutdown"]
    assert [each.seed for each in found] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "text", "says"),
    [
        ({"seeds": (1, 1)}, SETTINGS, "names a seed twice"),
        ({"seeds": ()}, SETTINGS, "must name at least 1 seed"),
        ({"processes": 0}, SETTINGS, "--processes be at least 1"),
        ({"steps": 63}, SETTINGS, "--steps 63 is less than one update: markets x rollout = 64"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options, changes, text, says):
    options().settings.write_text(text)
    with pytest.raises(UsageError, match=says):
        train(options(**changes))


def test_settings_that_are_unknown_or_out_of_range_are_named(options, tmp_path):
    for text, says in (("gama: 0.9\n", "gama"), ("clip: 7.5\n", "clip"), ("epochs: 0\n", "epochs")):
        options().settings.write_text(text)
        with pytest.raises(ConfigError, match=says):
            train(options())
    options().settings.write_text(SETTINGS)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("clip: 0.1\n")
    with pytest.raises(UsageError, match="clip: must be a list"):
        train(options(sweep=sweep))


def test_every_market_plays_the_same_number_of_fresh_episodes():
    from gm.errors import BadArgument
    from gm.training.evaluation import play_episodes, summarise
    from gm.training.mappo import Trainer
    from gm.training.settings import MappoSettings

    trainer = Trainer(MappoSettings(markets=4), FakeMarket(4))
    returns = play_episodes(trainer, FakeMarket(3, episode=5), 1, 7)
    assert returns.shape == (9,)
    np.testing.assert_array_equal(returns, play_episodes(trainer, FakeMarket(3, episode=5), 1, 7))
    with pytest.raises(BadArgument, match="episodes must be at least 1: 0"):
        play_episodes(trainer, FakeMarket(3), 1, 0)
    found = summarise(np.random.default_rng(1).normal(2, 1, 400))
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
