"""Promise: one scrape is the status page in Prometheus' own words, and nothing else."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gm.metrics.collector import EngineCollector

STAGE = {"count": 4, "sum_ns": 8_000, "p50_ns": 1_500, "p99_ns": 4_000, "max_ns": 4_100}


def status() -> dict[str, object]:
    """A page as core.status() gives it; every number is another one."""
    return {
        "io": {
            "phase": "ready", "feed_frames": 1, "reply_frames": 2, "repeated_records": 3,
            "sequence_gaps": 4, "reconnects": 5, "orders_sent": 6, "orders_dropped": 7,
        },
        "engine": {
            "epoch": 8, "inputs_consumed": 9, "decisions": 10, "orders": 11, "fills": 12,
            "venue_rejects": 13, "duplicates": 14, "bad_transitions": 15, "open_orders": 16,
            "repeated_fills": 25, "late_fills": 26, "orphans": 27,
            "recovered": 28, "ids_left": 29, "has_recon_break": True,
            "unknown_symbols": 24,
            "refusals": [0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 18, 0],
            "kernels": [{"name": "spread", "calls": 22, "status": 5}],
        },
        "journal": {
            "published": 200, "drained": 190, "synced": 180, "ring_free": 65_000,
            "sync_ns_max": 12_000_000,
        },
        "instruments": [
            {
                "symbol": "BTC-PERP", "position_lots": -1000, "realised_micros": -2_500_000,
                "adjusted_micros": -7_000_000,
                "commission_micros": 19_000_000, "is_ready": 1, "kill_level": 0,
                "quarantined": 20, "round_trips": 21, "bars_needed": 0, "backfilled_bars": 22,
            },
            {
                "symbol": 'A"\\\n', "position_lots": 2, "realised_micros": 0, "adjusted_micros": 0,
                "commission_micros": -1_000_000, "is_ready": 0, "kill_level": 3,
                "quarantined": 0, "round_trips": 0, "bars_needed": 177, "backfilled_bars": 0,
            },
        ],
        "stages": {"policy": STAGE, "gate": dict.fromkeys(STAGE, 0)},
    }  # fmt: skip


def scrape(recorded: int = 150) -> str:
    registry = CollectorRegistry()
    registry.register(EngineCollector(status, lambda: recorded))
    return generate_latest(registry).decode()


def value(name: str, **labels: str) -> float:
    found = [
        sample.value
        for family in text_string_to_metric_families(scrape())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("gm_phase", {"phase": "ready"}, 1),
        ("gm_ready", {}, 1),
        ("gm_io_orders_dropped_total", {}, 7),
        ("gm_epoch", {}, 8),
        ("gm_inputs_total", {}, 9),
        ("gm_decisions_total", {}, 10),
        ("gm_bad_transitions_total", {}, 15),
        ("gm_repeated_fills_total", {}, 25),
        ("gm_late_fills_total", {}, 26),
        ("gm_orphans_total", {}, 27),
        ("gm_recovered_total", {}, 28),
        ("gm_recon_break", {}, 1),
        ("gm_ids_left", {}, 29),
        ("gm_unknown_symbols_total", {}, 24),
        ("gm_open_orders", {}, 16),
        ("gm_gate_refusals_total", {"code": "R06"}, 17),
        ("gm_gate_refusals_total", {"code": "R12"}, 18),
        ("gm_kernel_calls_total", {"kernel": "spread"}, 22),
        ("gm_kernel_quarantined", {"kernel": "spread"}, 5),
        ("gm_journal_synced_sequence", {}, 180),
        ("gm_journal_sync_seconds_max", {}, 0.012),
        ("gm_recorder_sequence", {}, 150),
        ("gm_recorder_lag_records", {}, 40),
        ("gm_position_lots", {"instrument": "BTC-PERP"}, -1000),
        ("gm_realised", {"instrument": "BTC-PERP"}, -2.5),
        ("gm_adjusted", {"instrument": "BTC-PERP"}, -7.0),
        ("gm_commission", {"instrument": 'A"\\\n'}, -1),
        ("gm_kill_level", {"instrument": 'A"\\\n'}, 3),
        ("gm_quarantined_records_total", {"instrument": "BTC-PERP"}, 20),
        ("gm_round_trips_total", {"instrument": "BTC-PERP"}, 21),
        ("gm_backfilled_bars_total", {"instrument": "BTC-PERP"}, 22),
        ("gm_warmup_bars_needed", {"instrument": 'A"\\\n'}, 177),
        ("gm_stage_seconds", {"stage": "policy", "quantile": "0.5"}, 1.5e-6),
        ("gm_stage_seconds", {"stage": "policy", "quantile": "0.99"}, 4e-6),
        ("gm_stage_seconds_count", {"stage": "policy"}, 4),
        ("gm_stage_seconds_sum", {"stage": "policy"}, 8e-6),
    ],
)
def test_a_figure_of_the_page_is_found_under_its_name(name, labels, expected) -> None:
    assert value(name, **labels) == pytest.approx(expected, rel=1e-12)


def test_names_follow_the_conventions_of_prometheus() -> None:
    families = list(text_string_to_metric_families(scrape()))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"gm_[a-z][a-z0-9_]*", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"(_ns|_ms|_us|_micros|_total|_count|_sum|_bucket)$", family.name)
        if family.type == "counter":
            assert {sample.name for sample in family.samples} <= {f"{family.name}_total"}
        for sample in family.samples:
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels)


def test_what_only_grows_is_a_counter_and_what_can_fall_is_not() -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(scrape())}
    for name in ("gm_fills", "gm_round_trips", "gm_quarantined_records", "gm_gate_refusals"):
        assert kinds[name] == "counter"
    for name in ("gm_position_lots", "gm_realised", "gm_commission", "gm_open_orders"):
        assert kinds[name] == "gauge"


def test_a_recorder_ahead_of_the_page_has_no_lag_below_zero() -> None:
    assert "gm_recorder_lag_records 0.0" in scrape(recorded=10_000)
