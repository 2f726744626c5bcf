"""Every dialect of SPEC §1 reads to the tick, and every refused line has its number and reason."""

import collections
import gzip
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gm
from gm._native import market as native
from gm.calendars import NO_TIME
from gm.errors import BadArgument, BadTape, GmError, UnknownInstrument
from gm.layout import QuarantineReason
from gm.readers import BAR, TAPE_ROW, aggregate_bars, read_bars, read_tape

MINUTE_NS = 60 * 10**9
MONDAY = 1_704_067_200 * 10**9  # 2024-01-01 00:00 UTC
HEADER = "timestamp,open,high,low,close,volume\n"


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="bars.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def rows(*prices, start=MONDAY, minutes=1, values="{0},{0},{0},{0},5") -> str:
    stamps = np.datetime64(start, "ns") + np.arange(len(prices)) * np.timedelta64(minutes, "m")
    return "".join(
        f"{str(stamp)[:19].replace('T', ' ')},{values.format(price)}\n"
        for stamp, price in zip(stamps, prices, strict=True)
    )


def test_layouts_are_those_of_the_core() -> None:
    assert native.sizes() == {
        name: getattr(native, name).itemsize for name in ("BAR", "TEXT_ROW", "PRICE_LEVEL")
    }
    assert BAR.names == (
        "start_ts_ns", "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots",
        "flags",
    )  # fmt: skip
    names = [reason.name.lower() for reason in QuarantineReason]
    assert names == list(native.REASONS)


def test_a_plain_file_reads_to_the_tick(write) -> None:
    path = write(HEADER + "2024-01-01 00:00:00.000000,46319.0,46385,46318,46377,2300413.72954\n"
                 "2024-01-01 00:01:00,46377,46411.0,46377,46411.0,0.00015\n")  # fmt: skip
    result = gm.read_bars(path, instrument="BTC-PERP")
    assert result.bars.dtype == BAR
    assert result.bars.tolist() == [
        (MONDAY, 46319, 46385, 46318, 46377, 23_004_137_295, 0),
        (MONDAY + MINUTE_NS, 46377, 46411, 46377, 46411, 2, 0),
    ]
    assert result.quarantine == []
    assert (result.bar_minutes, result.timezone, result.day_first) == (1, "UTC", None)
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp,Open,High,Low,Close,Volume",
        "Date,Open,High,Llow,Close,Volume",
        "timestamp_utc, open , high , low , close , volume",
        '"DATE","OPEN","HIGH","LOW","CLOSE","VOLUME"',
    ],
)
def test_the_header_may_be_written_in_many_ways(write, header) -> None:
    got = read_bars(write(header + "\n" + rows(100, 101)), "BTC-PERP")
    assert got.bars["close_ticks"].tolist() == [100, 101]


def test_columns_stand_where_the_header_says(write) -> None:
    text = "phase,volume,close,low,high,open,date\nx,7,103,99,105,100,2024-01-01\n"
    got = read_bars(write(text), "BTC-PERP", bar_minutes=5)
    assert got.bars.tolist() == [(MONDAY, 100, 105, 99, 103, 70_000, 0)]


def test_semicolons_tabs_bom_crlf_and_empty_lines(write) -> None:
    plain = HEADER + rows(100, 101)
    expected = read_bars(write(plain), "BTC-PERP").bars.tolist()
    for text in (
        "\ufeff" + plain,
        plain.replace("\n", "\r\n"),
        plain.replace("\n", "\n\n\r\n"),
        "\n\r\n" + plain,
        plain.replace(",", ";"),
        plain.replace(",", "\t"),
        plain.removesuffix("\n"),
    ):
        assert read_bars(write(text), "BTC-PERP").bars.tolist() == expected, text


def test_gzip_is_told_by_its_bytes_and_hashed_as_it_lies_on_disk(write) -> None:
    plain = HEADER + rows(*range(100, 150))
    packed = gzip.compress(plain[:400].encode()) + gzip.compress(plain[400:].encode())
    path = write(packed, "named.csv")
    got = read_bars(path, "BTC-PERP")
    assert got.bars["close_ticks"].tolist() == list(range(100, 150))
    assert got.sha256 == hashlib.sha256(packed).hexdigest()
    with pytest.raises(BadTape, match="ends in the middle"):
        read_bars(write(packed[:-9]), "BTC-PERP")
    with pytest.raises(BadTape, match="damaged gzip"):
        read_bars(write(packed[:40] + b"xxxx" + packed[44:]), "BTC-PERP")


def test_a_line_over_64_kib_is_refused_also_inside_a_gzip_bomb(write) -> None:
    text = HEADER + rows(100) + "x" * 50_000_000 + "\n" + rows(101, start=MONDAY + MINUTE_NS)
    got = read_bars(write(gzip.compress(text.encode(), 1)), "BTC-PERP")
    assert got.quarantine == [(3, "line_too_long")]
    assert got.bars["close_ticks"].tolist() == [100, 101]


def test_half_a_row_at_the_end_is_malformed(write) -> None:
    got = read_bars(write(HEADER + rows(100, 101) + "2024-01-01 00:02:00,10"), "BTC-PERP")
    assert got.quarantine == [(4, "malformed")]


def test_no_volume_column_is_zero_and_flagged(write) -> None:
    text = "timestamp,open,high,low,close\n" + rows(100, 101, values="{0},{0},{0},{0}")
    got = read_bars(write(text), "BTC-PERP")
    assert got.bars["volume_lots"].tolist() == [0, 0]
    assert got.bars["flags"].tolist() == [2, 2]


# Dates


def test_day_first_in_two_forms_in_one_file(write) -> None:
    text = HEADER + "".join(
        f"{stamp},100,100,100,100,1\n"
        for stamp in ("29/06/2020 23:30:00", "30/06/2020 01:00:00", "1/7/2020 1:00",
                      "1/7/2020 1:30", "02/07/2020 01:30:00")
    )  # fmt: skip
    got = read_bars(write(text), "BTC-PERP", bar_minutes=30)
    stamps = got.bars["start_ts_ns"].astype("M8[ns]").astype("M8[m]").astype(str).tolist()
    assert stamps == ["2020-06-29T23:30", "2020-06-30T01:00", "2020-07-01T01:00",
                      "2020-07-01T01:30", "2020-07-02T01:30"]  # fmt: skip
    assert got.day_first is True


def test_month_first_is_told_likewise(write) -> None:
    text = HEADER + "".join(
        f"{month}/{day}/2020 10:00,100,100,100,100,1\n" for month in (6, 7) for day in (1, 2, 9)
    )
    got = read_bars(write(text), "BTC-PERP", bar_minutes=30)
    assert got.day_first is False
    assert got.quarantine == [(5, "future")]  # a hole of more than ten days


def test_if_both_readings_go_forward_the_caller_must_say(write) -> None:
    text = HEADER + "1/7/2020 1:00,1,1,1,1,1\n1/7/2020 1:30,1,1,1,1,1\n"
    with pytest.raises(BadArgument, match="say day_first=True or False"):
        read_bars(write(text), "BTC-PERP")
    for day_first, month in ((True, 7), (False, 1)):
        got = read_bars(write(text), "BTC-PERP", day_first=day_first)
        assert got.bars["start_ts_ns"][0].astype("M8[ns]").astype("M8[M]").astype(int) % 12 == (
            month - 1
        )


def test_dates_that_are_the_same_in_both_readings_need_no_answer(write) -> None:
    text = HEADER + "1/1/2020 1:00,1,1,1,1,1\n1/1/2020 1:30,1,1,1,1,1\n"
    assert read_bars(write(text), "BTC-PERP").day_first is None


def test_a_little_dirt_does_not_hide_the_order_of_dates(write) -> None:
    days = [f"{day}/6/2020 1:00" for day in range(1, 31)]
    days[20] = "1/6/2019 1:00"
    text = HEADER + "".join(f"{day},1,1,1,1,1\n" for day in days)
    got = read_bars(write(text), "BTC-PERP", bar_minutes=30)
    assert got.day_first is True
    assert got.quarantine == [(22, "backward_time")]


# Zones


def test_the_instrument_says_what_naive_stamps_mean(write) -> None:
    text = HEADER + rows("100.25", "100.5", minutes=30)
    got = read_bars(write(text), "NQ")
    assert got.timezone == "Europe/Athens"
    assert got.bars["start_ts_ns"][0] == MONDAY - 120 * MINUTE_NS
    got = read_bars(write(text), "NQ", timezone="America/New_York")
    assert got.bars["start_ts_ns"][0] == MONDAY + 300 * MINUTE_NS


def test_a_header_that_says_utc_goes_before_the_instrument(write) -> None:
    path = write("timestamp_utc" + HEADER.removeprefix("timestamp") + rows("100.25", "100.5"))
    assert read_bars(path, "NQ").bars["start_ts_ns"][0] == MONDAY
    assert read_bars(path, "NQ", timezone="UTC").timezone == "UTC"
    with pytest.raises(BadArgument, match="the header says UTC, timezone says Europe/Athens"):
        read_bars(path, "NQ", timezone="Europe/Athens")


def test_an_offset_in_the_stamp_goes_before_any_zone(write) -> None:
    text = HEADER + "".join(
        f"{stamp},1,1,1,1,1\n"
        for stamp in ("2024-01-01T00:00:00Z", "2024-01-01T02:01:00+02:00",
                      "2023-12-31 19:02:00-0500")
    )  # fmt: skip
    got = read_bars(write(text), "BTC-PERP", timezone="Asia/Tokyo")
    assert got.bars["start_ts_ns"].tolist() == [MONDAY + i * MINUTE_NS for i in range(3)]


def test_clock_changes_both_ways(write) -> None:
    spring = ["01:00", "01:30", "02:00", "02:30", "03:00"]
    text = HEADER + "".join(f"2024-03-10 {t},1,1,1,1,1\n" for t in spring)
    got = read_bars(write(text), "SPY", bar_minutes=30)
    assert got.quarantine == [(4, "nonexistent_time"), (5, "nonexistent_time")]
    assert np.diff(got.bars["start_ts_ns"]).tolist() == [30 * MINUTE_NS] * 2
    autumn = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]
    text = HEADER + "".join(f"2024-11-03 {t},1,1,1,1,1\n" for t in autumn)
    got = read_bars(write(text), "SPY", bar_minutes=30)
    assert got.quarantine == []
    assert np.diff(got.bars["start_ts_ns"]).tolist() == [30 * MINUTE_NS] * 5


def test_bars_outside_sessions_are_flagged(write) -> None:
    text = HEADER + "2024-03-07 21:59,1,1,1,1,1\n2024-03-07 22:00,1,1,1,1,1\n"
    got = read_bars(write(text), "NQ", timezone="UTC")
    assert got.bars["flags"].tolist() == [0, 4]


# Quarantine


def reasons(path, instrument="BTC-PERP", **options):
    return read_bars(path, instrument, **options).quarantine


def test_every_reason_is_listed_with_its_line(write) -> None:
    lines = [
        "2024-01-01 00:00,100,110,90,105,1",
        "2024-01-01 00:01,100,110,90,inf,1",
        "2024-01-01 00:02,100,110,,105,1",
        "2024-01-01 00:03,100,110,90,105.5,1",
        "2024-01-01 00:04,100,110,-90,105,1",
        "2024-01-01 00:05,100,110,90,105,-1",
        "2024-01-01 00:06,100,104,90,105,1",
        "2024-01-01 00:07,100,1e30,90,105,1",
        "2024-01-01 00:00,100,110,90,105,1",
        "2023-12-31 23:00,100,110,90,105,1",
        "2099-01-01 00:00,100,110,90,105,1",
        "2024-01-01 00:11,900,910,890,905,1",
        "2024-01-01 00:12,100,110,90,abc,1",
        "2024-01-01 00:13,100,110,90,105",
        "no time,100,110,90,105,1",
        "2024-01-01 00:14,100,110,90,105,1",
    ]
    assert reasons(write(HEADER + "\n".join(lines))) == [
        (3, "not_finite"),
        (4, "not_finite"),
        (5, "off_grid"),
        (6, "below_floor"),
        (7, "negative_volume"),
        (8, "contradiction"),
        (9, "overflow"),
        (10, "duplicate_time"),
        (11, "backward_time"),
        (12, "future"),
        (13, "jump_band"),
        (14, "malformed"),
        (15, "malformed"),
        (16, "malformed"),
    ]


def test_a_price_within_a_billionth_of_a_tick_is_on_it(write) -> None:
    values = "{0},{0},{0},{0},1"
    text = HEADER + rows("1.10000", "1.100050000000001", "1.1000500001", values=values)
    assert reasons(write(text), "6E") == [(4, "off_grid")]


@pytest.mark.parametrize("year", [1900, 1951, 2110])
def test_one_stray_stamp_of_another_century_costs_two_rows_at_most(write, year) -> None:
    text = HEADER + f"{year}-03-07 10:00,100,100,100,100,1\n" + rows(*[100] * 9)
    for instrument in ("NQ", "SPY", "BTC-PERP", "GBPUSD"):
        got = read_bars(write(text), instrument)
        assert len(got.bars) >= 9
        assert {reason for _, reason in got.quarantine} == {"future"}


def test_three_rows_at_a_new_level_are_believed_at_the_third(write) -> None:
    text = HEADER + rows(100_000, 200_000, 200_100, 200_050, 200_000)
    assert reasons(write(text)) == [(3, "jump_band"), (4, "jump_band")]


def test_the_tape_keeps_what_the_engine_is_to_refuse(write) -> None:
    text = HEADER + rows(100_000, "x", 100_000) + rows(100_000) + rows(900_000, -5, start=MONDAY
                         + 9 * MINUTE_NS)  # fmt: skip
    tape = read_tape(write(text), "BTC-PERP")
    assert tape.rows.dtype == TAPE_ROW
    assert tape.rows["line"].tolist() == [2, 3, 4, 5, 6, 7]
    assert tape.rows["reason"].tolist() == [0, QuarantineReason.MALFORMED, 0, 0, 0, 0]
    assert tape.rows["close_ticks"].tolist() == [100_000, 0, 100_000, 100_000, 900_000, -5]
    assert tape.rows["start_ts_ns"][3] == MONDAY
    assert tape.bar_minutes == 1
    bars = read_bars(write(text), "BTC-PERP")
    assert len(bars.bars) + len(bars.quarantine) == len(tape.rows)


def test_rows_without_a_time_have_none_on_the_tape(write) -> None:
    tape = read_tape(write(HEADER + rows(100, 101) + "?,1,1,1,1,1\n"), "BTC-PERP")
    assert tape.rows["start_ts_ns"][2] == NO_TIME


def test_trades_are_told_by_their_header(write) -> None:
    text = (
        "timestamp,price,size\n"
        "2024-01-01 00:00:00.000000001,100,1.5\n"
        "2024-01-01 00:00:00.000000001,101,2\n"
        "2024-01-01 00:00:01,100.5,2\n"
        "2024-01-01 00:00:02,99,-2\n"
    )
    tape = read_tape(write(text), "BTC-PERP")
    assert (tape.is_trades, tape.bar_minutes) == (True, 0)
    assert tape.rows["start_ts_ns"].tolist() == [
        MONDAY + 1, MONDAY + 1, MONDAY + 10**9, MONDAY + 2 * 10**9,
    ]  # fmt: skip
    for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        assert tape.rows[name].tolist() == [100, 101, 0, 99]
    assert tape.rows["volume_lots"].tolist() == [15_000, 20_000, 0, -20_000]
    assert tape.rows["reason"].tolist() == [0, 0, QuarantineReason.OFF_GRID, 0]
    assert not read_tape(write(HEADER + rows(100, 101)), "BTC-PERP").is_trades
    with pytest.raises(BadArgument, match="holds trades, not bars: say bar_minutes"):
        read_bars(write(text), "BTC-PERP")


def test_trades_become_bars_when_somebody_says_how_long(write) -> None:
    text = (
        "timestamp,price,size\n"
        "2024-01-01 00:00:00,100,1\n"
        "2024-01-01 00:00:00,103,0.5\n"
        "2024-01-01 00:04:59,99,2\n"
        "2024-01-01 00:04:00,99,2\n"
        "2024-01-01 00:10:00,101,1\n"
        "2024-01-01 00:15:00,102,1\n"
    )
    got = read_bars(write(text), "BTC-PERP", bar_minutes=5)
    assert got.bars.tolist() == [
        (MONDAY, 100, 103, 99, 99, 35_000, 0),
        (MONDAY + 5 * MINUTE_NS, 99, 99, 99, 99, 0, 1),
        (MONDAY + 10 * MINUTE_NS, 101, 101, 101, 101, 10_000, 0),
    ]
    assert got.quarantine == [(5, "backward_time")]
    assert got.bar_minutes == 5


# Bar sizes and aggregation


def test_the_size_of_bars_is_the_most_common_distance(write) -> None:
    text = HEADER + rows(1, 1, 1, minutes=5) + rows(1, 1, start=MONDAY + 60 * MINUTE_NS, minutes=30)
    assert read_bars(write(text), "BTC-PERP").bar_minutes == 5
    assert read_bars(write(text), "BTC-PERP", bar_minutes=1).bar_minutes == 1
    with pytest.raises(BadArgument, match="say bar_minutes"):
        read_bars(write(HEADER + rows(1)), "BTC-PERP")
    seconds = HEADER + "2024-01-01 00:00:00,1,1,1,1,1\n2024-01-01 00:00:15,1,1,1,1,1\n"
    with pytest.raises(BadArgument, match="bars of 15 s are not whole minutes"):
        read_bars(write(seconds), "BTC-PERP")
    with pytest.raises(BadArgument, match="bar_minutes must be within"):
        read_bars(write(text), "BTC-PERP", bar_minutes=0)


def test_minutes_become_half_hours_with_holes_filled(write) -> None:
    text = HEADER + rows(*range(1000, 1030)) + rows(*[1100] * 31, start=MONDAY + 90 * MINUTE_NS)
    bars = read_bars(write(text), "BTC-PERP").bars
    got = gm.aggregate_bars(bars, "BTC-PERP", minutes=30)
    assert got.dtype == bars.dtype
    lots = 30 * 50_000
    assert got.tolist() == [
        (MONDAY, 1000, 1029, 1000, 1029, lots, 0),
        (MONDAY + 30 * MINUTE_NS, 1029, 1029, 1029, 1029, 0, 1),
        (MONDAY + 60 * MINUTE_NS, 1029, 1029, 1029, 1029, 0, 1),
        (MONDAY + 90 * MINUTE_NS, 1100, 1100, 1100, 1100, lots, 0),
    ]
    packed = np.array(bars.tolist(), [(name, BAR[name]) for name in BAR.names])  # no padding
    assert aggregate_bars(packed, "BTC-PERP").tolist() == got.tolist()
    assert aggregate_bars(bars[:0], "BTC-PERP").dtype == BAR


def test_aggregation_refuses_what_makes_no_sense(write) -> None:
    bars = read_bars(write(HEADER + rows(1, 1, 1, minutes=60)), "BTC-PERP").bars
    with pytest.raises(BadArgument, match="do not fit into 30 minutes"):
        aggregate_bars(bars, "BTC-PERP", 30)
    with pytest.raises(BadArgument, match="must divide a day of 1440: 7"):
        aggregate_bars(bars, "BTC-PERP", 7, bar_minutes=5)
    with pytest.raises(BadArgument, match="minutes must be within"):
        aggregate_bars(bars, "BTC-PERP", 0)
    with pytest.raises(BadArgument, match="must ascend"):
        aggregate_bars(bars[::-1], "BTC-PERP", 60, bar_minutes=60)


# Files that are not bars


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "names no column for time"),
        ("\n\n\n", "names no column for time"),
        ("2024-01-01,1,1,1,1,1\n", "line 1 names no column for time, open, high, low, close"),
        ("timestamp,open,high,close\n", "names no column for low"),
        ("timestamp,price\n", "names no column for size"),
        ("timestamp,date,open,high,low,close\n", "names two columns for time"),
        ("timestamp,open,high,low,close,close\n", "names two columns for close"),
        ("x" * 70_000, "the header is longer than 65536 bytes"),
        ("\x00\xff\xfe", "names no column"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(write, text, error) -> None:
    with pytest.raises(BadTape, match=error):
        read_bars(write(text), "BTC-PERP")


def test_a_header_alone_is_a_file_without_bars(write) -> None:
    got = read_bars(write(HEADER), "BTC-PERP")
    assert (len(got.bars), got.quarantine, got.bar_minutes) == (0, [], 0)
    assert read_bars(write(HEADER + "x\n" * 9), "BTC-PERP").quarantine == [
        (line, "malformed") for line in range(2, 11)
    ]


def test_an_unknown_instrument_or_file_is_refused(write, tmp_path) -> None:
    with pytest.raises(UnknownInstrument):
        read_bars(write(HEADER), "NOPE")
    with pytest.raises(FileNotFoundError):
        read_bars(tmp_path / "absent.csv", "NQ")


pieces = st.sampled_from([
    "2024-01-01 00:00", "1/7/2020 1:00", "13/1/2020 1:00", "2099-01-01", "100", "1e308", "-1",
    "nan",
    ",", ",", ",", "\n", "\n", "\r\n", "100,100,100,100,1\n", '"', "\x00", "é", ";",
])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces, max_size=60), st.sampled_from(["BTC-PERP", "NQ", "GBPUSD"]))
def test_no_text_does_more_than_be_refused(tmp_path_factory, parts, instrument) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "bars.csv"
    path.write_text(HEADER + "".join(parts))
    try:
        got = read_bars(path, instrument)
    except GmError:
        return
    assert (np.diff(got.bars["start_ts_ns"]) > 0).all()
    assert (got.bars["high_ticks"] >= got.bars["low_ticks"]).all()
    counts = collections.Counter(reason for _, reason in got.quarantine)
    assert set(counts) <= set(native.REASONS)
