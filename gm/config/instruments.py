"""The instrument table: configs/instruments.yaml as frozen structs and as rows of the core.

Every size is an exact decimal. An instrument whose sizes the core cannot count in whole numbers
(1e-9 of a unit, micro-units of money) is refused when the file is read, not when it trades.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.convert import convert
from gm.config.strict_yaml import load_tree
from gm.errors import ConfigError, UnknownInstrument

INT64_MAX = 2**63 - 1
UNITS_PER_ONE = 10**9
MICROS_PER_ONE = 10**6
PPM_PER_PERCENT = 10**4
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,14}")

Session = Literal["cme", "fx", "always", "us_equities"]
POSITIVE = ("tick_size", "order_tick_size", "volume_lot", "order_lot", "multiplier_per_order_lot")
_LARGEST = Decimal(10**9)


class InstrumentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument, as written in instruments.yaml, with the numbers that the core counts in."""

    symbol: str
    tick_size: Decimal
    order_tick_size: Decimal
    volume_lot: Decimal
    order_lot: Decimal
    multiplier_per_order_lot: Decimal
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3,7}$")]
    exchange_zone: str
    bar_file_timezone: str
    session: Session
    price_floor: Decimal
    band_percent: Decimal
    band_ticks_min: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

    @property
    def tick_value_micros(self) -> int:
        """What one order lot gains in micro-units of the currency when the price moves a tick."""
        return int(self.tick_size * self.multiplier_per_order_lot * MICROS_PER_ONE)

    @property
    def order_tick_ticks(self) -> int:
        """Order prices are multiples of this many ticks."""
        return int(self.order_tick_size / self.tick_size)

    @property
    def price_floor_ticks(self) -> int:
        """A price at or below it is refused."""
        return int(self.price_floor / self.tick_size)

    def to_row(self) -> NDArray[np.void]:
        """One row of ``layout.INSTRUMENT``, shape (1,), with empty slices of the two tables."""
        row = np.zeros(1, layout.INSTRUMENT)
        row["symbol"] = self.symbol.encode()
        row["currency"] = self.currency.encode()
        row["tick_size_e9"] = int(self.tick_size * UNITS_PER_ONE)
        row["volume_lot_e9"] = int(self.volume_lot * UNITS_PER_ONE)
        row["order_lot_e9"] = int(self.order_lot * UNITS_PER_ONE)
        row["order_tick_ticks"] = self.order_tick_ticks
        row["tick_value_micros"] = self.tick_value_micros
        row["price_floor_ticks"] = self.price_floor_ticks
        row["band_ppm"] = int(self.band_percent * PPM_PER_PERCENT)
        row["band_ticks_min"] = self.band_ticks_min
        return row


def configs_folder() -> Path:
    """Where the shipped files are: ``configs/`` beside the package, inside it in a wheel.

    Returns
    -------
    Path
        The first that exists; the one beside the package if neither does.

    Source
    ------
    Ours.
    """
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.exists() else package.parent / "configs"


def instruments_path() -> Path:
    """The instrument table that ships."""
    return configs_folder() / "instruments.yaml"


def load_instruments(path: Path | None = None) -> Mapping[str, InstrumentConfig]:
    """Read and check the instrument table.

    Parameters
    ----------
    path : Path, optional
        Default: ``instruments_path()``.

    Returns
    -------
    mapping of str to InstrumentConfig
        By symbol, in the order of the file.

    Raises
    ------
    ConfigError
        Names file, symbol, key and value.

    Source
    ------
    SPEC §1, Instruments.
    """
    path = instruments_path() if path is None else path
    table: dict[str, InstrumentConfig] = {}
    for symbol, section in load_tree(path).items():
        if not _SYMBOL.fullmatch(symbol):
            raise ConfigError(
                f"{path}: {symbol[:40]!r}: a symbol is 1 to 15 of A-Z, 0-9, '.' and '-'"
            )
        if not isinstance(section, dict):
            raise ConfigError(f"{path}: {symbol}: must be a mapping of keys to values")
        if "symbol" in section:
            raise ConfigError(f"{path}: {symbol}.symbol: the symbol is the name of the section")
        config = convert(path, section | {"symbol": symbol}, InstrumentConfig, f"{symbol}.")
        _check(path, config)
        table[symbol] = config
    return table


def instrument(symbol: str, path: Path | None = None) -> InstrumentConfig:
    """Look up one instrument.

    Parameters
    ----------
    symbol : str
        As in the table, e.g. ``"NQ"``.
    path : Path, optional
        Another table than ``configs/instruments.yaml``.

    Returns
    -------
    InstrumentConfig
        Frozen; ``.tick_size`` and the other sizes are ``Decimal``.

    Raises
    ------
    UnknownInstrument
        If the table has no such symbol.
    ConfigError
        If the table is refused.

    Source
    ------
    Ours.
    """
    table = load_instruments(path)
    if symbol not in table:
        raise UnknownInstrument(f"{symbol[:40]!r} is not one of {', '.join(table)}")
    return table[symbol]


def _check(path: Path, config: InstrumentConfig) -> None:
    def refuse(key: str, why: str) -> ConfigError:
        return ConfigError(f"{path}: {config.symbol}.{key}: {getattr(config, key)} {why}")

    for key in (*POSITIVE, "price_floor", "band_percent"):
        if why := _why_not_countable(getattr(config, key), is_positive=key in POSITIVE):
            raise refuse(key, why)
    for key in ("order_tick_size", "price_floor"):
        if getattr(config, key) % config.tick_size:
            raise refuse(key, f"is not a multiple of tick_size {config.tick_size}")
    if not 0 < config.band_percent <= 100 or config.band_percent * PPM_PER_PERCENT % 1:
        raise refuse("band_percent", "is not within (0, 100] in steps of 0.0001")
    micros = config.tick_size * config.multiplier_per_order_lot * MICROS_PER_ONE
    if micros % 1 or not 0 < micros <= INT64_MAX:
        raise refuse(
            "multiplier_per_order_lot",
            f"makes a tick worth {micros.normalize():f} micro-units, which must be a whole number",
        )
    for key in ("exchange_zone", "bar_file_timezone"):
        if not is_zone(getattr(config, key)):
            raise refuse(key, "is not a time zone")


def _why_not_countable(value: Decimal, *, is_positive: bool) -> str:
    """Why the core cannot count this value in units of 1e-9; empty if it can."""
    if not value.is_finite() or abs(value) > _LARGEST:
        return f"is not within ±{_LARGEST}"
    if is_positive and value <= 0:
        return "must be positive"
    return "is finer than 1e-9" if value * UNITS_PER_ONE % 1 else ""


def is_zone(name: str) -> bool:
    """Whether a name is that of an IANA time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
