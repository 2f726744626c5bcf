"""Promise: policy.bundle names one bundle, whatever it is, or is refused by name and reason."""

from pathlib import Path

import pytest

from gm.config.settings import load_settings
from gm.errors import ConfigError
from gm.models import BASELINE_PATH, SHIPPED, load_bundle
from gm.models.registry import Act, add_bundle, promote
from gm.models.verification import Terms
from gm.supervisor.bundles import engine_guard, find_bundle, kernel_fault, model_block

from ..models.make import edit, guard, guarded, named
from ..tapes import write_config

PROFILE = "strategic_only"
ACT = Act(person="ada", reason="test", at_ts_ns=1)


def find(folder: Path, bundle: str, begun_with: str | None = None, registry: str = "models"):
    sections = {"policy": {"bundle": bundle}, "models": {"registry": registry}}
    config = write_config(folder / "gm.yaml", **sections)
    return find_bundle(config, load_settings(config), begun_with)


def registered(folder: Path, name: str, *targets: str, threshold: float = 0.55) -> str:
    source = named(folder / f"source_{name}_{threshold}", name, threshold)
    change = add_bundle(folder / "models", source.path, PROFILE, ACT, Terms())
    for target in targets:
        promote(folder / "models", change.bundle, target, ACT, Terms())
    return source.sha256


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_bundle_is_had_by_name(tmp_path, name) -> None:
    assert find(tmp_path, name).path == SHIPPED[name]
    assert find(tmp_path, name, registry="").path == SHIPPED[name]


def test_a_folder_beside_the_settings_goes_before_the_registry(tmp_path) -> None:
    registered(tmp_path, "one", "shadow", "live")
    beside = named(tmp_path / "one", "one", threshold=0.6)
    assert find(tmp_path, "one").sha256 == beside.sha256


def test_of_several_versions_the_live_one_is_meant(tmp_path) -> None:
    old = registered(tmp_path, "one", "shadow", "live")
    new = registered(tmp_path, "one", "shadow", "live", threshold=0.6)
    assert find(tmp_path, "one").sha256 == new
    assert find(tmp_path, new[:8]).sha256 == new
    with pytest.raises(ConfigError, match=f"one-{old[:12]} is retired for strategic_only, must be"):
        find(tmp_path, old[:8])
    # A run that began with it goes on with it.
    assert find(tmp_path, "one", begun_with=old).sha256 == old


def test_what_is_nowhere_is_named_with_what_there_is(tmp_path) -> None:
    registered(tmp_path, "one")
    with pytest.raises(ConfigError, match=r"'two' is not registered; registered: one-") as caught:
        find(tmp_path, "two")
    assert caught.value.exit_code == 3
    with pytest.raises(ConfigError, match="does not know cccccccc"):
        find(tmp_path, "two", begun_with="c" * 64)
    with pytest.raises(ConfigError, match=r"two/manifest\.json: No such file"):
        find(tmp_path, "two", registry="")


def test_a_registered_bundle_with_a_fault_is_refused(tmp_path) -> None:
    sha256 = registered(tmp_path, "one", "shadow", "live")
    (tmp_path / "models" / f"one-{sha256[:12]}" / "extra").write_text("x")
    with pytest.raises(ConfigError, match=r"policy\.bundle: .*extra: not in the manifest"):
        find(tmp_path, "one")


def test_a_bundle_without_training_has_no_guard() -> None:
    assert engine_guard(load_bundle(BASELINE_PATH)).ranges == {}


def test_ranges_are_those_of_the_columns_that_agents_look_at(tmp_path) -> None:
    bundle = guarded(tmp_path, "one", guard(low=-0.25, high=0.5))
    found = engine_guard(bundle)
    assert set(found.ranges) == {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12}
    assert set(found.ranges.values()) == {(-0.25, 0.5)}
    assert model_block(bundle)


@pytest.mark.parametrize(
    ("name", "says"),
    [("no_such_column", "no such columns: no_such_column"), (None, "without a range: mlmi_value")],
)
def test_a_guard_of_other_columns_is_refused(tmp_path, name, says) -> None:
    folder = guarded(tmp_path, "one", guard()).path

    def change(tree) -> None:
        fence = tree["training"]["guard"]
        if name is not None:
            fence["names"][0] = name
            return
        for key in ("names", "low", "high", "mean", "deviation", "precision"):
            fence[key].pop(0)
        fence["precision"] = [row[1:] for row in fence["precision"]]

    edit(folder, change)
    with pytest.raises(ConfigError, match=says):
        engine_guard(load_bundle(folder))


def test_other_kernels_than_those_of_training_are_a_fault(tmp_path) -> None:
    bundle = named(tmp_path, "one", kernels=("a" * 64,))
    assert kernel_fault(bundle, ("a" * 64, "b" * 64)) is None
    assert "kernels.path gives none" in (kernel_fault(bundle, ()) or "")
    assert kernel_fault(load_bundle(BASELINE_PATH), ("a" * 64,)) is None
