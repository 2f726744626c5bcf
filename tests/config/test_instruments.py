"""The shipped table is that of SPEC §1; one that the core cannot count is refused by name."""

from decimal import Decimal

import pytest

import gm
from gm import layout
from gm.config.instruments import instrument, instruments_path, load_instruments
from gm.errors import ConfigError, UnknownInstrument

NEW_YORK, ATHENS = "America/New_York", "Europe/Athens"
# symbol: tick, volume lot, order lot, multiplier, currency, zone, files, session, floor, band
SPEC = {
    "NQ": ("0.25", "1", "1", "20", "USD", NEW_YORK, ATHENS, "cme", "0", "20"),
    "ES": ("0.25", "1", "1", "50", "USD", NEW_YORK, ATHENS, "cme", "0", "20"),
    "CL": ("0.01", "1", "1", "1000", "USD", NEW_YORK, ATHENS, "cme", "-100", "20"),
    "6E": ("0.00005", "1", "1", "125000", "USD", NEW_YORK, "UTC", "cme", "0", "20"),
    "GBPUSD": ("0.00001", "1", "1", "1", "USD", NEW_YORK, "UTC", "fx", "0", "10"),
    "BTC-PERP": ("1", "0.0001", "0.0001", "0.0001", "USD", "UTC", "UTC", "always", "0", "20"),
    "BTCUSDT": ("0.1", "0.001", "0.001", "0.001", "USDT", "UTC", "UTC", "always", "0", "20"),
    "ETHUSDT": ("0.01", "0.001", "0.001", "0.001", "USDT", "UTC", "UTC", "always", "0", "20"),
    "IBM": ("0.0001", "1", "1", "1", "USD", NEW_YORK, NEW_YORK, "us_equities", "0", "20"),
    "AIG": ("0.0001", "1", "1", "1", "USD", NEW_YORK, NEW_YORK, "us_equities", "0", "20"),
    "SPY": ("0.0001", "1", "1", "1", "USD", NEW_YORK, NEW_YORK, "us_equities", "0", "20"),
}
TICK_VALUE_MICROS = {
    "NQ": 5_000_000, "ES": 12_500_000, "CL": 10_000_000, "6E": 6_250_000, "GBPUSD": 10,
    "BTC-PERP": 100, "BTCUSDT": 100, "ETHUSDT": 10, "IBM": 100, "AIG": 100, "SPY": 100,
}  # fmt: skip


def test_the_shipped_table_is_that_of_the_specification() -> None:
    table = load_instruments()
    assert list(table) == list(SPEC)
    for symbol, row in SPEC.items():
        c = table[symbol]
        assert (c.tick_size, c.volume_lot, c.order_lot) == tuple(map(Decimal, row[:3])), symbol
        assert c.multiplier_per_order_lot == Decimal(row[3])
        assert (c.currency, c.exchange_zone, c.bar_file_timezone, c.session) == row[4:8]
        assert (c.price_floor, c.band_percent) == tuple(map(Decimal, row[8:]))
        is_equity = c.session == "us_equities"
        assert c.order_tick_size == (Decimal("0.01") if is_equity else c.tick_size)
        assert c.tick_value_micros == TICK_VALUE_MICROS[symbol]


def test_a_row_of_the_core_holds_whole_numbers() -> None:
    row = instrument("IBM").to_row()[0]
    assert row.dtype == layout.INSTRUMENT
    assert (row["symbol"], row["currency"]) == (b"IBM", b"USD")
    assert row["tick_size_e9"] == 100_000
    assert row["order_tick_ticks"] == 100
    assert row["tick_value_micros"] == 100
    assert row["band_ppm"] == 200_000
    assert row["session_count"] == 0
    assert instrument("CL").to_row()["price_floor_ticks"][0] == -10_000
    assert instrument("6E").to_row()["tick_size_e9"][0] == 50_000


def test_the_public_name_gives_exact_sizes() -> None:
    assert gm.instrument("NQ").tick_size == Decimal("0.25")
    assert isinstance(gm.instrument("6E").tick_size, Decimal)


def test_an_unknown_symbol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownInstrument, match="'NOPE' is not one of NQ, ES, CL"):
        instrument("NOPE")


GOOD = instruments_path().read_text().split("ES:")[0]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("tick_size: 0.25", "tick_size: 0", r"NQ.tick_size: 0 must be positive"),
        ("tick_size: 0.25", "tick_size: .nan", r"NQ.tick_size"),
        ("tick_size: 0.25", "tick_size: NaN", r"NQ.tick_size: NaN is not within"),
        ("tick_size: 0.25", "tick_size: Infinity", r"NQ.tick_size: Infinity is not within"),
        ("tick_size: 0.25", "tick_size: 1e308", r"NQ.tick_size: 1E\+308 is not within"),
        ("tick_size: 0.25", "tick_size: 0.0000000001", r"NQ.tick_size: .* is finer than 1e-9"),
        ("tick_size: 0.25", "tick_size: true", r"NQ.tick_size"),
        ("tick_size: 0.25", "tick_size: [0.25]", r"NQ.tick_size"),
        ("order_tick_size: 0.25", "order_tick_size: 0.3", r"not a multiple of tick_size 0.25"),
        ("volume_lot: 1", "volume_lot: -1", r"NQ.volume_lot: -1 must be positive"),
        ("multiplier_per_order_lot: 20", "multiplier_per_order_lot: 0.000001",
         r"worth 0.25 micro-units, which must be a whole number"),
        ("currency: USD", "currency: dollars", r"NQ.currency"),
        ("exchange_zone: America/New_York", "exchange_zone: Mars/Olympus", r"is not a time zone"),
        ("exchange_zone: America/New_York", "exchange_zone: ../etc/passwd", r"is not a time zone"),
        ("session: cme", "session: nyse", r"NQ.session"),
        ("price_floor: 0", "price_floor: 0.1", r"NQ.price_floor: 0.1 is not a multiple"),
        ("band_percent: 20", "band_percent: 0", r"NQ.band_percent: 0 is not within \(0, 100\]"),
        ("band_percent: 20", "band_percent: 101", r"NQ.band_percent"),
        ("band_ticks_min: 100", "band_ticks_min: 0", r"NQ.band_ticks_min"),
        ("band_ticks_min: 100", "band_tick_min: 100", r"band_tick_min"),
        ("  session: cme\n", "", r"session"),
        ("NQ:", "NQ OR 1=1:", r"a symbol is 1 to 15 of"),
        ("NQ:", "ABCDEFGHIJKLMNOP:", r"a symbol is 1 to 15 of"),
        ("NQ:", "NQ:\n  symbol: ES", r"NQ.symbol: the symbol is the name of the section"),
        ("NQ:", "ES: 5\nNQ:", r"ES: must be a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_file_key_and_value(tmp_path, old, new, error) -> None:
    path = tmp_path / "instruments.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=error) as caught:
        load_instruments(path)
    assert str(path) in str(caught.value)


def test_another_table_may_be_given(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("NQ:", "MNQ:").replace("order_lot: 20", "order_lot: 2"))
    assert instrument("MNQ", path).tick_value_micros == 500_000
