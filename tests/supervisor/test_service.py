"""Promise: the supervisor ends what it began, and no trouble beside the engine stops the engine."""

import json
import os
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from gm import layout
from gm.config import load_settings
from gm.config.run_dir import Prepared, RunManifest
from gm.config.settings import JournalSection, restart_policy_of
from gm.errors import ConfigError, JournalForeign, StoreFailed, VenueRefused
from gm.layout import RecordType
from gm.supervisor import service as service_module
from gm.supervisor.model_journal import FOLLOWED_FILE
from gm.supervisor.service import (
    HEARTBEAT_AGE_NS_MAX,
    WATCHDOG_BEATS,
    Service,
    Watch,
    choose_driver,
    stop_on_signals,
)

from ..store.journals import journal_of, write_slots

RECORDS = 3


class FakeCore:
    """Stands where the native core stands; `script` is called once a wait."""

    instance: "FakeCore"
    ticks_max = 40
    bars_needed = 0

    def __init__(self, _block: bytes, run_dir: str, *_arguments: object, **options: Any) -> None:
        FakeCore.instance = self
        self.run_dir, self.options = Path(run_dir), options
        self.phase = "starting"
        self.failure: Exception | None = None
        self.calls: list[str] = []
        self.ticks = 0
        self.io = {
            "phase": "", "heartbeat_wall_ns": 0, "is_lockstep": 1, "inputs_pushed": 0,
            "feed_frames": 0, "reply_frames": 0, "repeated_records": 0, "sequence_gaps": 0,
            "reconnects": 0, "orders_sent": 0, "orders_dropped": 0, "tape_id": "01" * 32,
        }  # fmt: skip
        names = "epoch inputs_consumed decisions orders fills venue_rejects duplicates open_orders"
        names += " bad_transitions repeated_fills late_fills orphans unknown_symbols roll_backs"
        names += " late_decisions recovered ids_left has_recon_break"
        models = {f"{role}_model": 0 for role in ("live", "shadow", "before")}
        models |= {f"{role}_sha256": "00" * 32 for role in ("live", "shadow", "before")}
        self.engine = dict.fromkeys(names.split(), 0) | models | {"refusals": [0] * 14}
        self.engine["kernels"] = []
        self.engine["awaits"] = "the venue's books"
        self.journal = {
            "published": RECORDS, "drained": RECORDS, "synced": RECORDS, "ring_free": 1,
            "sync_ns_max": 0,
        }  # fmt: skip
        self.script = lambda core: setattr(core, "phase", "ended")

    def report(self) -> dict[str, Any]:
        return {
            "epoch": 1, "replay": {"records": RECORDS}, "drained": 0, "torn_bytes": 0,
            "snapshot_sequence": 0, "snapshots_skipped": [],
            "bars_needed": [self.bars_needed], "needs_backfill": self.bars_needed > 0,
        }  # fmt: skip

    def status(self) -> dict[str, Any]:
        self.io["phase"] = self.phase
        self.io["heartbeat_wall_ns"] = time.time_ns()
        return {
            "io": dict(self.io), "engine": dict(self.engine), "journal": dict(self.journal),
            "stages": {}, "instruments": [], "failure": "", "memory": "",
            "retention": dict.fromkeys(
                ("segments", "bytes", "first_sequence", "compacted_segments", "compacted_bytes"), 0
            ) | {"held_by": "nothing", "failure": ""},
        }  # fmt: skip

    def add_backfill_files(self, bars: Any) -> None:
        self.calls.append(f"{len(bars)} bars of files")

    def set_recorded(self, sequence: int) -> None:
        self.recorded = sequence

    def start(self) -> None:
        self.calls.append("start")

    def wait(self, _timeout_s: float) -> bool:
        self.ticks += 1
        assert self.ticks < self.ticks_max, "the service does not end"
        self.script(self)
        if self.failure is not None:
            raise self.failure
        return self.phase == "stopped"

    def request_stop(self) -> None:
        self.calls.append("request_stop")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a service of a fake core whose journal holds three records."""
    monkeypatch.setattr(service_module, "Core", FakeCore)
    monkeypatch.setattr(service_module, "libzmq_path", lambda: "libzmq.so")
    write_slots(
        tmp_path,
        journal_of(
            (RecordType.EPOCH, {"epoch": 1}),
            (RecordType.DECISION, {"acts": 1}),
            (RecordType.POSITION, {"position_lots": 5}),
        ),
    )
    hashes = dict.fromkeys(("config_sha256", "settings_sha256", "bundle_sha256"), "00")
    manifest = RunManifest(
        **hashes, instruments=("BTC-PERP",), tick_sizes=("1",), multipliers=("1",),
        currencies=("USD",), bundle="baseline", bundle_label="baseline", agents=(),
    )  # fmt: skip
    prepared = Prepared(run_dir=tmp_path, block=b"", manifest=manifest)
    settings = msgspec.structs.replace(
        load_settings(Path("configs/development.yaml")),
        journal=JournalSection(retention_gb=20, retention_days=7),
    )
    context: Any = SimpleNamespace(underlying=0)

    def read_warmup() -> Any:
        assert FakeCore.instance.bars_needed > 0, "the files were read in vain"
        return np.zeros(7, layout.BAR_CLOSE)

    return lambda: Service(prepared, settings, "inline", context, read_warmup)


def counted(tmp_path, table: str) -> int:
    database = sqlite3.connect(tmp_path / "gm.db")
    (found,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    database.close()
    return found


def test_a_run_to_the_end_of_the_tape_closes_the_core_then_counts_the_journal(
    tmp_path, make
) -> None:
    summary = make().run()
    assert (summary.decisions, summary.positions) == (1, {"BTC-PERP": 5})
    assert FakeCore.instance.calls == ["start", "close"]
    assert counted(tmp_path, "decisions") == counted(tmp_path, "positions") == 1
    left = json.loads((tmp_path / "last_status.json").read_bytes())
    assert left["io"]["tape_id"] == "01" * 32


def test_a_place_behind_the_end_of_the_recovered_journal_is_given_up(tmp_path, make) -> None:
    place = tmp_path / FOLLOWED_FILE
    place.parent.mkdir()
    place.write_text('{"journal_sequence": 1000}')
    make().run()
    assert json.loads(place.read_bytes())["journal_sequence"] == RECORDS


def test_bar_files_are_read_if_the_journal_does_not_suffice_and_only_then(make) -> None:
    service = make()
    FakeCore.instance.bars_needed = 177
    service.run()
    assert FakeCore.instance.calls == ["7 bars of files", "start", "close"]


def test_bar_files_that_are_refused_start_nothing(make, monkeypatch) -> None:
    def missing() -> None:
        raise ConfigError("warmup.NQ: no such file")

    service = make()
    FakeCore.instance.bars_needed = 177
    monkeypatch.setattr(service, "_read_warmup", missing)
    with pytest.raises(ConfigError, match=r"warmup\.NQ"):
        service.run()
    assert FakeCore.instance.calls == ["close"]


def test_running_free_the_end_of_a_tape_is_not_the_end(make) -> None:
    service = make()
    core = FakeCore.instance
    core.io["is_lockstep"] = 0

    def script(core: FakeCore) -> None:
        core.phase = "ended" if core.ticks < 5 else "stopped"

    core.script = script
    service.run()
    assert core.ticks == 5


def test_a_stop_is_asked_for_once_and_told_to_systemd_once(make, monkeypatch) -> None:
    service = make()
    core = FakeCore.instance
    said: list[str] = []
    monkeypatch.setattr(service._notifier, "send", said.append)

    def script(core: FakeCore) -> None:
        core.phase = "ready" if core.ticks < 3 else "stopping" if core.ticks < 8 else "stopped"
        if core.ticks == 3:
            service.stop()

    core.script = script
    service.run()
    assert core.calls == ["start", "request_stop", "close"]
    assert said == ["READY=1", "STOPPING=1"]


def test_what_the_core_fails_with_is_raised_after_all_is_closed(tmp_path, make) -> None:
    service = make()
    core = FakeCore.instance

    def script(core: FakeCore) -> None:
        core.phase = "ready"
        if core.ticks == 3:
            core.failure = VenueRefused("another tape")

    core.script = script
    with pytest.raises(VenueRefused, match="another tape"):
        service.run()
    assert core.calls[-1] == "close"
    assert counted(tmp_path, "decisions") == 1
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{service.metrics_port}/health", timeout=5)


def test_a_database_that_is_gone_for_a_while_stops_nothing_and_catches_up(
    tmp_path, make, monkeypatch
) -> None:
    monkeypatch.setattr("gm.store.follower.RETRY_S", 0.0)
    service = make()
    core = FakeCore.instance
    core.journal["synced"] = 0  # nothing on the disk yet: nothing to record
    database = sqlite3.connect(tmp_path / "gm.db", isolation_level=None)

    def script(core: FakeCore) -> None:
        core.phase = "ready" if core.ticks < 9 else "ended"
        if core.ticks == 2:
            database.execute("BEGIN IMMEDIATE")
            core.journal["synced"] = RECORDS
        if core.ticks == 4:
            assert service._store_failure.endswith("database is locked")
            database.execute("ROLLBACK")
        if core.ticks == 8:
            assert service._store_failure == ""
            assert service._follower.last_sequence == RECORDS

    core.script = script
    assert service.run().decisions == 1
    database.close()
    assert core.ticks == 9
    assert counted(tmp_path, "decisions") == 1


def test_a_database_that_stays_away_is_an_error_after_the_engine_has_ended(tmp_path, make) -> None:
    (tmp_path / "gm.db").mkdir()
    service = make()
    with pytest.raises(StoreFailed, match=r"gm\.db: .*the next start catches up"):
        service.run()
    assert FakeCore.instance.calls == ["start", "close"]


def test_a_database_of_another_journal_is_refused_before_the_core_starts(tmp_path, make) -> None:
    service = make()
    service._follower.open()
    service._follower.close()
    database = sqlite3.connect(tmp_path / "gm.db")
    with database:
        database.execute("UPDATE cursor SET journal_sequence = ?", (RECORDS + 1,))
    database.close()
    with pytest.raises(JournalForeign, match=r"gm\.db holds 4 records, the journal 3"):
        service.run()
    assert FakeCore.instance.calls == ["close"]


def test_a_metrics_port_that_is_taken_is_refused_before_the_core_starts(make, monkeypatch) -> None:
    def taken(*_arguments: object) -> None:
        raise ConfigError("metrics.port: 127.0.0.1:9464: Address already in use")

    service = make()
    monkeypatch.setattr(service_module, "MetricsServer", taken)
    with pytest.raises(ConfigError, match=r"metrics\.port"):
        service.run()
    assert FakeCore.instance.calls == ["close"]


def test_health_and_ready_are_what_the_page_says(make, monkeypatch) -> None:
    service = make()
    core = FakeCore.instance
    for phase, healthy, ready in (
        ("replaying", True, False),
        ("ready", True, True),
        ("stopping", True, False),
        ("failed", False, False),
    ):
        core.phase = phase
        state = service.state()
        assert (state["healthy"], state["ready"], state["phase"]) == (healthy, ready, phase)
        assert state["awaits"] == "the venue's books"
    core.phase = "ready"
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    page = core.status()
    page["io"]["heartbeat_wall_ns"] = now_ns - HEARTBEAT_AGE_NS_MAX
    monkeypatch.setattr(core, "status", lambda: page)
    assert not service.state()["healthy"]
    assert not service.state()["ready"]  # a loop that hangs sends no order


def test_metrics_and_health_answer_while_the_engine_runs(make) -> None:
    service = make()
    core = FakeCore.instance
    answers: list[int] = []

    def script(core: FakeCore) -> None:
        core.phase = "ready" if core.ticks < 4 else "ended"
        if core.ticks == 3:
            for path in ("metrics", "health", "ready"):
                url = f"http://127.0.0.1:{service.metrics_port}/{path}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answers.append(answer.status)

    core.script = script
    service.run()
    assert answers == [200, 200, 200]


def page(consumed: int, pushed: int, age_ns: int = 0) -> dict[str, Any]:
    return {
        "engine": {"inputs_consumed": consumed},
        "io": {"inputs_pushed": pushed, "heartbeat_wall_ns": time.time_ns() - age_ns},
    }


def test_the_watchdog_hears_of_an_engine_that_moves_or_has_nothing_to_do() -> None:
    watch = Watch()
    assert watch.is_due(page(5, 9), 0.0, 2.0)
    assert watch.is_due(page(6, 9), 1.0, 2.0)
    assert watch.is_due(page(9, 9), 2.0, 2.0)
    assert watch.is_due(page(9, 9), 3.0, 2.0)


def test_the_watchdog_hears_nothing_of_an_engine_that_stands_still_until_it_moves() -> None:
    watch = Watch()
    assert watch.is_due(page(5, 9), 0.0, 2.0)
    assert not watch.is_due(page(5, 9), 1.0, 2.0)
    assert not watch.is_due(page(5, 12), 1.1, 2.0)
    assert watch.is_due(page(6, 12), 1.2, 2.0)


def test_the_watchdog_hears_nothing_of_an_io_loop_that_hangs() -> None:
    watch = Watch()
    assert not watch.is_due(page(9, 9, age_ns=HEARTBEAT_AGE_NS_MAX + 1), 0.0, 2.0)
    assert watch.is_due(page(9, 9), 0.1, 2.0)


def test_the_watchdog_is_fed_a_few_times_within_its_limit_and_not_at_every_look() -> None:
    watch = Watch()
    beats = sum(watch.is_due(page(9, 9), at_ms / 1000, 2.0) for at_ms in range(0, 2000, 10))
    assert beats == WATCHDOG_BEATS
    assert not Watch().is_due(page(9, 9), 0.0, 0.0)  # systemd does not watch


@pytest.mark.parametrize(("cores", "driver"), [(1, "inline"), (3, "inline"), (4, "threaded")])
def test_the_driver_follows_the_free_cores_unless_it_is_named(monkeypatch, cores, driver) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert choose_driver("auto") == driver
    assert choose_driver("inline") == "inline"
    assert choose_driver("threaded") == "threaded"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_stop_and_the_second_is_not_caught(number) -> None:
    former = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    asked: list[bool] = []
    try:
        stop_on_signals(lambda: asked.append(True))
        signal.raise_signal(number)
        assert asked == [True]
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        for n, handler in former.items():
            signal.signal(n, handler)


def test_the_core_hears_how_it_shall_start_after_a_crash(make) -> None:
    make()
    options = FakeCore.instance.options
    engine = load_settings(Path("configs/development.yaml")).engine
    assert engine.crash_loop_starts == 0  # kill campaigns start it again and again
    assert options["crash_loop_starts"] == engine.crash_loop_starts
    assert options["crash_loop_window_s"] == engine.crash_loop_window_s
    assert options["halts_after_unclean"] is False
    assert options["kills_on_signal"] is True
    for name in ("staging", "production"):
        shipped = load_settings(Path(f"configs/{name}.yaml")).engine
        assert (shipped.crash_loop_starts, shipped.crash_loop_window_s) == (3, 60)
        assert shipped.restart_policy is None


@pytest.mark.parametrize(
    ("written", "trading", "halts"),
    [
        (None, "paper", False),
        (None, "live", True),
        ("resume", "live", False),
        ("halted", "paper", True),
    ],
)
def test_after_a_crash_a_person_looks_where_orders_cost_money(written, trading, halts) -> None:
    settings = load_settings(Path("configs/production.yaml"))
    engine = msgspec.structs.replace(settings.engine, restart_policy=written)
    limits = msgspec.structs.replace(settings.limits, trading=trading)
    settings = msgspec.structs.replace(settings, engine=engine, limits=limits)
    assert (restart_policy_of(settings) == "halted") is halts


def test_the_core_hears_how_much_of_the_journal_stays_and_what_the_recorder_has(make) -> None:
    service = make()
    assert FakeCore.instance.options["retention_bytes"] == 20_000_000_000
    assert FakeCore.instance.options["retention_age_s"] == 7 * 86_400
    FakeCore.instance.script = lambda core: setattr(
        core, "phase", "ended" if getattr(core, "recorded", 0) == RECORDS else "ready"
    )
    service.run()
    assert FakeCore.instance.recorded == RECORDS
