"""Promise: an engine killed anywhere in its retention starts again, and loses no order by it."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from gm import layout
from gm._native.runtime import libzmq_path
from gm.layout import RecordType
from gm.store.verify import verify_journal

from .kills import HARNESS, check_ids, check_orders, fed, reached
from .runs import Place, Process, Result, Tape, payloads, place
from .soak.books import kept_records
from .tapes import write_config, write_trends

BARS, LIVES, FEED_A_LIFE = 8_000, 60, 500
# A twentieth of the journal, and less than what starts read.
SEGMENT_BYTES, RETENTION_BYTES = 1 << 16, 1 << 18


def start(here: Place) -> Process:
    """The engine without Python: snapshots at every idle moment, and hardly any room."""
    return here.start(
        HARNESS, "--run-dir", here.run_dir, "--libzmq", libzmq_path(), "--driver", "inline",
        "--segment-bytes", str(SEGMENT_BYTES), "--snapshot-every-us", "1",
        "--retention-bytes", str(RETENTION_BYTES),
    )  # fmt: skip


@pytest.mark.slow
def test_a_kill_anywhere_in_retention_costs_market_data_alone(tmp_path: Path) -> None:
    dice = random.Random(5)
    tape = Tape(write_trends(tmp_path / "bars.csv", BARS), "BTC-PERP", 3)
    config = write_config(tmp_path / "small.yaml", engine={"segment_mib": 1})
    with place(tmp_path / "run", tape, config) as here:
        venue = here.venue()
        first = here.engine("--driver", "inline")  # makes settings.bin
        first.wait_for(lambda: fed(here, first) > 0)
        first.kill()
        ends: Counter[int] = Counter()
        for number in range(LIVES):
            begin = reached(here)
            if begin > 2 * BARS * 9 // 10:
                break
            life = start(here)
            if number % 2 == 0:  # a journal grows, for the next to let go of when it starts
                life.wait_for(lambda: fed(here, life) > begin + FEED_A_LIFE)  # noqa: B023
            else:
                time.sleep(dice.uniform(0.01, 0.1))
            life.kill()
            ends[life.finish()] += 1
            assert set(ends) == {-9}, life.errors()
            assert verify_journal(here.run_dir).is_sound
        last = start(here)
        assert last.finish() == 0, last.errors()
        assert venue.finish() == 0, venue.errors()
        report = verify_journal(here.run_dir)
        assert report.is_sound, report.faults
        assert report.compacted_segments > 5
        assert report.segments * SEGMENT_BYTES < 3 * RETENTION_BYTES
        again = here.start(HARNESS, "--run-dir", here.run_dir, "--replay", tmp_path / "copy")
        assert again.finish() == 0, again.errors()
        check_orders_and_fills(here.run_dir)


def check_orders_and_fills(run_dir: Path) -> None:
    """What the venue's ledger says, from what is left of the journal."""
    result = Result(run_dir, {}, {})
    slots = kept_records(run_dir)
    ledger = {tuple(row["id"]): row for row in result.ledger["orders"]}
    replaces = payloads(slots, RecordType.REPLACE_ORDER, layout.REPLACE_ORDER)["replace_id"]
    graves = {tuple(row) for row in result.ledger["tombstones"]} - set(replaces.tolist())
    check_ids(result, ledger, graves)
    check_orders(slots, ledger, graves)
    fills = payloads(slots, RecordType.FILL, layout.FILL)
    executions = [row["execution_id"] for row in result.ledger["executions"]]
    assert len(executions) > 20
    assert sorted(int(fill["execution_id"]) for fill in fills) == sorted(executions)
