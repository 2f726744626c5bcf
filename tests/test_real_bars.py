"""The real files of GM_DATA read as its README says: counts, reasons, sessions, gaps."""

import collections
import os
import time
from pathlib import Path

import numpy as np
import pytest

from gm.calendars import HOUR_NS
from gm.layout import BAR_OUT_OF_SESSION, BAR_SYNTHETIC, QuarantineReason
from gm.readers import aggregate_bars, read_bars, read_tape

pytestmark = pytest.mark.data


def data(name: str) -> Path:
    path = Path(os.environ["GM_DATA"]) / name
    assert path.exists(), f"{path} is missing"
    return path


def counted(result) -> dict[str, int]:
    return dict(collections.Counter(reason for _, reason in result.quarantine))


def flagged(bars, flag) -> int:
    return int((bars["flags"] & flag != 0).sum())


def test_nq_is_clean_day_first_and_on_the_tick() -> None:
    result = read_bars(data("nq_30m_eth.csv"), "NQ")
    assert (len(result.bars), result.quarantine) == (56_083, [])
    assert (result.day_first, result.bar_minutes, result.timezone) == (True, 30, "Europe/Athens")
    assert result.bars["open_ticks"][0] == 9785.5 * 4
    assert result.bars["start_ts_ns"][0].astype("M8[ns]").astype("M8[m]") == np.datetime64(
        "2020-06-28T22:00"
    )


def test_nq_bars_outside_sessions_are_where_the_calendar_is_known_to_differ() -> None:
    bars = read_bars(data("nq_30m_eth.csv"), "NQ").bars
    outside = bars[bars["flags"] & BAR_OUT_OF_SESSION != 0]["start_ts_ns"].astype("M8[ns]")
    by_day = collections.Counter(outside.astype("M8[D]").astype(str).tolist())
    # Good Fridays and a day of mourning on which the morning traded: 31 bars each.
    for evening, morning in (("2021-04-01", "2021-04-02"), ("2023-04-06", "2023-04-07"),
                             ("2025-01-08", "2025-01-09")):  # fmt: skip
        assert by_day.pop(evening) + by_day.pop(morning) == 31
    # The quarter hour behind 13:00 on days that close early for equity products only.
    for day in ("2020-11-27", "2020-12-24", "2021-11-26", "2022-11-25", "2023-11-24",
                "2024-11-29", "2024-12-24"):  # fmt: skip
        assert by_day.pop(day) == 1
    # Fridays before Europe's clocks change, see the next test.
    for day in ("2021-03-26", "2022-03-25", "2023-03-24", "2025-03-28"):
        assert by_day.pop(day) == 2
    assert by_day == {}


def test_nq_was_stamped_where_clocks_change_two_days_before_those_of_athens() -> None:
    # Israel goes to summer time on the Friday before the last Sunday of March, Greece on the
    # Sunday. Read as Athens, those Fridays are an hour late: 42 bars a year, of which two seem to
    # lie in the pause, with a hole of two bars in the night before.
    athens = read_bars(data("nq_30m_eth.csv"), "NQ")
    israel = read_bars(data("nq_30m_eth.csv"), "NQ", timezone="Asia/Jerusalem")
    late = athens.bars["start_ts_ns"] - israel.bars["start_ts_ns"]
    days = collections.Counter(
        israel.bars["start_ts_ns"][late == HOUR_NS].astype("M8[ns]").astype("M8[D]").astype(str)
    )
    assert dict(days) == {"2021-03-26": 42, "2022-03-25": 42, "2023-03-24": 42, "2025-03-28": 42}
    assert set(late.tolist()) == {0, HOUR_NS}
    assert flagged(athens.bars, BAR_OUT_OF_SESSION) - flagged(israel.bars, BAR_OUT_OF_SESSION) == 8
    holes = [flagged(aggregate_bars(r.bars, "NQ"), BAR_SYNTHETIC) for r in (athens, israel)]
    assert holes == [3_180, 3_172]


def test_btc_refuses_thirteen_closes_off_the_tick() -> None:
    result = read_bars(data("btc_perp_1m_202201.csv"), "BTC-PERP")
    assert counted(result) == {"off_grid": 13}
    assert len(result.bars) == 45_031 - 13
    assert flagged(result.bars, BAR_OUT_OF_SESSION) == 0
    five, thirty = (aggregate_bars(result.bars, "BTC-PERP", minutes) for minutes in (5, 30))
    assert (len(five), len(thirty)) == (9_006, 1_501)
    assert (flagged(five, BAR_SYNTHETIC), flagged(thirty, BAR_SYNTHETIC)) == (1, 0)
    assert thirty["volume_lots"].sum() <= result.bars["volume_lots"].sum()


def test_6e_keeps_the_daily_pause() -> None:
    result = read_bars(data("6eh4_1m_202401.csv.gz"), "6E")
    assert (len(result.bars), result.quarantine) == (29_996, [])
    # 22 stamps at 17:00 to the minute, and the afternoon of Martin Luther King Day.
    assert flagged(result.bars, BAR_OUT_OF_SESSION) == 177
    assert flagged(aggregate_bars(result.bars, "6E", 30), BAR_SYNTHETIC) == 0


ADVERSARIAL = {
    "attack_bull_trap": {"off_grid": 100},
    "attack_coordinated": {"off_grid": 100},
    "attack_fake_breakout": {"off_grid": 100},
    "attack_whipsaw": {"off_grid": 100},
    "extreme_corrupted_timestamps": {"off_grid": 102},
    "extreme_extreme_volatility": {"off_grid": 100},
    "extreme_infinity_values": {"not_finite": 13, "off_grid": 87},
    "extreme_mixed_chaos": {"not_finite": 36, "off_grid": 22, "overflow": 42},
    "extreme_nan_values": {"not_finite": 53, "off_grid": 47},
    "extreme_precision_edge_cases": {"below_floor": 10, "off_grid": 60, "overflow": 10},
    "extreme_zero_negative": {"off_grid": 100},
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_files_are_refused_raw(name) -> None:
    path = data(f"adversarial/{name}.csv")
    result = read_bars(path, "NQ", timezone="UTC")
    assert counted(result) == ADVERSARIAL[name]
    tape = read_tape(path, "NQ", timezone="UTC")
    assert len(tape.rows) == len(result.bars) + len(result.quarantine)
    # Each refusal of the reader is one of the whole, and the venue sends the other rows as read.
    refused = {
        (int(row["line"]), QuarantineReason(row["reason"]).name.lower())
        for row in tape.rows[tape.rows["reason"] != 0]
    }
    assert refused <= set(result.quarantine)
    by_engine = {reason for _, reason in set(result.quarantine) - refused}
    assert by_engine <= {"below_floor", "overflow", "jump_band"}


def test_fifty_thousand_rows_take_about_a_tenth_of_a_second() -> None:
    read_bars(data("nq_30m_eth.csv"), "NQ")  # pandas is loaded once
    started = time.perf_counter()
    read_bars(data("nq_30m_eth.csv"), "NQ")
    assert time.perf_counter() - started < 2.0  # twenty times what it takes: a guard, no benchmark
