"""No configuration file, however hostile, gets further than an error that names file and key."""

import subprocess
import sys
from pathlib import Path

import pytest

from gm.config import load_settings
from gm.errors import ConfigError

DEVELOPMENT = Path("configs/development.yaml")
INSTRUMENTS = Path("configs/instruments.yaml")
BTC = "trading.BTC-PERP"

# name, text to replace in development.yaml (first match), replacement, what the error must name
ATTACKS = [
    # numbers out of range
    ("negative lots", "target_lots: 1000", "target_lots: -1000", f"{BTC}.target_lots"),
    ("zero lots", "target_lots: 1000", "target_lots: 0", f"{BTC}.target_lots"),
    ("lots over int64", "target_lots: 1000", f"target_lots: {2**70}", f"{BTC}.target_lots"),
    ("lots 1e308", "target_lots: 1000", "target_lots: 1e308", f"{BTC}.target_lots"),
    ("lots .inf", "target_lots: 1000", "target_lots: .inf", f"{BTC}.target_lots"),
    ("lots .nan", "target_lots: 1000", "target_lots: .nan", f"{BTC}.target_lots"),
    ("fractional lots", "target_lots: 1000", "target_lots: 10.5", f"{BTC}.target_lots"),
    ("lots in hex", "target_lots: 1000", "target_lots: 0x10", f"{BTC}.target_lots"),
    ("lots in octal", "target_lots: 1000", "target_lots: 0777", f"{BTC}.target_lots"),
    ("notional nan", "order_notional_max: 9000", "order_notional_max: nan", "order_notional_max"),
    ("notional .inf", "order_notional_max: 9000", "order_notional_max: .inf", "order_notional_max"),
    ("notional inf", "order_notional_max: 9000", "order_notional_max: inf", "order_notional_max"),
    ("notional -1", "order_notional_max: 9000", "order_notional_max: -1", "order_notional_max"),
    (
        "notional 1e308",
        "order_notional_max: 9000",
        "order_notional_max: 1e308",
        "order_notional_max",
    ),
    ("collar 0", "collar_percent: 2", "collar_percent: 0", "collar_percent"),
    ("collar 101", "collar_percent: 2", "collar_percent: 101", "collar_percent"),
    ("port 70000", "port: 0", "port: 70000", "metrics.port"),
    ("port negative", "port: 0", "port: -1", "metrics.port"),
    ("spin too long", "idle_spin_us: 50", "idle_spin_us: 99999999999", "engine.idle_spin_us"),
    ("timeout 0", "order_timeout_ms: 2000", "order_timeout_ms: 0", "engine.order_timeout_ms"),
    ("ppm over a million", "reject_ppm: 20000", "reject_ppm: 1000001", "venue.reject_ppm"),
    (
        "bps negative",
        "BTC-PERP: 2, BTCUSDT",
        "BTC-PERP: -2, BTCUSDT",
        "venue.commission_bps.BTC-PERP",
    ),
    ("bps nan", "BTC-PERP: 2, BTCUSDT", "BTC-PERP: nan, BTCUSDT", "venue.commission_bps.BTC-PERP"),
    (
        "collar finer than the core counts",
        "collar_percent: 2",
        "collar_percent: 2.00005",
        f"{BTC}.collar_percent: 2.00005",
    ),
    (
        "notional finer than a micro-unit",
        "order_notional_max: 9000",
        "order_notional_max: 9000.0000001",
        f"{BTC}.order_notional_max: 9000.0000001",
    ),
    ("less than no journal", "retention_gb: 0", "retention_gb: -1", "journal.retention_gb"),
    ("a century of it", "retention_days: 0", "retention_days: 36501", "journal.retention_days"),
    ("segment of 257 MiB", "segment_mib: 16", "segment_mib: 257", "engine.segment_mib"),
    (
        "fewer cancels than open orders",
        "cancels_burst_max: 1000",
        "cancels_burst_max: 255",
        "account.cancels_burst_max",
    ),
    ("no limit of gross", "  gross_notional_max: 10000000\n", "", "gross_notional_max"),
    ("no limit of loss", "  loss_max: 1000000\n", "", "loss_max"),
    (
        "one bad price is a loss",
        "loss_confirmations: 3",
        "loss_confirmations: 1",
        "account.loss_confirmations",
    ),
    ("negative loss", "drawdown_max: 1000000", "drawdown_max: -1", "account.drawdown_max: -1"),
    ("margin of nothing", "margin_per_lot: 2\n", "margin_per_lot: 0\n", f"{BTC}.margin_per_lot"),
    (
        "more repeats than remembered",
        "repeat_executions_max: 0",
        "repeat_executions_max: 64",
        f"{BTC}.repeat_executions_max",
    ),
    (
        "repeats within no time",
        "repeat_window_ms: 1000",
        "repeat_window_ms: 0",
        f"{BTC}.repeat_window_ms",
    ),
    ("trading for fun", "trading: paper", "trading: fun", "limits.trading"),
    # instruments that do not exist
    ("unknown symbol", "  BTC-PERP:\n", "  BTC-PREP:\n", "trading.BTC-PREP: 'BTC-PREP'"),
    ("the known ones", "  BTC-PERP:\n", "  BTC-PREP:\n", "NQ, ES, CL"),
    ("fee of nobody", "{BTC-PERP: 2", "{BTCPERP: 2", "venue.commission_bps.BTCPERP"),
    ("lot fee of nobody", "{NQ: 2.00", "{NQH6: 2.00", "venue.commission_per_lot.NQH6"),
    ("no instruments", "_file: instruments.yaml", "_file: none.yaml", "instruments_file"),
    ("bars for nobody", "warmup: {}", "warmup: {NQH6: a.csv}", "warmup.NQH6"),
    ("a file without a name", "warmup: {}", "warmup: {NQ: ''}", "warmup"),
    ("a file that is a number", "warmup: {}", "warmup: {NQ: 5}", "warmup.NQ"),
    # limits that contradict each other
    (
        "no room to reverse",
        "order_quantity_lots_max: 2000",
        "order_quantity_lots_max: 1999",
        f"{BTC}.order_quantity_lots_max",
    ),
    (
        "position under target",
        "position_lots_max: 1000\n",
        "position_lots_max: 999\n",
        f"{BTC}.position_lots_max",
    ),
    # wrong kinds
    ("text for number", "segment_mib: 16", "segment_mib: large", "engine.segment_mib"),
    ("list for number", "segment_mib: 16", "segment_mib: [16]", "engine.segment_mib"),
    ("mapping for number", "segment_mib: 16", "segment_mib: {a: 1}", "engine.segment_mib"),
    ("bool for number", "segment_mib: 16", "segment_mib: true", "engine.segment_mib"),
    ("null for number", "segment_mib: 16", "segment_mib: null", "engine.segment_mib"),
    (
        "number for bool",
        "flat_at_session_end: false",
        "flat_at_session_end: 0",
        "policy.flat_at_session_end",
    ),
    (
        "yes for bool",
        "flat_at_session_end: false",
        "flat_at_session_end: yes",
        "policy.flat_at_session_end",
    ),
    ("list for section", "account:\n", "account: []\nx_account:\n", "account"),
    ("unknown driver", "driver: auto", "driver: warp", "engine.driver"),
    ("unknown profile", "profile: strategic_only", "profile: tactical", "policy.profile"),
    ("unknown policy", "restart_policy: resume", "restart_policy: yolo", "engine.restart_policy"),
    ("public address", "host: 127.0.0.1", "host: 0.0.0.0", "metrics.host"),
    ("empty bundle", "bundle: baseline", 'bundle: ""', "policy.bundle"),
    ("no window", "window_bars: 24", "window_bars: 0", "synergy.window_bars"),
    ("endless window", "window_bars: 24", "window_bars: 97", "synergy.window_bars"),
    ("no number", "slope_min: 0.02", "slope_min: .nan", "synergy.slope_min"),
    ("over the scale", "mlmi_min: 10 ", "mlmi_min: 50.5 ", "synergy.mlmi_min"),
    ("backward cooldown", "cooldown_bars: 5", "cooldown_bars: -1", "synergy.cooldown_bars"),
    # keys
    ("unknown key", "segment_mib: 16", "segment_mib: 16\n  segment_mb: 16", "segment_mb"),
    ("unknown section", "account:\n", "acount: {}\naccount:\n", "acount"),
    ("duplicate key", "segment_mib: 16", "segment_mib: 16\n  segment_mib: 32", "segment_mib"),
    ("duplicate section", "policy:\n", "policy: {}\npolicy:\n", "policy"),
    ("missing limit", "    position_lots_max: 1000\n", "", "position_lots_max"),
    ("missing section", "account:\n", "engine2:\n", "engine2"),
    ("list as key", "policy:\n", "? [a, b]\n: 1\npolicy:\n", "key must be plain text"),
    # YAML itself
    ("alias", "segment_mib: 16", "segment_mib: &a 16\n  idle_spin_us: *a", "&a"),
    ("alias bomb", "policy:\n", "a: &a [x, x]\nb: &b [*a, *a]\npolicy:\n", "&a"),
    ("merge key", "policy:\n", "base: &base {a: 1}\npolicy:\n", "&base"),
    ("tag", "bundle: baseline", "bundle: !!python/object/apply:os.system [id]", "python/object"),
    ("own tag", "bundle: baseline", "bundle: !secret x", "!secret"),
    ("unclosed list", "segment_mib: 16", "segment_mib: [16", "malformed YAML"),
    ("unclosed text", "bundle: baseline", 'bundle: "baseline', "malformed YAML"),
    ("tab indentation", "  bundle: baseline", "\tbundle: baseline", "malformed YAML"),
    ("control character", "bundle: baseline", "bundle: base\x07line", "malformed YAML"),
    ("two documents", "policy:\n", "---\npolicy:\n", "malformed YAML"),
    ("deep nesting", "bundle: baseline", "bundle: " + "[" * 40 + "]" * 40, "nesting"),
    ("very deep nesting", "bundle: baseline", "bundle: " + "[" * 5000 + "]" * 5000, "nesting"),
    # variables
    ("circular", "bundle: baseline", "bundle: ${policy.bundle}", "policy.bundle"),
    ("itself", "bundle: baseline", "bundle: ${${A}}", "policy.bundle"),
    ("unset variable", "bundle: baseline", "bundle: ${GM_NO_SUCH_VARIABLE}", "policy.bundle"),
    ("empty variable name", "bundle: baseline", "bundle: ${}", "policy.bundle"),
    ("variable gives text", "segment_mib: 16", "segment_mib: ${HOME}", "engine.segment_mib"),
    # size
    ("1 MB scalar", "bundle: baseline", "bundle: " + "x" * 1_000_000, "policy.bundle"),
    ("2 MB file", "bundle: baseline", "bundle: " + "x" * 2_000_000, "larger than"),
]


def attacked(tmp_path: Path, old: str, new: str) -> Path:
    text = DEVELOPMENT.read_text()
    at = text.index("  BTC-PERP:\n") if old in text[text.index("  BTC-PERP:\n") :] else 0
    assert old in text[at:], "the attack must hit something"
    (tmp_path / "instruments.yaml").write_text(INSTRUMENTS.read_text())
    path = tmp_path / "attacked.yaml"
    path.write_text(text[:at] + text[at:].replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "named"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS]
)
def test_attack_is_refused_with_file_and_key(tmp_path, old, new, named) -> None:
    path = attacked(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert named in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_there_are_at_least_forty_attacks() -> None:
    assert len({name for name, *_ in ATTACKS}) == len(ATTACKS) >= 40


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"just text", b"\x00" * 64])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.yaml: "):
        load_settings(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load_settings(tmp_path)


def test_an_attack_ends_the_command_with_exit_code_3(tmp_path) -> None:
    path = attacked(tmp_path, "segment_mib: 16", "segment_mib: -1")
    command = [sys.executable, "-m", "gm", "config", "check", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "engine.segment_mib" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_files_are_accepted() -> None:
    for name in ("development", "staging", "production"):
        settings = load_settings(Path(f"configs/{name}.yaml"))
        assert set(settings.trading) >= {"NQ", "BTC-PERP", "6E", "IBM"}


def test_the_edges_of_what_is_allowed_are_allowed(tmp_path) -> None:
    for old, new in (
        ("segment_mib: 16", "segment_mib: 256"),
        ("cancels_burst_max: 1000", "cancels_burst_max: 256"),
        ("collar_percent: 2", "collar_percent: 2.0001"),
        ("order_notional_max: 9000", "order_notional_max: 9000.000001"),
    ):
        load_settings(attacked(tmp_path, old, new))
