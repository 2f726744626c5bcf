"""The engine's status page and the recorder's progress as Prometheus metric families."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

NS_PER_S = 1e9
MICROS = 1e6

Status = dict[str, Any]


class EngineCollector(Collector):
    """Reads one status when it is scraped; nothing is counted twice or kept.

    Parameters
    ----------
    status : callable
        Gives the status page as a dict, as ``gm status --json`` prints it.
    recorded : callable
        Gives the journal sequence that the database has reached.
    """

    def __init__(self, status: Callable[[], Status], recorded: Callable[[], int]) -> None:
        self._status = status
        self._recorded = recorded

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one scrape."""
        status = self._status()
        yield from _process(status)
        yield from _engine(status["engine"])
        yield from _journal(status["journal"], self._recorded())
        yield from _instruments(status["instruments"])
        yield _stages(status["stages"])


def _process(status: Status) -> Iterator[Metric]:
    io = status["io"]
    phases = GaugeMetricFamily("gm_phase", "1 for the phase the core is in.", labels=["phase"])
    phases.add_metric([io["phase"]], 1)
    yield phases
    yield GaugeMetricFamily(
        "gm_ready", "1 while orders may be sent.", value=float(io["phase"] == "ready")
    )
    for name, text in (
        ("feed_frames", "Frames taken from the feed."),
        ("reply_frames", "Frames taken from the order session."),
        ("repeated_records", "Records dropped because they had been consumed before."),
        ("sequence_gaps", "Missing sequence numbers; each led to a new connection."),
        ("reconnects", "Order sessions opened again."),
        ("orders_sent", "Orders handed to the venue's socket."),
        ("orders_dropped", "Orders of a connection that was gone: never sent."),
    ):
        yield CounterMetricFamily(f"gm_io_{name}", text, value=io[name])


def _engine(engine: Status) -> Iterator[Metric]:
    yield GaugeMetricFamily("gm_epoch", "Starts of this journal.", value=engine["epoch"])
    yield CounterMetricFamily(
        "gm_inputs", "Input records consumed.", value=engine["inputs_consumed"]
    )
    totals = engine
    for name, text in (
        ("decisions", "Decisions of the ensemble."),
        ("orders", "Orders that passed the gate."),
        ("fills", "Executions booked."),
        ("venue_rejects", "Orders that the venue refused."),
        ("duplicates", "Inputs dropped because they had been consumed before."),
        ("bad_transitions", "Messages that an order's state did not allow."),
        ("repeated_fills", "Fills that the venue reported again: dropped."),
        ("late_fills", "Fills of orders that were dead to the engine: booked, symbol halted."),
        ("orphans", "Orders of the venue that the engine did not know."),
        ("recovered", "Orders of ours that a loss of power took from the journal: adopted."),
        ("unknown_symbols", "Feed records about no instrument of the configuration."),
    ):
        yield CounterMetricFamily(f"gm_{name}", text, value=totals[name])
    refusals = CounterMetricFamily(
        "gm_gate_refusals", "Orders refused by the gate.", labels=["code"]
    )
    for code, count in enumerate(totals["refusals"]):
        if count:
            refusals.add_metric([f"R{code:02d}"], count)
    yield refusals
    yield GaugeMetricFamily(
        "gm_recon_break",
        "1 while the venue's books are not ours (R19).",
        value=float(engine["has_recon_break"]),
    )
    yield GaugeMetricFamily(
        "gm_ids_left", "Client ids reserved and not used yet.", value=engine["ids_left"]
    )
    yield GaugeMetricFamily("gm_open_orders", "Orders not yet ended.", value=engine["open_orders"])
    calls = CounterMetricFamily("gm_kernel_calls", "Calls of a user kernel.", labels=["kernel"])
    quarantined = GaugeMetricFamily(
        "gm_kernel_quarantined",
        "0 while a user kernel is called, else the status that ended it.",
        labels=["kernel"],
    )
    for kernel in engine["kernels"]:
        calls.add_metric([kernel["name"]], kernel["calls"])
        quarantined.add_metric([kernel["name"]], kernel["status"])
    yield calls
    yield quarantined


def _journal(journal: Status, recorded: int) -> Iterator[Metric]:
    for name, text in (
        ("published", "Last journal sequence in the ring."),
        ("drained", "Last journal sequence in a segment."),
        ("synced", "Last journal sequence on the disk."),
    ):
        yield GaugeMetricFamily(f"gm_journal_{name}_sequence", text, value=journal[name])
    yield GaugeMetricFamily(
        "gm_journal_ring_free_records", "Room in the journal ring.", value=journal["ring_free"]
    )
    yield GaugeMetricFamily(
        "gm_journal_sync_seconds_max",
        "Longest sync so far.",
        value=journal["sync_ns_max"] / NS_PER_S,
    )
    yield GaugeMetricFamily(
        "gm_recorder_sequence", "Last journal sequence in the database.", value=recorded
    )
    yield GaugeMetricFamily(
        "gm_recorder_lag_records",
        "Journal records that the database does not have yet.",
        value=max(journal["drained"] - recorded, 0),
    )


def _instruments(rows: Sequence[Status]) -> Iterator[Metric]:
    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    for kind, name, key, text, unit in (
        (gauge, "gm_position_lots", "position_lots", "Signed position.", 1.0),
        (gauge, "gm_realised", "realised_micros", "Realised profit, currency units.", MICROS),
        (gauge, "gm_adjusted", "adjusted_micros", "Accepted from the venue's books.", MICROS),
        # Not a counter: a venue may pay some of it back.
        (gauge, "gm_commission", "commission_micros", "Commission, currency units.", MICROS),
        (gauge, "gm_features_ready", "is_ready", "1 when the matrix is warm.", 1.0),
        (gauge, "gm_warmup_bars_needed", "bars_needed", "Bars of 30 minutes to go, at least.", 1.0),
        (counter, "gm_backfilled_bars", "backfilled_bars", "Bars from before the feed.", 1.0),
        (gauge, "gm_kill_level", "kill_level", "0 active, 1 reducing, 2 halted, 3 killed.", 1.0),
        (counter, "gm_quarantined_records", "quarantined", "Feed records refused.", 1.0),
        (counter, "gm_round_trips", "round_trips", "Positions closed or crossed.", 1.0),
    ):
        family = kind(name, text, labels=["instrument"])
        for row in rows:
            family.add_metric([row["symbol"]], row[key] / unit)
        yield family


def _stages(stages: Status) -> Metric:
    family = SummaryMetricFamily("gm_stage_seconds", "Time of each stage.", labels=["stage"])
    for name, stage in stages.items():
        family.add_metric([name], stage["count"], stage["sum_ns"] / NS_PER_S)
        for quantile, key in (("0.5", "p50_ns"), ("0.99", "p99_ns")):
            family.add_sample(
                "gm_stage_seconds",
                {"stage": name, "quantile": quantile},
                stage[key] / NS_PER_S,
            )
    return family
