"""Journal records into SQLite: rows and cursor in one transaction, so none is lost or doubled.

The recorder may be killed at any moment and starts again from its cursor. It keeps nothing that the
journal does not hold, so a database that was deleted comes back.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.layout import (
    Action,
    EntryVote,
    KernelPolicy,
    KernelStatus,
    OrderReason,
    OrderState,
    OrderType,
    QuarantineReason,
    RecordType,
    RejectReason,
    Side,
)

Slots = NDArray[np.void]
Row = tuple[Any, ...]
# A reader of the database never holds its lock; a person who writes into it may, for so long.
LOCK_WAIT_S = 0.5


class Recorder:
    """One SQLite file that follows one journal. Not thread-safe: one thread owns it.

    Parameters
    ----------
    path : Path
        The database; made with its tables if absent. Write-ahead log, so readers never wait.
    symbols : sequence of str
        Names of the instruments by their number on the wire.

    Raises
    ------
    sqlite3.Error
        If the file cannot be opened, or is not a database.
    """

    def __init__(self, path: Path, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None, timeout=LOCK_WAIT_S)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(
                resources.files("gm.store").joinpath("schema.sql").read_text("utf-8")
            )
            self._inode = path.stat().st_ino
        except BaseException:
            self._database.close()
            raise
        self._writers: dict[RecordType, Callable[[Slots], None]] = {
            RecordType.DECISION: self._decisions,
            RecordType.TACTICAL_DECISION: self._tactical_decisions,
            RecordType.SYNERGY: self._synergies,
            RecordType.KERNEL_STATE: self._kernel_quarantines,
            RecordType.INTENT: self._intents,
            RecordType.RANGE_ORDER: self._found_orders,
            RecordType.ORDER_UPDATE: self._order_updates,
            RecordType.FILL: self._fills,
            RecordType.REFUSAL: self._refusals,
            RecordType.POSITION: self._positions,
            RecordType.BOOKS_ACCEPTED: self._book_acceptances,
            RecordType.BOOKS_ADJUSTED: self._book_adjustments,
            RecordType.QUARANTINE: self._reader_refusals,
            RecordType.BAR_QUARANTINED: self._engine_refusals,
        }

    @property
    def cursor(self) -> int:
        """Journal sequence of the last record that is in the database; 0 before the first."""
        (sequence,) = self._database.execute("SELECT journal_sequence FROM cursor").fetchone()
        return int(sequence)

    def write(self, slots: Slots) -> None:
        """Take in records that follow the cursor, all or none.

        Parameters
        ----------
        slots : structured array of layout.SLOT, shape (n,)
            In journal order.

        Raises
        ------
        sqlite3.Error
            The database is gone, locked or full. Nothing was taken in: the same records may come
            again.
        """
        if len(slots) == 0:
            return
        self._check_file()
        last = int(slots["trailer"]["journal_sequence"][-1])
        types = slots["header"]["type"]
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for kind, writer in self._writers.items():
                chosen = types == kind
                if chosen.any():
                    writer(slots[chosen])
            self._database.execute("UPDATE cursor SET journal_sequence = ?", (last,))
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk has rolled back by itself
                self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the file, unless a reader holds it, and close it."""
        try:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._database.close()

    def _check_file(self) -> None:
        """SQLite would go on writing into a file that has lost its name."""
        try:
            found = self._path.stat().st_ino
        except OSError as error:
            raise sqlite3.OperationalError(f"{self._path}: {error.strerror}") from error
        if found != self._inode:
            raise sqlite3.OperationalError(f"{self._path}: replaced by another file")

    def _insert(self, table: str, key: str, columns: int, rows: Iterable[Row]) -> None:
        # Not OR IGNORE, which would also drop a row that breaks another rule of the table.
        places = ", ".join("?" * columns)
        self._database.executemany(
            f"INSERT INTO {table} VALUES ({places}) ON CONFLICT ({key}) DO NOTHING", rows
        )

    def _symbol(self, number: int) -> str:
        return self._symbols[number] if number < len(self._symbols) else f"#{number}"

    def _refused_symbol(self, record: np.void) -> str:
        """One label for all symbols that nobody configured, however many come."""
        is_unknown = record["reason"] == QuarantineReason.UNKNOWN_SYMBOL
        return "unknown" if is_unknown else self._symbol(int(record["instrument"]))

    def _decisions(self, slots: Slots) -> None:
        rows = (self._decision(*row) for row in _rows(slots, "DECISION"))
        self._insert("decisions", "journal_sequence", 11, rows)

    def _decision(self, sequence: int, ts_ns: int, record: np.void) -> Row:
        return (
            sequence,
            ts_ns,
            int(record["bar_start_ts_ns"]),
            self._symbol(int(record["instrument"])),
            word(Action, record["action"]),
            int(record["acts"]),
            *(float(p) for p in record["probability"]),
            int(record["agents"]),
            _votes(record),
        )

    def _tactical_decisions(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                int(record["bar_start_ts_ns"]),
                self._symbol(int(record["instrument"])),
                *(int(record[name]) for name in ("model", "enters", "direction", "standing")),
                float(record["score"]),
                word(Action, record["fvg"]),
                word(Action, record["momentum"]),
                word(EntryVote, record["entry"]),
                int(record["synergy_type"]),
                int(record["agents"]),
                _votes(record),
            )
            for sequence, ts_ns, record in _rows(slots, "TACTICAL_DECISION")
        )
        self._insert("tactical_decisions", "journal_sequence", 15, rows)

    def _synergies(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                int(record["ts_ns"]),
                self._symbol(int(record["instrument"])),
                int(record["type"]),
                int(record["direction"]),
                float(record["confidence"]),
                *(float(strength) for strength in record["strength"]),
                *(int(age) for age in record["age_s"]),
                int(record["close_ticks"]),
                float(record["volatility_30"]),
                float(record["atr_ticks"]),
            )
            for sequence, ts_ns, record in _rows(slots, "SYNERGY")
        )
        self._insert("synergies", "journal_sequence", 16, rows)

    def _intents(self, slots: Slots) -> None:
        """What an order says of itself; written in the step that hands it to io."""
        self._orders(_rows(slots, "NEW_ORDER"), lambda _: (0, "sent"))

    def _found_orders(self, slots: Slots) -> None:
        """Orders whose INTENT a loss of power took: what the venue says that they are."""
        self._orders(
            _rows(slots, "RANGE_ORDER"),
            lambda record: (int(record["filled_lots"]), word(OrderState, record["state"])),
        )

    def _orders(
        self,
        found: Iterable[tuple[int, int, Any]],
        filled_and_state: Callable[[Any], tuple[int, str]],
    ) -> None:
        rows = (
            (
                order_id(record["id"]),
                sequence,
                ts_ns,
                int(record["decision_bar_start_ts_ns"]),
                self._symbol(int(record["instrument"])),
                word(Side, record["side"]),
                word(OrderType, record["type"]),
                word(OrderReason, record["reason"]),
                int(record["price_ticks"]),
                int(record["quantity_lots"]),
                *filled_and_state(record),
                "none",
                0,
                ts_ns,
            )
            for sequence, ts_ns, record in found
        )
        self._insert("orders", "order_id", 15, rows)

    def _order_updates(self, slots: Slots) -> None:
        self._database.executemany(
            "UPDATE orders SET filled_lots = ?, state = ?, reject_reason = ?, tombstoned = ?, "
            "updated_ts_ns = ? WHERE order_id = ?",
            (
                (
                    int(record["filled_lots"]),
                    word(OrderState, record["state"]),
                    word(RejectReason, record["reject_reason"]),
                    int(record["tombstoned"]),
                    ts_ns,
                    order_id(record["id"]),
                )
                for _, ts_ns, record in _rows(slots, "ORDER_UPDATE")
            ),
        )

    def _fills(self, slots: Slots) -> None:
        rows = (
            (
                _signed(record["execution_id"]),
                order_id(record["id"]),
                self._symbol(int(record["instrument"])),
                word(Side, record["side"]),
                int(record["price_ticks"]),
                int(record["quantity_lots"]),
                int(record["commission_micros"]),
                ts_ns,
                sequence,
            )
            for sequence, ts_ns, record in _rows(slots, "FILL")
        )
        self._insert("fills", "execution_id", 9, rows)

    def _refusals(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                order_id(record["id"]),
                ts_ns,
                int(record["decision_bar_start_ts_ns"]),
                self._symbol(int(record["instrument"])),
                word(Side, record["side"]),
                int(record["quantity_lots"]),
                int(record["price_ticks"]),
                f"R{int(record['code']):02d}",
                int(record["mask"]),
                int(record["value"]),
                int(record["limit"]),
            )
            for sequence, ts_ns, record in _rows(slots, "REFUSAL")
        )
        self._insert("refusals", "journal_sequence", 12, rows)

    def _positions(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                self._symbol(int(record["instrument"])),
                int(record["position_lots"]),
                str(wide_cost(record)),
                int(record["realised_micros"]),
                int(record["unrealised_micros"]),
                int(record["commission_micros"]),
                int(record["round_trips"]),
            )
            for sequence, ts_ns, record in _rows(slots, "POSITION_UPDATE")
        )
        self._insert("positions", "journal_sequence", 9, rows)

    def _book_acceptances(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                bytes(record["break_sha256"]).hex(),
                bytes(record["signatures_sha256"]).hex(),
            )
            for sequence, ts_ns, record in _rows(slots, "BOOKS_ACCEPTED")
        )
        self._insert("book_acceptances", "journal_sequence", 4, rows)

    def _book_adjustments(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                self._symbol(int(record["instrument"])),
                int(record["position_lots"]),
                str(wide(record, "cash_micros")),
                int(record["commission_micros"]),
                str(wide(record, "adjusted_micros")),
            )
            for sequence, ts_ns, record in _rows(slots, "BOOKS_ADJUSTED")
        )
        self._insert("book_adjustments", "journal_sequence", 7, rows)

    def _reader_refusals(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                self._symbol(int(record["instrument"])),
                "reader",
                _signed(record["line"]),
                None,
                word(QuarantineReason, record["reason"]),
            )
            for sequence, ts_ns, record in _rows(slots, "QUARANTINE")
        )
        self._insert("quarantine", "journal_sequence", 7, rows)

    def _kernel_quarantines(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                self._symbol(int(record["instrument"])),
                int(record["kernel"]),
                bytes(record["sha256"]).hex(),
                word(KernelStatus, record["status"]),
                word(KernelPolicy, record["policy"]),
            )
            for sequence, ts_ns, record in _rows(slots, "KERNEL_STATE")
        )
        self._insert("kernel_quarantines", "journal_sequence", 7, rows)

    def _engine_refusals(self, slots: Slots) -> None:
        rows = (
            (
                sequence,
                ts_ns,
                self._refused_symbol(record),
                "engine",
                None,
                int(record["start_ts_ns"]),
                word(QuarantineReason, record["reason"]),
            )
            for sequence, ts_ns, record in _rows(slots, "BAR_QUARANTINED")
        )
        self._insert("quarantine", "journal_sequence", 7, rows)


def order_id(record: np.void) -> str:
    """Name an order as people see it: installation-epoch-counter."""
    return f"{int(record['installation'])}-{int(record['epoch'])}-{int(record['counter'])}"


def word(kind: type[IntEnum], number: int) -> str:
    """Name a number of the wire in lower case; one that has no name stays a number: ``#99``."""
    try:
        return kind(int(number)).name.lower()
    except ValueError:
        return f"#{int(number)}"


def wide(record: np.void, name: str) -> int:
    """Join the two halves of a 128-bit number."""
    return (int(record[name + "_high"]) << 64) | (int(record[name + "_low"]) & (2**64 - 1))


def wide_cost(record: np.void) -> int:
    """Total cost of a position, in ticks x lots."""
    return wide(record, "cost")


def _signed(number: int) -> int:
    """SQLite counts to 2^63: what a peer numbers beyond wraps, and stays unique."""
    return (int(number) + 2**63) % 2**64 - 2**63


def _votes(record: np.void) -> str:
    """JSON of every agent's probabilities, with the digits that a float32 has."""
    return json.dumps([[float(f"{p:.9g}") for p in agent] for agent in record["agent_probability"]])


def _rows(slots: Slots, kind: str) -> Iterator[tuple[int, int, np.void]]:
    payloads = np.ascontiguousarray(slots["payload"]).view(getattr(layout, kind)).reshape(-1)
    sequences = slots["trailer"]["journal_sequence"].tolist()
    stamps = slots["header"]["receive_ts_ns"].tolist()
    return zip(sequences, stamps, payloads, strict=True)
