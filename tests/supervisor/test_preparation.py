"""Promise: a run directory keeps the settings that its journal was written with, byte for byte."""

import stat
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gm import layout
from gm.config import load_settings
from gm.config.run_dir import MANIFEST_FILE, SETTINGS_FILE, Prepared, read_run, write_whole
from gm.errors import ConfigError, GmError
from gm.limits import SignOptions, sign_limits
from gm.models import BASELINE_PATH
from gm.supervisor import RunOptions, effective_settings, preparation
from gm.supervisor.preparation import prepare_run

from ..kill.people import write_key, write_people
from ..models.make import six_networks

CONFIGS = Path("configs")
BTC = ("BTC-PERP",)


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    """A copy of the shipped files, to be changed by the tests; and no cache of another run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("development.yaml", "instruments.yaml"):
        (tmp_path / name).write_text((CONFIGS / name).read_text())
    return tmp_path / "development.yaml"


def prepare(config: Path, symbols: tuple[str, ...] = BTC, run: str = "run") -> Prepared:
    return prepare_run(config.parent / run, config, load_settings(config), symbols)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_first_start_writes_the_block_and_what_it_was_made_from(config) -> None:
    made = prepare(config, ("BTC-PERP", "NQ"))
    assert (made.run_dir / SETTINGS_FILE).read_bytes() == made.block
    manifest = made.manifest
    assert manifest.instruments == ("BTC-PERP", "NQ")
    assert manifest.tick_sizes == ("1", "0.25")
    assert manifest.multipliers == ("0.0001", "20")
    assert manifest.bundle_label == "baseline"
    assert read_run(made.run_dir) == made


def test_a_later_start_uses_the_block_that_lies_there(config, monkeypatch) -> None:
    made = prepare(config)

    def build_again(*_arguments: object) -> bytes:
        raise AssertionError("the block was built again")

    monkeypatch.setattr(preparation, "build_block", build_again)
    assert prepare(config) == made


def test_equal_settings_give_equal_bytes(config) -> None:
    assert prepare(config, run="a").block == prepare(config, run="b").block


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_hold_bars: 46", "max_hold_bars: 45"),
        ("order_valid_for_ms: 5000", "order_valid_for_ms: 5001"),
        ("cancels_burst_max: 1000", "cancels_burst_max: 1001"),
        ("order_notional_max: 9000", "order_notional_max: 8999"),
    ],
)
def test_settings_that_decide_and_have_changed_are_refused(config, old, new) -> None:
    prepare(config)
    change(config, old, new)
    with pytest.raises(ConfigError, match="--run-dir") as caught:
        prepare(config)
    assert caught.value.exit_code == 3
    assert str(config.parent / "run") in str(caught.value)


def test_other_instruments_are_refused(config) -> None:
    prepare(config)
    with pytest.raises(ConfigError, match="--run-dir"):
        prepare(config, ("NQ",))
    with pytest.raises(ConfigError, match="--run-dir"):
        prepare(config, ("BTC-PERP", "NQ"))


def test_a_changed_row_of_the_traded_instrument_is_refused(config) -> None:
    prepare(config)
    change(config.parent / "instruments.yaml", "volume_lot: 0.0001", "volume_lot: 0.001")
    with pytest.raises(ConfigError, match="--run-dir"):
        prepare(config)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("development.yaml", "driver: auto", "driver: threaded"),
        ("development.yaml", "poll_ms: 50", "poll_ms: 20"),
        ("development.yaml", "port: 0", "port: 9464"),
        ("development.yaml", "# ", "# another remark, "),
        # Tomorrow's instrument must not keep today's engine from starting again.
        ("instruments.yaml", "# ", "# another remark, "),
        ("instruments.yaml", "multiplier_per_order_lot: 50\n", "multiplier_per_order_lot: 5\n"),
    ],
)
def test_what_does_not_decide_may_change(config, file, old, new) -> None:
    made = prepare(config)
    change(config.parent / file, old, new)
    assert prepare(config) == made


def test_a_block_that_was_tampered_with_is_refused(config) -> None:
    path = prepare(config).run_dir / SETTINGS_FILE
    block = bytearray(path.read_bytes())
    block[200] ^= 1
    path.write_bytes(block)
    with pytest.raises(ConfigError, match=r"settings\.bin: SHA-256"):
        prepare(config)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"config_sha256": 1}'])
def test_a_manifest_that_cannot_be_read_is_refused(config, content) -> None:
    (prepare(config).run_dir / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="--run-dir"):
        prepare(config)


def test_a_start_that_died_between_the_two_files_is_begun_again(config) -> None:
    made = prepare(config)
    (made.run_dir / MANIFEST_FILE).unlink()
    assert prepare(config) == made


def test_a_new_run_directory_is_private(config) -> None:
    run_dir = prepare(config, run="deep/er/run").run_dir
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700


def test_a_run_directory_that_was_there_is_taken_as_it_is(config) -> None:
    run_dir = config.parent / "run"
    run_dir.mkdir(mode=0o750)
    run_dir.chmod(0o750)
    prepare(config)
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o750


def test_a_run_directory_that_cannot_be_had_is_a_configuration_error(config) -> None:
    (config.parent / "run").write_text("a file")
    with pytest.raises(ConfigError, match=r"--run-dir .*: File exists"):
        prepare(config)
    with pytest.raises(ConfigError, match=r"--run-dir .*: Not a directory"):
        prepare(config, run="run/below")


@pytest.mark.parametrize(
    ("symbols", "text"),
    [
        ((), "at least one"),
        (("NQ", "NQ"), "each symbol once"),
        (("XYZ",), r"'XYZ' is not in .*instruments\.yaml: NQ"),
        (("../etc",), "is not in"),
    ],
)
def test_instruments_that_are_none_are_refused_before_anything_is_written(
    config, symbols, text
) -> None:
    with pytest.raises(ConfigError, match=text):
        prepare(config, symbols)
    assert not (config.parent / "run").exists()


def test_an_instrument_without_limits_is_refused_with_file_and_key(config) -> None:
    table = config.parent / "instruments.yaml"
    last = table.read_text().partition("SPY:\n")[2]
    table.write_text(f"{table.read_text()}SPX:\n{last}")
    with pytest.raises(ConfigError, match=r"development\.yaml: trading\.SPX: "):
        prepare(config, ("SPX",))


def test_a_missing_instrument_table_is_a_configuration_error(config) -> None:
    (config.parent / "instruments.yaml").unlink()
    with pytest.raises(ConfigError, match=r"instruments\.yaml: no such file"):
        prepare(config)


def test_a_missing_bundle_is_refused_before_anything_is_written(config) -> None:
    change(config, "bundle: baseline", "bundle: no_such_bundle")
    with pytest.raises(GmError, match="no_such_bundle") as caught:
        prepare(config)
    assert caught.value.exit_code == 3
    assert not (config.parent / "run").exists()


def test_a_bundle_is_looked_for_beside_the_settings_file(config) -> None:
    made = prepare(config)
    copy = config.parent / "mine"
    copy.mkdir()
    for path in BASELINE_PATH.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    change(config, "bundle: baseline", "bundle: mine")
    assert prepare(config, run="other").manifest.bundle_sha256 == made.manifest.bundle_sha256


def test_a_home_that_cannot_be_written_costs_time_and_nothing_else(config, monkeypatch) -> None:
    (config.parent / "file").write_text("")
    for cache in (str(config.parent / "file"), "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert prepare(config, run=f"run-{len(cache)}").manifest.instruments == BTC
    assert not Path("relative").exists()


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    path = tmp_path / "run.json"
    write_whole(path, b"first")

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"


def test_the_manifest_is_plain_json(config) -> None:
    made = prepare(config)
    plain = msgspec.json.decode((made.run_dir / MANIFEST_FILE).read_bytes())
    assert plain["settings_sha256"] == made.manifest.settings_sha256


def two_level(config: Path, types: str = "[market, limit]") -> None:
    change(config, "profile: strategic_only", "profile: two_level")
    change(config, "bundle: baseline", "bundle: six")
    text = config.read_text()
    assert "types:" not in text
    config.write_text(text.replace("target_lots:", f"types: {types}\n    target_lots:"))


def test_two_levels_want_a_bundle_that_has_them_and_put_it_into_the_block(config) -> None:
    bundle = six_networks(config.parent / "six")
    two_level(config)
    block = prepare(config).block
    assert all(file in block for file in bundle.onnx)
    header = np.frombuffer(block, layout.SETTINGS_HEADER, 1)[0]
    assert header["profile"] == layout.Profile.TWO_LEVEL
    assert header["tactical_agent_count"] == 3
    change(config, "bundle: six", "bundle: baseline")
    with pytest.raises(ConfigError, match="two_level wants a bundle with tactical agents"):
        prepare(config, run="other")


def test_two_levels_want_both_types_of_order(config) -> None:
    two_level(config, "[market]")
    six_networks(config.parent / "six")
    with pytest.raises(ConfigError, match=r"BTC-PERP\.types: market: .* also sends limit orders"):
        prepare(config)


def test_the_profile_of_the_command_line_is_laid_over_the_configuration(config) -> None:
    def profile_of(profile: str | None) -> str:
        options = RunOptions(
            instruments=BTC, run_dir=config.parent / "run", config=config, profile=profile
        )
        return effective_settings(options).policy.profile

    assert profile_of(None) == "strategic_only"
    assert profile_of("two_level") == "two_level"
    with pytest.raises(ConfigError, match=r"kernels\.path: policy\.profile: rule"):
        profile_of("rule")
    with pytest.raises(ConfigError, match="'three_level' is none of strategic_only, rule, two_lev"):
        profile_of("three_level")


def test_live_trading_starts_with_signed_limits_and_its_directory_keeps_them(config) -> None:
    folder = config.parent
    write_people(folder)
    change(config, "trading: paper", "trading: live\n  folder: limits\n  people_file: people.yaml")
    change(config, "crash_loop_starts: 0", "crash_loop_starts: 3")
    with pytest.raises(ConfigError, match="gm limits sign makes the first"):
        prepare(config)
    assert not (folder / "run").exists()

    def sign(*names: str, days: int) -> None:
        for name in names:
            key = write_key(folder, name)
            sign_limits(SignOptions(config=config, person=name, key=key, days=days))

    sign("ada", "grace", days=20)
    made = prepare(config)
    header = np.frombuffer(made.block, layout.SETTINGS_HEADER, 1)[0]
    assert header["limits_expire_ts_ns"] == made.manifest.limits_expire_s * 1_000_000_000
    assert bytes(header["limits_sha256_head"]).hex() == made.manifest.limits_sha256[:16]
    assert prepare(config).block == made.block
    sign("ada", days=10)  # the same numbers, for a shorter time: one person
    assert prepare(config, run="next").manifest.limits_sequence == 2
    assert prepare(config, run="next").reduces_because == ""


def live(config: Path, *names: str, days: int = 20) -> None:
    """Live trading, and a set of its numbers that these have signed."""
    folder = config.parent
    if "trading: paper" in config.read_text():
        write_people(folder)
        change(
            config, "trading: paper", "trading: live\n  folder: limits\n  people_file: people.yaml"
        )
        change(config, "crash_loop_starts: 0", "crash_loop_starts: 3")
    for name in names:
        key = write_key(folder, name)
        sign_limits(SignOptions(config=config, person=name, key=key, days=days))


def test_a_directory_whose_limits_do_not_stand_any_more_starts_to_reduce(
    config, monkeypatch
) -> None:
    live(config, "ada", "grace")
    made = prepare(config)
    assert made.reduces_because == ""
    # Other numbers are written, and nobody has signed for them yet.
    change(config, "cancels_burst_max: 1000", "cancels_burst_max: 999")
    waiting = prepare(config)
    assert "cancels_burst_max is not what set 1 was signed for" in waiting.reduces_because
    assert waiting.block == made.block
    with pytest.raises(ConfigError, match="is not what set 1 was signed for"):
        prepare(config, run="fresh")
    live(config, "ada", days=19)
    replaced = prepare(config)
    assert replaced.reduces_because == "set 2 stands, and this run began with set 1"
    assert replaced.block == made.block
    assert prepare(config, run="fresh").reduces_because == ""
    # What is no limit must still be what the journal was written with.
    change(config, "max_hold_bars: 46", "max_hold_bars: 45")
    with pytest.raises(ConfigError, match="written with other settings"):
        prepare(config)
    change(config, "max_hold_bars: 45", "max_hold_bars: 46")
    now_s = preparation.find_limits(config, load_settings(config)).expires_s + 9
    monkeypatch.setattr("gm.limits.time.time", lambda: now_s)
    assert prepare(config, run="fresh").reduces_because == "set 2 expired 9 s ago: gm limits sign"
    with pytest.raises(ConfigError, match="set 2 expired 9 s ago"):
        prepare(config, run="other")


def test_a_directory_whose_set_is_gone_or_another_does_not_start(config) -> None:
    live(config, "ada", "grace")
    prepare(config)
    path = config.parent / "limits/0001.json"
    path.write_text(path.read_text().replace('"author": "ada"', '"author": "tom"'))
    with pytest.raises(ConfigError, match="another set of this number has stood"):
        prepare(config)
    (config.parent / "limits.seen.json").unlink()
    with pytest.raises(ConfigError, match=r"not the set .* that the run directory began with"):
        prepare(config)
    change(config, "  trading: live\n", "  trading: paper\n")
    with pytest.raises(ConfigError, match="under set 1 of limits, and no signed set stands"):
        prepare(config)


def test_how_long_a_break_must_last_is_part_of_the_settings(config) -> None:
    prepare(config)
    change(
        config, "order_valid_for_ms: 5000", "order_valid_for_ms: 5000\n  recon_break_after_ms: 5000"
    )
    prepare(config)  # as it is anyway: directories of before the key go on
    change(config, "recon_break_after_ms: 5000", "recon_break_after_ms: 5001")
    with pytest.raises(ConfigError, match="written with other settings"):
        prepare(config)
