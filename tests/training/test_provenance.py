"""Promise: gm train leaves a bundle that says where it comes from, and that a registry takes."""

import msgspec
import numpy as np
import pytest

import gm
from gm.cli import app
from gm.models import load_bundle
from gm.models.drift import score_rows, stability_index
from gm.supervisor.bundles import engine_guard

from ..runs import CONFIG
from ..tapes import write_trends

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*"),
]
BARS, EPISODE = 1_200, 48
SETTINGS = "markets: 4\nrollout: 16\nsteps: 256\ncut_every: 2\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short run on a file of bars."""
    import torch

    from gm.training import command, out_of_sample

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("train")
    bars = write_trends(folder / "bars.csv", BARS)
    (folder / "training.yaml").write_text(SETTINGS)
    options = command.TrainOptions(
        files=(bars,), instrument="BTC-PERP", config=CONFIG, out=folder / "run",
        settings=folder / "training.yaml", episode_bars=EPISODE, test=0.2, as_json=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "EPISODES", 8)
        patch.setattr(command, "_CALIBRATION_STEPS", 8)
        patch.setattr(out_of_sample, "MARKETS", 2)
        patch.setattr(out_of_sample, "RANDOM_MARKETS", 4)
        command.run_train(options)
    return folder / "run"


@pytest.fixture(scope="module")
def training(run):
    found = load_bundle(run / "bundle").manifest.training
    assert found is not None
    return found


def test_the_manifest_says_where_the_bundle_comes_from(run, training):
    results = msgspec.json.decode((run / "results.json").read_bytes())
    (data,) = training.data
    assert (data.name, data.bars, data.instrument) == ("bars.csv", BARS, "BTC-PERP")
    bars = gm.read_bars(run.parent / "bars.csv", instrument="BTC-PERP")
    assert data.sha256 == bars.sha256
    assert training.parameters_sha256 == results["parameters_sha256"]
    assert training.seed == training.configuration["settings"]["seed"] == 1
    assert training.configuration["versions"]["torch"].startswith("2.13")
    (split,) = training.splits
    half_hour = 1_800_000_000_000
    gap = (split.purge_bars + split.embargo_bars) * half_hour
    assert split.validation.start_ts_ns - split.train.end_ts_ns == gap
    assert split.test.start_ts_ns - split.validation.end_ts_ns == gap
    assert split.test.end_ts_ns == int(bars.bars["start_ts_ns"][-1]) + half_hour
    assert training.metrics["test.return.mean"] == results["evaluations"]["test"]["mean"]
    assert training.created_ts_ns == 0


def test_guard_and_bins_are_of_the_training_slice_alone(run, training):
    bars = gm.read_bars(run.parent / "bars.csv", instrument="BTC-PERP").bars
    (split,) = training.splits
    own = bars[bars["start_ts_ns"] < split.train.end_ts_ns]
    matrices, ready = gm.strategic_matrices(own, "BTC-PERP")
    rows = matrices[ready, -1]
    assert training.training_slice.rows == len(rows)
    assert max(stability_index(training.training_slice, rows).values()) < 1e-6
    score = score_rows(training.guard, rows)
    outside = score.is_outside.sum(axis=1)
    assert (outside > training.guard.columns_max).mean() < 0.01
    found = engine_guard(load_bundle(run / "bundle"))
    assert found.rows_max == training.guard.rows_max
    assert all(low < high for low, high in found.ranges.values())


def test_calibration_lowers_the_log_loss_of_every_agent(training):
    before, after = training.calibration.log_loss_before, training.calibration.log_loss_after
    assert set(before) == {"mlmi", "nwrqk", "regime"}
    for agent, loss in after.items():
        assert loss <= before[agent] + 1e-9


def test_the_report_lies_in_the_run_and_in_the_bundle_and_on_the_page(run, training):
    raw = (run / "out_of_sample.json").read_bytes()
    assert (run / "bundle" / "out_of_sample.json").read_bytes() == raw
    report = msgspec.json.decode(raw)
    names = {player["name"] for player in report["players"]}
    assert {"mappo", "baseline", "buy and hold"} <= names
    net = report["players"][0]["result"]["net"]
    assert training.metrics["out_of_sample.bundle.net"] == net
    page = (run / "report.html").read_text()
    assert page.index("Test slice, walked once") < page.index("Fresh episodes")
    assert report["verdict"].split(";")[0] in page
    assert np.isfinite(net)


def test_the_registry_takes_it_and_shows_it(run, tmp_path, capsys):
    where = ["--registry", str(tmp_path / "models"), "--config", str(CONFIG)]
    who = ["--person", "ada", "--reason", "test"]

    def models(*words):
        assert app(["models", *words, *where], result_action="return_value") == 0
        return capsys.readouterr().out

    assert "candidate" in models("add", str(run / "bundle"), *who)
    assert "sound" in models("verify", "mappo")
    said = models("show", "mappo")
    for part in ("data bars.csv", "validation 20", "seed 1", "guard of 13", "out_of_sample.json"):
        assert part in said
    assert "shadow" in models("promote", "mappo", "--to", "shadow", *who)


def test_export_gives_the_same_bundle_under_another_name(run, tmp_path):
    from gm.training.command import run_export

    assert run_export(run, tmp_path / "same") == load_bundle(run / "bundle").sha256
    run_export(run, tmp_path / "one", name="other", label="a label")
    bundle = load_bundle(tmp_path / "one")
    assert (bundle.manifest.name, bundle.manifest.label) == ("other", "a label")
    assert bundle.manifest.training == load_bundle(run / "bundle").manifest.training
    report = msgspec.json.decode((tmp_path / "one" / "out_of_sample.json").read_bytes())
    assert report["bundle"] == "other"


def test_a_tape_too_short_for_its_episodes_names_the_options(run, tmp_path):
    from gm.errors import BadArgument
    from gm.training import command

    options = command.TrainOptions(
        files=(run.parent / "bars.csv",), instrument="BTC-PERP", config=CONFIG,
        out=tmp_path / "run", episode_bars=400, as_json=True,
    )  # fmt: skip
    with pytest.raises(BadArgument, match="must be more than an episode of 400: --episode-bars"):
        command.run_train(options)
