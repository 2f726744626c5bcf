"""The books after a run of which only orders and decisions are left: the parts of check_everything
that need no market data, on records that are read a piece at a time.
"""

import json
from pathlib import Path

import numpy as np

from gm import layout
from gm._native.journal import JournalReader
from gm.layout import RecordType
from gm.replay import replay
from gm.store.verify import verify_journal
from tests.kills import check_fills, check_ids, check_orders
from tests.runs import Result, payloads

_BATCH = 65_536
_MARKET = (RecordType.TRADE, RecordType.HEARTBEAT, RecordType.REPLAYED_BAR)


def kept_records(run_dir: Path) -> np.ndarray:
    """Every record of the journal that is no market data."""
    reader = JournalReader(str(run_dir / "journal"), checks_chain=False)
    parts = [np.empty(0, layout.SLOT)]
    while len(slots := reader.read(_BATCH)) > 0:
        parts.append(slots[~np.isin(slots["header"]["type"], _MARKET)])
    return np.concatenate(parts)


def check_books(run_dir: Path, engine: dict[str, object]) -> dict[str, int]:
    """Hold ledger, journal and database against each other; how much there was."""
    result = Result(run_dir, engine, {})
    slots = kept_records(run_dir)
    ledger = {tuple(row["id"]): row for row in result.ledger["orders"]}
    replaces = payloads(slots, RecordType.REPLACE_ORDER, layout.REPLACE_ORDER)["replace_id"]
    graves = {tuple(row) for row in result.ledger["tombstones"]} - set(replaces.tolist())
    check_ids(result, ledger, graves)
    check_orders(slots, ledger, graves)
    check_fills(result, slots)
    signed = {"buy": 1, "sell": -1}
    position = sum(signed[f["side"]] * f["quantity_lots"] for f in result.ledger["executions"])
    assert position == result.ledger["totals"]["position_lots"]
    assert position == engine["position_lots"]
    return {"orders": len(ledger), "fills": len(result.ledger["executions"])}


def check_journal(run_dir: Path) -> dict[str, int]:
    """It is sound, and what it still holds whole can be derived again, byte for byte."""
    report = verify_journal(run_dir)
    assert report.is_sound, report.faults
    derived = replay(run_dir)
    assert json.dumps(derived.records)  # it ended without a difference, or it would have raised
    return {
        "records": report.last_sequence,
        "segments": report.segments,
        "compacted_segments": report.compacted_segments,
        "compacted_records": report.compacted_records,
        "derived_again_after": derived.after,
    }
