"""Hostile files that the corpus of real data lacks, each with what must become of its rows."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gm.layout import RecordType
from gm.readers import read_bars, read_ticks
from gm.readers.events import refusals

HEADER = "timestamp,open,high,low,close,volume\n"
LONG_LINE_BYTES = 100_000_000
SYMBOLS = 10_000


class Case(NamedTuple):
    """A file, and how many of its rows are accepted and refused, by reason."""

    instrument: str
    content: Callable[[], bytes]
    accepted: int
    refused: dict[str, int]
    timezone: str | None = None
    is_ticks: bool = False


def bars(start: str, prices: list[float], minutes: int = 30) -> list[str]:
    first = np.datetime64(start)
    return [
        f"{first + np.timedelta64(i * minutes, 'm')},{p},{p},{p},{p},10"
        for i, p in enumerate(prices)
    ]


def csv(lines: list[str]) -> bytes:
    return (HEADER + "\n".join(lines) + "\n").encode()


def at(stamps: list[str]) -> bytes:
    return csv([f"{stamp},100,101,99,100,10" for stamp in stamps])


def flash_crash() -> bytes:
    """Two bars 40 % down, then back: a third at the new level would be believed."""
    return csv(bars("2024-01-09T16:00", [15_000] * 20 + [9_000] * 2 + [15_000] * 20))


def crash_that_stays() -> bytes:
    """The same, and it stays: two rows are the price of believing the third."""
    return csv(bars("2024-01-09T16:00", [15_000] * 20 + [9_000] * 22))


def crash_within_a_bar() -> bytes:
    lines = bars("2024-01-09T16:00", [15_000] * 9)
    lines[5] = lines[5].replace("15000,15000,15000", "15000,15000,9000")
    return csv(lines)


def negative_crude() -> bytes:
    """The May contract of 2020-04-20: from 10 dollars through zero to -37.63 and back to 1."""
    down = [round(10 - 0.5 * i, 2) for i in range(96)]
    return csv(bars("2020-04-20T04:00", [*down, -37.63, *[-37.5 + 0.5 * i for i in range(78)]], 5))


def long_line() -> bytes:
    """As gzip, so that the file is small; unpacked it is a line of 100 MB between good rows."""
    text = (HEADER + "\n".join(bars("2024-01-02", [100] * 4)) + "\n").encode()
    return gzip.compress(text + b"1" * LONG_LINE_BYTES + b"\n", 1)


def unknown_symbols() -> bytes:
    return b"".join(
        b'1723075200000000002 {"e":"trade","E":1,"T":1723075200000,"s":"S%d","t":1,"p":"1.0",'
        b'"q":"1","X":"MARKET","m":true}\n' % i
        for i in range(SYMBOLS)
    )


GOOD = bars("2024-01-02", [100] * 6)
CASES = {
    "flash_crash": Case("NQ", flash_crash, 40, {"jump_band": 2}, "UTC"),
    "crash_that_stays": Case("NQ", crash_that_stays, 40, {"jump_band": 2}, "UTC"),
    "crash_within_a_bar": Case("NQ", crash_within_a_bar, 8, {"jump_band": 1}, "UTC"),
    "negative_crude": Case("CL", negative_crude, 175, {}, "UTC"),
    "half_a_row": Case("BTC-PERP", lambda: csv(GOOD)[:-12], 5, {"malformed": 1}),
    "byte_order_mark": Case("BTC-PERP", lambda: b"\xef\xbb\xbf" + csv(GOOD), 6, {}),
    "crlf": Case("BTC-PERP", lambda: csv(GOOD).replace(b"\n", b"\r\n"), 6, {}),
    "line_of_100_mb": Case("BTC-PERP", long_line, 4, {"line_too_long": 1}),
    "hour_twice": Case(
        "BTC-PERP",
        lambda: at([f"2024-11-03 {t}" for t in "00:30 01:00 01:30 01:00 01:30 02:00".split()]),
        6, {}, "America/New_York",
    ),
    "hour_skipped": Case(
        "BTC-PERP",
        lambda: at([f"2024-03-10 {t}" for t in "01:00 01:30 02:00 02:30 03:00".split()]),
        3, {"nonexistent_time": 2}, "America/New_York",
    ),
    "year_2038": Case("BTC-PERP", lambda: csv(bars("2038-01-19T03:00", [100] * 4, 5)), 4, {}),
    "year_2262": Case(
        "BTC-PERP", lambda: csv(GOOD + bars("2262-04-11T23:30", [100] * 3)), 6, {"malformed": 3}
    ),
    "unknown_symbols": Case(
        "BTCUSDT", unknown_symbols, 0, {"unknown_symbol": SYMBOLS}, is_ticks=True
    ),
}  # fmt: skip


def read(case: Case, folder: Path) -> tuple[int, dict[str, int]]:
    """What becomes of the rows: accepted, and refused by reason."""
    path = folder / "hostile"
    path.write_bytes(case.content())
    if case.is_ticks:
        events = read_ticks(path, case.instrument).events
        accepted = int((events["type"] != RecordType.QUARANTINE).sum())
        return accepted, dict(Counter(reason for _, reason in refusals(events)))
    result = read_bars(path, case.instrument, timezone=case.timezone)
    return len(result.bars), dict(Counter(reason for _, reason in result.quarantine))
