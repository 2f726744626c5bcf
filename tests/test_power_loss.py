"""Promise P2 where the power goes: of an engine that is killed, the memory and the journal's last
unsynced records are gone too. What the venue has of them is adopted and counted once; nothing is
lost, nothing is sent twice.
"""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gm import layout
from gm._native.runtime import find_endpoints
from gm.layout import RecordType

from .kills import check_files, check_fills, check_ids, check_money, fed, harness, reached
from .runs import Place, Result, finish, payloads, place, records
from .test_killed_engine import busy

LIVES = 24
# By then the engine trades.
WARM_FEED = 500
BARS_A_LIFE = 80
ANCHOR_COPY_STRIDE = 4_096


def synced_sequence(run_dir: Path) -> int:
    """The last record of which the disk is sure: the newer of the anchor's two copies."""
    data = (run_dir / "journal.anchor").read_bytes()
    copies = [data[at : at + 128] for at in (0, ANCHOR_COPY_STRIDE)]
    words = [np.frombuffer(copy, "<u8") for copy in copies if len(copy) == 128]
    return int(max(words, key=lambda row: int(row[1]))[3])


def lose_power(here: Place, random_: random.Random) -> int:
    """Take away what a disk need not have; how many records of the segments that were."""
    endpoints = find_endpoints(str(here.run_dir))
    Path(endpoints["ring_path"]).unlink(missing_ok=True)
    synced = synced_sequence(here.run_dir)
    lost = 0
    for segment in sorted((here.run_dir / "journal").glob("*.gmj")):
        slots = np.memmap(segment, layout.SLOT, "r+")
        numbers = slots["trailer"]["journal_sequence"]
        is_record = slots["header"]["magic"] == layout.MAGIC
        is_lost = is_record & (numbers > synced)
        is_lost &= slots["header"]["type"] != RecordType.BLOCK_DIGEST
        is_lost[0] = False  # the header of the file
        places = np.flatnonzero(is_lost)
        if len(places) == 0:
            continue
        kept = random_.randrange(len(places) + 1)  # a part may have reached the disk
        lost += len(places) - kept
        if kept < len(places):
            slots[places[kept] :] = np.zeros(1, layout.SLOT)
        slots.flush()
    return lost


def test_power_losses_leave_books_that_agree(tmp_path: Path) -> None:
    seed = int(os.environ.get("GM_KILL_SEED") or int.from_bytes(os.urandom(4), "little"))
    print(f"GM_KILL_SEED={seed}")
    random_ = random.Random(seed)
    tape, config = busy(tmp_path, BARS_A_LIFE * LIVES)
    lost = 0
    with place(tmp_path / "run", tape, config) as here:
        venue = here.venue()
        first = here.engine()  # makes settings.bin
        first.wait_for(lambda: fed(here, first) > WARM_FEED)
        first.kill()
        for _ in range(LIVES):
            if reached(here) > 2 * BARS_A_LIFE * LIVES * 4 // 5:
                break
            inputs = random_.randint(40, 90) if random_.random() < 0.3 else 0
            life = harness(here, "inline", inputs)
            if inputs == 0:
                until = random_.randint(5, 60)
                begin = reached(here)
                life.wait_for(lambda life=life, last=begin + until: fed(here, life) >= last)
                life.kill()
            assert life.finish() in (137, -9), life.errors()
            lost += lose_power(here, random_)
        # The database is no part of this: it had read records that are gone.
        for left in here.run_dir.glob("gm.db*"):
            shutil.move(left, tmp_path / left.name)
        engine = here.engine()
        result = finish(here, engine, venue)
        status = here.status()
    assert lost > 0
    print(f"lost records: {lost}")
    check_books(result, status)


def check_books(result: Result, status: dict[str, Any] | None) -> None:
    """As after a kill; but an INTENT may be gone whose order is in the ledger."""
    assert status is not None
    slots = records(result.run_dir)
    intents = [tuple(i.item()) for i in payloads(slots, RecordType.INTENT, layout.NEW_ORDER)["id"]]
    assert len(set(intents)) == len(intents)
    ledger = {tuple(row["id"]): row for row in result.ledger["orders"]}
    check_ids(result, ledger, set(map(tuple, result.ledger["tombstones"])))
    check_fills(result, slots)
    check_money(result)
    check_files(result.run_dir)
    adopted = ledger.keys() - set(intents)
    rows = {tuple(map(int, row["order_id"].split("-"))): row for row in result.table("orders")}
    for ident in adopted:
        assert rows[ident]["state"] == ledger[ident]["state"], ident
        assert rows[ident]["filled_lots"] == ledger[ident]["filled_lots"], ident
    engine = status["engine"]
    print(f"adopted: {engine['recovered']}")
    assert engine["recovered"] > 0
    assert engine["recovered"] == sum(ledger[i]["state"] != "rejected" for i in adopted)
    assert (engine["orphans"], engine["bad_transitions"]) == (0, 0)
    assert engine["has_recon_break"] is False
    assert status["instruments"][0]["kill_level"] == 0
