"""The venue's book of record as a file for people and tests: `venue_ledger.json`."""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native.session import Session
from gm._native.venue_server import VenueServer
from gm.config.run_dir import LEDGER_FILE
from gm.layout import OrderReason, OrderState, OrderType, RejectReason, Side

_NAMES = {
    "side": Side,
    "type": OrderType,
    "reason": OrderReason,
    "state": OrderState,
    "reject_reason": RejectReason,
}

Rows = NDArray[np.void]
# Whatever holds a venue's ledger.
Books = VenueServer | Session


def ledger_totals(books: Books) -> dict[str, int]:
    """Sums over the ledger by name; cash_micros is sales less purchases before commission."""
    totals = {name: int(books.totals()[0][name]) for name in books.totals().dtype.names or ()}
    low, high = totals.pop("cash_micros_low"), totals.pop("cash_micros_high")
    return totals | {"cash_micros": (high << 64) + low}


def write_ledger(books: Books, run_dir: Path, **facts: object) -> Path:
    """Write orders, executions, tombstones and totals; the file appears whole or not at all.

    Parameters
    ----------
    books : Books
        Of a venue that runs no more.
    run_dir : Path
        Where the file goes.
    **facts : JSON values
        Written beside them.

    Returns
    -------
    Path
        ``venue_ledger.json``. Ids are [installation, epoch, counter]; enums by lower-case name.
        Buried ranges are [installation, epoch, first counter, last counter].

    Source
    ------
    Ours.
    """
    ledger = {
        **facts,
        "totals": ledger_totals(books),
        "orders": _table(books.orders()),
        "executions": _table(books.executions()),
        "tombstones": [list(row) for row in books.tombstones().tolist()],
        "buried_ranges": [
            [*first, last_counter] for first, last_counter in books.buried_ranges().tolist()
        ],
    }
    path = run_dir / LEDGER_FILE
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(ledger))
    os.replace(fresh, path)
    return path


def _table(rows: Rows) -> list[dict[str, Any]]:
    columns = {
        name: _column(name, rows[name]) for name in rows.dtype.names or () if name != "reserved"
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(name: str, values: Rows) -> list[Any]:
    if name in ("id", "order_id"):
        return [list(row) for row in values.tolist()]
    if name not in _NAMES:
        return list(values.tolist())
    names = {member.value: member.name.lower() for member in _NAMES[name]}
    # What a peer sent is written down as it came: a number that has no name stays a number.
    return [names.get(value, value) for value in values.tolist()]
