"""One run of the venue: read the tape, serve it until END or a signal, write the ledger."""

import contextlib
import fcntl
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm._native.runtime import find_endpoints, libzmq_path
from gm._native.venue_server import VenueServer
from gm.config.instruments import InstrumentConfig, instrument as find_instrument, is_zone
from gm.config.run_dir import LEDGER_FILE, write_whole
from gm.config.settings import VenueSection, load_settings
from gm.errors import AlreadyRunning, BadArgument, ConfigError, UsageError
from gm.venue.ledger import ledger_totals, write_ledger
from gm.venue.synthetic import says_synthetic
from gm.venue.tape import BAR_MINUTES_MAX, INSTRUMENT_NUMBER, Tape, open_tape, synthetic_tape

ORDERS_MAX = 1 << 18
SYNTHETIC_BARS_MAX = 10_000_000
MICROS = 1_000_000
PPM_PER_BASIS_POINT = 100
LOCK_FILE = "venue.lock"
_JOIN_S = 0.1
# What the reader calls its parameters, and what they are on the command line.
_OPTIONS = {
    "say day_first=True or False": "say --date-order day-first or month-first",
    "bar_minutes": "--bar-minutes",
    "timezone": "--timezone",
}

Rows = NDArray[np.void]


class VenueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm venue` says.

    Either ``bars`` or ``synthetic_bars``. ``speed`` None: lockstep, else times real time.
    ``history``: so many rows are past when the venue begins.
    ``day_first``, ``timezone`` and ``bar_minutes`` answer what a file leaves open.
    ``arrivals``: a file for the monotonic clock at each new order, as a JSON list of ns.
    """

    instrument: str
    run_dir: Path
    config: Path
    seed: int = 1
    bars: Path | None = None
    synthetic_bars: int | None = None
    speed: float | None = None
    history: int = 0
    day_first: bool | None = None
    timezone: str | None = None
    bar_minutes: int | None = None
    arrivals: Path | None = None
    as_json: bool = False


def run_venue(options: VenueOptions) -> int:
    """Serve a tape until the engine has consumed its END (0) or a signal comes (0).

    Prints the ledger's totals and writes ``venue_ledger.json`` into the run directory.

    Parameters
    ----------
    options : VenueOptions
        Checked by the command line.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    UsageError
        If there is not exactly one source of bars, seed or speed is out of range, or the file
        leaves open what an option answers.
    ConfigError
        If the configuration or the instrument is refused.
    BadTape
        If the file holds no bars.
    AlreadyRunning
        If another venue serves this run directory.
    GmError
        What the core failed with.

    Source
    ------
    ARCHITECTURE §4.
    """
    import zmq

    check_options(options)
    settings = load_settings(options.config)
    instruments_file = options.config.parent / settings.instruments_file
    instrument = find_instrument(options.instrument, instruments_file)
    tape = _tape(options, instrument)
    is_synthetic = options.bars is None or says_synthetic(options.bars)
    server = VenueServer(
        venue_settings(settings.venue, instrument, options.seed), instrument.to_row(), tape.rows
    )
    endpoints = find_endpoints(str(options.run_dir), make=True)
    alone, stoppable = _only_venue_of(options.run_dir), _stopping_on_signals(server.stop)
    with alone, stoppable, zmq.Context() as context:
        server.bind(
            libzmq_path(),
            context.underlying,
            endpoints["feed"],
            endpoints["orders"],
            tape.tape_id,
            speed_permille=speed_permille(options.speed),
            history_rows=options.history,
        )
        _say(f"venue: {len(tape.rows)} rows of {instrument.symbol} at {endpoints['feed']}")
        has_ended = serve(server)
    facts = {
        "instrument": instrument.symbol,
        "tape_id": tape.tape_id.hex(),
        "ended": has_ended,
        "synthetic": is_synthetic,
    }
    path = _write_books(options, server, has_ended, facts)
    _print_totals(facts | ledger_totals(server), server.counters(), path, options.as_json)
    return 0


def _write_books(
    options: VenueOptions, server: VenueServer, has_ended: bool, facts: dict[str, object]
) -> Path:
    path = options.run_dir / LEDGER_FILE
    # The engine of a directory that was traded before refuses this venue: those books stay.
    if has_ended or len(server.orders()) > 0 or not path.exists():
        write_ledger(server, options.run_dir, **facts)
    if options.arrivals is not None:
        write_whole(options.arrivals, msgspec.json.encode(server.arrivals_ns().tolist()))
    return path


def check_options(options: VenueOptions) -> None:
    """Refuse what the command line can contradict itself in."""
    if (options.bars is None) == (options.synthetic_bars is None):
        raise UsageError("--bars FILE or --synthetic-bars N: exactly one of them")
    if options.synthetic_bars is not None and not 1 <= options.synthetic_bars <= SYNTHETIC_BARS_MAX:
        raise UsageError(
            f"--synthetic-bars must be 1 to {SYNTHETIC_BARS_MAX:,}: {options.synthetic_bars}"
        )
    _check_reading(options)
    if not 0 <= options.seed < 2**64:
        raise UsageError(f"--seed must be 0 to 2^64 - 1: {options.seed}")
    if options.speed is not None and not 0.001 <= options.speed <= 1_000_000:
        raise UsageError(f"--speed must be 0.001 to 1,000,000: {options.speed}")
    if options.history < 0:
        raise UsageError(f"--history must be 0 or more: {options.history}")
    if options.history > 0 and options.speed is None:
        raise UsageError("--history needs --speed: in lockstep the tape itself warms up")


def _check_reading(options: VenueOptions) -> None:
    given = {
        "--date-order": options.day_first,
        "--timezone": options.timezone,
        "--bar-minutes": options.bar_minutes,
    }
    for option, value in given.items():
        if value is not None and options.bars is None:
            raise UsageError(f"{option} says how to read --bars FILE, and there is none")
    check_reading(options.timezone, options.bar_minutes)


def check_reading(timezone: str | None, bar_minutes: int | None) -> None:
    """Refuse answers about a file of bars that no file can have; UsageError names the option."""
    if timezone is not None and not is_zone(timezone):
        raise UsageError(f"--timezone must be an IANA zone, e.g. UTC: {timezone[:40]!r}")
    if bar_minutes is not None and not 1 <= bar_minutes <= BAR_MINUTES_MAX:
        raise UsageError(f"--bar-minutes must be 1 to {BAR_MINUTES_MAX}: {bar_minutes}")


def venue_settings(section: VenueSection, instrument: InstrumentConfig, seed: int) -> Rows:
    """Turn the configuration's `venue` section into what the core takes.

    Parameters
    ----------
    section : VenueSection
    instrument : InstrumentConfig
        Whose commission counts: it has an entry in one table at least.
    seed : int

    Returns
    -------
    ndarray of layout.VENUE_SETTINGS, shape (1,)

    Raises
    ------
    ConfigError
        If there is no entry, or a commission is finer than the core counts, or out of its range.
    """
    symbol = instrument.symbol
    if symbol not in section.commission_per_lot and symbol not in section.commission_bps:
        raise ConfigError(
            f"venue.commission_per_lot.{symbol}, venue.commission_bps.{symbol}: neither is "
            "written; an instrument that trades for free says 0"
        )
    row = np.zeros(1, layout.VENUE_SETTINGS)
    row["seed"] = seed
    row["latency_ns"] = section.latency_us * 1000
    row["slippage_ticks"] = section.slippage_ticks
    row["commission_micros_per_lot"] = _whole(
        section.commission_per_lot.get(symbol, Decimal(0)) * MICROS,
        f"venue.commission_per_lot.{symbol}",
        "whole micro-units of the currency",
    )
    row["commission_ppm"] = _whole(
        section.commission_bps.get(symbol, Decimal(0)) * PPM_PER_BASIS_POINT,
        f"venue.commission_bps.{symbol}",
        "whole hundredths of a basis point",
    )
    row["partial_fill_ppm"] = section.partial_fill_ppm
    row["reject_ppm"] = section.reject_ppm
    row["orders_max"] = ORDERS_MAX
    row["instrument"] = INSTRUMENT_NUMBER
    return row


def speed_permille(speed: float | None) -> int:
    """Thousandths of real time for the core; 0 is lockstep."""
    return 0 if speed is None else round(speed * 1000)


def serve(server: VenueServer) -> bool:
    """Run a bound server on a thread of its own, so that signals are heard. True: it saw END."""
    outcome: list[bool | BaseException] = []

    def run() -> None:
        try:
            outcome.append(server.run())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="venue")
    thread.start()
    while thread.is_alive():  # a signal is handled between two waits
        thread.join(_JOIN_S)
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


@contextlib.contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Only Python's main thread may listen to signals; elsewhere the caller stops the server."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    former = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _only_venue_of(run_dir: Path) -> Iterator[None]:
    """A second venue would take the sockets away from the first."""
    with (run_dir / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"another venue serves {run_dir}: name another --run-dir"
            ) from error
        yield


def _tape(options: VenueOptions, instrument: InstrumentConfig) -> Tape:
    if options.bars is None:
        return synthetic_tape(options.synthetic_bars or 0, instrument, options.seed)
    try:
        return open_tape(
            options.bars,
            instrument,
            options.seed,
            day_first=options.day_first,
            timezone=options.timezone,
            bar_minutes=options.bar_minutes,
        )
    except BadArgument as error:
        raise UsageError(f"--bars {in_options(str(error), options.bars)}") from error


def in_options(text: str, bars: Path) -> str:
    """Say a reader's complaint in words of the command line; a path is not touched."""
    text = text.removeprefix(f"{bars}: ")
    for parameter, option in _OPTIONS.items():
        text = text.replace(parameter, option)
    return f"{bars}: {text}"


def _whole(value: Decimal, key: str, unit: str) -> int:
    if value % 1 or not 0 <= value <= 10**12:
        raise ConfigError(f"{key}: must be {unit}, 0 to 10^12 of them: {value.normalize():f}")
    return int(value)


def _print_totals(
    totals: dict[str, object], counters: dict[str, int], path: Path, as_json: bool
) -> None:
    if as_json:
        print(msgspec.json.encode(totals | {"counters": counters, "ledger": str(path)}).decode())
        return
    for name, value in totals.items():
        shown = f"{value:,}" if type(value) is int else str(value)
        print(f"{name.replace('_', ' '):24} {shown}")
    print(f"{'ledger':24} {path}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
