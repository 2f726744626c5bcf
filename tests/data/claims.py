"""What must hold of the journal and the tables of any run over real files."""

import itertools
import json
from pathlib import Path

from ..runs import Result, gm


def check_tables(run: Result) -> None:
    """Decisions, orders, fills and positions are filled, and their sums agree."""
    decisions, orders, fills = (run.table(name) for name in ("decisions", "orders", "fills"))
    positions = run.table("positions")
    assert len(decisions) == run.engine["decisions"] > 0
    assert len(orders) == run.engine["orders"] > 0
    assert len(fills) == run.engine["fills"] > 0
    assert len(positions) > len(fills)  # after each fill and each closed bar
    signed = {"buy": 1, "sell": -1}
    position = sum(signed[row["side"]] * row["quantity_lots"] for row in fills)
    assert position == run.engine["position_lots"] == positions[-1]["position_lots"]
    filled = dict.fromkeys((row["order_id"] for row in orders), 0)
    for row in fills:
        filled[row["order_id"]] += row["quantity_lots"]
    assert filled == {row["order_id"]: row["filled_lots"] for row in orders}
    for row in decisions:
        chances = [row[f"probability_{name}"] for name in ("long", "neutral", "short")]
        assert abs(sum(chances) - 1) < 1e-5
        assert min(chances) >= 0
    starts = [row["bar_start_ts_ns"] for row in decisions]
    assert all(later > earlier for earlier, later in itertools.pairwise(starts))
    assert {row["decision_bar_start_ts_ns"] for row in orders} <= set(starts)


def check_replay_is_byte_identical(run: Result, folder: Path) -> None:
    """`gm replay` says so, and the files that it wrote are the same bytes."""
    output = folder / "again"
    code, printed, complaint = gm("replay", "--run-dir", run.run_dir, "--output", output, "--json")
    assert code == 0, complaint
    report = json.loads(printed)
    assert report["order_stream_sha256"] == run.engine["order_stream_sha256"]
    assert report["has_ended"]
    assert report["is_complete"]
    assert report["outputs"] > run.engine["decisions"]
    segments = sorted((run.run_dir / "journal").glob("segment-*.gmj"))
    assert segments
    for segment in segments:
        assert (output / "journal" / segment.name).read_bytes() == segment.read_bytes()
