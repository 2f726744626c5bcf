"""Promise: any run gives a page that stands alone and lets no text of others become markup."""

import math
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gm.config.run_dir import RunManifest
from gm.errors import ConfigError, DataGap
from gm.layout import OrderState, OrderType, RecordType, Side
from gm.report import SYNTHETIC_NOTE, UNKNOWN_NOTE, write_report
from gm.store.recorder import Recorder

from ..store.journals import journal_of, write_slots

START_NS = 1_641_038_400_000_000_000
HALF_HOUR_NS = 1_800_000_000_000
HOSTILE = '<script src="https://evil.example">"\'&</script>'


class Page(HTMLParser):
    """Collects tags and attributes; a tag that nobody meant to write shows up here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.numbers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "viewbox"):
                self.numbers += re.findall(r"nan|inf|-?\d+(?:\.\d+)?", value or "", re.IGNORECASE)


def trading(symbols: tuple[str, ...]) -> np.ndarray:
    """A bar, a decision, an order, its fill, a refusal and a bad bar for each instrument."""
    records = []
    for number, _ in enumerate(symbols):
        for i in range(3):
            bar = {
                "start_ts_ns": START_NS + i * HALF_HOUR_NS, "open_ticks": 100 + i,
                "high_ticks": 105 + i, "low_ticks": 95, "close_ticks": 101 + i,
                "volume_lots": 7, "duration_s": 1800, "instrument": number,
            }  # fmt: skip
            records.append((RecordType.BAR_CLOSE, bar))
        order = {"id": (1, 1, number + 1), "instrument": number, "side": Side.BUY}
        votes = np.array([[0.7, 0.2, 0.1]] * 3, np.float32)
        records += [
            (RecordType.DECISION, {"bar_start_ts_ns": START_NS, "acts": 1, "agents": 7,
                                   "probability": votes[0], "agent_probability": votes,
                                   "instrument": number}),
            (RecordType.INTENT, order | {"quantity_lots": 2, "type": OrderType.MARKET}),
            (RecordType.FILL, order | {"execution_id": number + 1, "price_ticks": 103,
                                       "quantity_lots": 2}),
            (RecordType.ORDER_UPDATE, {"id": (1, 1, number + 1), "state": OrderState.FILLED}),
            (RecordType.POSITION, {"instrument": number, "position_lots": 2,
                                   "realised_micros": -1_500_000, "round_trips": 1}),
            (RecordType.POSITION, {"instrument": number, "realised_micros": 2_500_000}),
            (RecordType.REFUSAL, {"instrument": number, "code": 6}),
            (RecordType.BAR_QUARANTINED, {"instrument": number, "reason": 10}),
        ]  # fmt: skip
    return journal_of(*records, ts_ns=START_NS)


def make_run(
    run_dir: Path, slots: np.ndarray, symbols: tuple[str, ...] = ("BTC-PERP",), text: str = "USD"
) -> Path:
    """Leave what a run leaves: manifest, settings, journal and database."""
    run_dir.mkdir(exist_ok=True)
    (run_dir / "settings.bin").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    manifest = RunManifest(
        config_sha256="00", settings_sha256=empty, instruments=symbols,
        tick_sizes=("0.25",) * len(symbols), multipliers=("1",) * len(symbols),
        currencies=(text,) * len(symbols), bundle="baseline", bundle_label=f"baseline {text}",
        bundle_sha256="00", agents=(text, "b", "c"),
    )  # fmt: skip
    (run_dir / "run.json").write_bytes(msgspec.json.encode(manifest))
    recorder = Recorder(run_dir / "gm.db", symbols)
    if len(slots):
        write_slots(run_dir, slots)
        recorder.write(slots)
    recorder.close()
    return run_dir


def test_the_timing_of_entries_is_shown_with_its_votes(tmp_path: Path) -> None:
    votes = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], np.float32)
    timed = {
        "bar_start_ts_ns": START_NS, "direction": 1, "standing": 1, "enters": 1, "score": 0.7,
        "agents": 7, "entry": 1, "synergy_type": 2, "agent_probability": votes,
    }  # fmt: skip
    slots = journal_of(
        *((RecordType.TACTICAL_DECISION, timed | {"enters": n, "entry": 2 - n}) for n in (1, 0, 0)),
        ts_ns=START_NS,
    )
    page = report(make_run(tmp_path / "run", slots))
    assert "Timing of entries" in page
    assert "3 on 5-minute bars, 1 of them for an entry; 3 shown" in page
    assert "long (enters)" in page
    assert "wait / execute / aggressive: 0.10 / 0.80 / 0.10" in page
    assert "Timing of entries" not in report(make_run(tmp_path / "none", slots[:0]))


def test_a_database_from_before_there_was_a_tactical_table_is_shown(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", trading(("BTC-PERP",)))
    with sqlite3.connect(run_dir / "gm.db") as database:
        database.execute("DROP TABLE tactical_decisions")
    assert "Timing of entries" not in report(run_dir)


def ledger(run_dir: Path, content: bytes) -> None:
    (run_dir / "venue_ledger.json").write_bytes(content)


def report(run_dir: Path) -> str:
    return write_report(run_dir, run_dir / "report.html").read_text(encoding="utf-8")


def first_line(page: str) -> str:
    return re.sub(r"<[^>]*>", "", page.split("<body>", 1)[1].split("<main>", 1)[0])


def test_a_page_has_every_part_and_fetches_nothing(tmp_path) -> None:
    page = report(make_run(tmp_path, trading(("BTC-PERP", "NQ")), ("BTC-PERP", "NQ")))
    for part in (
        "BTC-PERP", "NQ", "net result", "Equity and drawdown", "Trades on candles",
        "Decisions and votes", "gate refusals", "R06", "order notional", "orders by last state",
        "filled", "quarantine", "jump band", "round trips", "2 lots at 103 ticks", "long",
    ):  # fmt: skip
        assert part in page or part.replace(" ", "_") in page, part
    assert not re.search(r"<script|<link|<img|<iframe|https?:|url\(|@import|\bsrc=", page)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b'{"synthetic": true}', SYNTHETIC_NOTE),
        (b'{"synthetic": false}', ""),
        (b"{}", SYNTHETIC_NOTE),  # not said: not assumed to be real
        (b'{"synth', UNKNOWN_NOTE),
        (b"[]", UNKNOWN_NOTE),
        (None, UNKNOWN_NOTE),
    ],
)
def test_the_first_line_says_what_the_data_are(tmp_path, content, note) -> None:
    make_run(tmp_path, trading(("BTC-PERP",)))
    if content is not None:
        ledger(tmp_path, content)
    assert first_line(report(tmp_path)) == note


def test_hostile_names_and_texts_stay_text(tmp_path) -> None:
    run_dir = make_run(tmp_path, trading((HOSTILE,)), (HOSTILE,), text=HOSTILE)
    database = sqlite3.connect(run_dir / "gm.db")
    with database:
        database.execute("UPDATE orders SET state = ?, reason = ?", (HOSTILE, HOSTILE))
        database.execute("UPDATE quarantine SET reason = ?, refused_by = ?", (HOSTILE,) * 2)
        database.execute("UPDATE refusals SET code = ?", (HOSTILE,))
        database.execute("UPDATE decisions SET action = ?", (HOSTILE,))
        database.execute("UPDATE fills SET side = ?", (HOSTILE,))
    database.close()
    page = report(run_dir)
    assert "<script" not in page
    assert "&lt;script" in page
    assert set(Page(page).tags) <= {
        "html", "head", "meta", "title", "style", "body", "div", "main", "h1", "h2", "h3", "p",
        "b", "span", "svg", "line", "text", "path", "rect", "i", "table", "tr", "th", "td",
        "g", "details", "summary", "thead", "tbody", "section", "small", "header", "footer",
    }  # fmt: skip


def test_a_run_without_a_decision_or_a_bar_still_renders(tmp_path) -> None:
    for name, slots in (
        ("nothing", trading(())),
        ("an epoch", journal_of((RecordType.EPOCH, {"epoch": 1}))),
        ("a bar", trading(("BTC-PERP",))[:1]),
    ):
        page = report(make_run(tmp_path / name, slots))
        assert "BTC-PERP" in page
        assert page.rstrip().endswith("</html>")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_number_that_is_drawn_is_finite(tmp_path, count) -> None:
    slots = trading(("BTC-PERP",))
    kinds = slots["header"]["type"]
    bars = np.flatnonzero(kinds == RecordType.BAR_CLOSE)[:count]
    rest = np.flatnonzero(kinds != RecordType.BAR_CLOSE)
    kept = slots[np.concatenate([bars, rest])].copy()
    kept["trailer"]["journal_sequence"] = kept["trailer"]["commit"] = 1 + np.arange(len(kept))
    page = Page(report(make_run(tmp_path, kept)))
    assert len(page.numbers) > 20
    assert all(math.isfinite(float(number)) for number in page.numbers)
    assert all(abs(float(number)) < 1e5 for number in page.numbers)


def test_what_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="--run-dir"):
        write_report(tmp_path, tmp_path / "report.html")
    make_run(tmp_path, trading(("BTC-PERP",)))
    (tmp_path / "gm.db").unlink()
    with pytest.raises(DataGap, match=r"gm\.db: no database; `gm run`") as caught:
        write_report(tmp_path, tmp_path / "report.html")
    assert caught.value.exit_code == 5
    assert not (tmp_path / "report.html").exists()


def test_a_half_written_status_costs_the_latency_and_nothing_else(tmp_path) -> None:
    make_run(tmp_path, trading(("BTC-PERP",)))
    (tmp_path / "last_status.json").write_bytes(b'{"stages": {')
    assert "Latency by stage" not in report(tmp_path)


def test_a_folder_with_odd_characters_can_be_reported(tmp_path) -> None:
    assert "BTC-PERP" in report(make_run(tmp_path / "100% ?mode=rw#x", trading(("BTC-PERP",))))
