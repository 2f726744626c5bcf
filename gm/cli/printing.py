"""How data look on a terminal and as JSON."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from gm.kill import Accepted

PIPE_WIDTH = 200
# What `gm accept-books` shows, and by how much it is divided.
_BOOKS = (
    ("position, lots", "position_lots", 1),
    ("cash", "cash_micros", 1_000_000),
    ("commission", "commission_micros", 1_000_000),
    ("open orders", "open_orders", 1),
)


def print_struct(value: msgspec.Struct, *, as_json: bool) -> None:
    """Print one struct: a JSON line, or a table of two columns."""
    if as_json:
        print(msgspec.json.encode(value).decode())
        return
    table = _two_columns()
    for name, field in msgspec.structs.asdict(value).items():
        is_count = not name.endswith(("_id", "_ns"))
        table.add_row(name.replace("_", " "), _shown(field) if is_count else str(field))
    _console().print(table)


def print_status(status: dict[str, Any], *, as_json: bool) -> None:
    """Print what an engine's status page says."""
    if as_json:
        print(msgspec.json.encode(status, enc_hook=_plain).decode())
        return
    console = _console()
    io, engine, journal = status["io"], status["engine"], status["journal"]
    table = _two_columns()
    alive = "" if status["is_alive"] else " (the process is gone: this is what it left)"
    for name, value in (
        ("phase", f"{io['phase']}{alive}"),
        ("awaits", engine["awaits"]),
        ("epoch", engine["epoch"]),
        ("inputs", engine["inputs_consumed"]),
        ("open orders", engine["open_orders"]),
        ("journal", f"{journal['drained']:,} drained, {journal['synced']:,} synced"),
        (
            "warmed up by",
            f"{io['backfilled_venue_bars']:,} bars of the venue, "
            f"{io['backfilled_file_bars']:,} of files, in this life",
        ),
        ("kill switch", _kill_switch(status["kill_switch"])),
        ("limits", _limits(status["limits"])),
        ("memory", status["memory"]),
        ("refused by the reader", f"{engine['reader_refusals']:,} rows of the feed"),
        (
            "impossible messages",
            f"{engine['bad_transitions']:,} that no order's state allowed, "
            f"{engine['late_fills']:,} late fills, "
            f"{engine['orphans']:,} orders that were not ours, "
            f"{engine['recovered']:,} that a loss of power took from the journal",
        ),
        ("kernels", [_kernel(row) for row in engine["kernels"]]),
        ("failure", status["failure"] or "none"),
    ):
        table.add_row(name, _shown(value))
    console.print(table)
    rows = Table(
        "instrument", "trading", "position", "round trips", "ready", "bars 30m", "quarantined"
    )
    for row in status["instruments"]:
        ready = "yes" if row["is_ready"] else row["not_ready"]
        rows.add_row(
            row["symbol"],
            row["kill"],
            f"{row['position_lots']:,}",
            f"{row['round_trips']:,}",
            ready,
            f"{row['bars_30m']:,}",
            f"{row['quarantined']:,}",
        )
    console.print(rows)


def _kill_switch(latch: dict[str, Any]) -> str:
    if latch["doubt"]:
        return f"{latch['level']}: {latch['doubt']}"
    if not latch["latch_id"]:
        return str(latch["level"])
    since = datetime.fromtimestamp(latch["raised_wall_ns"] / 1e9, UTC).strftime("%F %T UTC")
    only = "".join(f", {symbol} {level}" for symbol, level in latch["instruments"].items())
    return (
        f"{latch['level']} (account {latch['account']}{only}) since {since}, "
        f"by {latch['author']}: {latch['reason']}; cause: {latch['cause']}; "
        f"latch {latch['latch_id']}"
    )


def _kernel(row: dict[str, Any]) -> str:
    from gm.layout import KernelStatus

    why = KernelStatus(row["status"])
    ended = "" if why is KernelStatus.OK else f", quarantined: {why.name.lower()}"
    return f"{row['name']} called {row['calls']:,} times{ended}"


def print_stats(stats: msgspec.Struct, *, as_json: bool) -> None:
    """Print the figures of a backtest under the sentence that says what they prove."""
    if as_json:
        print(msgspec.json.encode(stats).decode())
        return
    figures = msgspec.structs.asdict(stats)
    note, currency = figures.pop("note"), figures.pop("currency")
    table = _two_columns()
    for name, value in figures.items():
        if name.endswith("_ts_ns"):
            shown = datetime.fromtimestamp(value / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
            table.add_row(name.removesuffix("_ts_ns"), shown)
        elif name.endswith("_micros"):
            table.add_row(f"{_words(name, '_micros')}, {currency}", f"{value / 1e6:+,.2f}")
        elif isinstance(value, float):
            table.add_row(_words(name), f"{value:.1%}" if name == "win_rate" else f"{value:+.2f}")
        else:
            unknown = "no trades" if name == "win_rate" else "not enough days"
            table.add_row(_words(name), unknown if value is None else _shown(value))
    console = _console()
    console.print(note)
    console.print(table)


def print_books(accepted: "Accepted", *, as_json: bool) -> None:
    """Print ours, the venue's and what an acceptance changes, or a JSON line."""
    if as_json:
        print(msgspec.json.encode(accepted).decode())
        return
    table = Table("instrument", "", "ours", "the venue's", "difference")
    for one in accepted.differences:
        less_ours = one.less_ours
        for at, (label, name, scale) in enumerate(_BOOKS):
            table.add_row(
                one.symbol if at == 0 else "",
                label,
                *(
                    _amount(getattr(side, name), scale)
                    for side in (one.ours, one.venues, less_ours)
                ),
            )
    console = _console()
    console.print(table)
    console.print(f"books {accepted.sha256}")
    console.print(f"signed by {', '.join(accepted.signers) or 'nobody'}")
    console.print(accepted.note)


def _amount(value: int, scale: int) -> str:
    return f"{value:,}" if scale == 1 else f"{Decimal(value) / scale:,.6f}"


def print_kernels(kernels: Sequence[msgspec.Struct]) -> None:
    """Print a table of what a library of kernels holds."""
    table = Table("kernel", "kind", "inputs", "bars", "minutes", "sha256")
    for kernel in kernels:
        row = msgspec.structs.asdict(kernel)
        inputs, sha256 = ", ".join(row["inputs"]), row["sha256"][:12]
        table.add_row(
            row["name"], row["kind"], inputs, str(row["warmup"]), str(row["minutes"]), sha256
        )
    _console().print(table)


def print_tree(settings: msgspec.Struct, sha256: str, *, as_json: bool) -> None:
    """Print a configuration and its hash: YAML, or one JSON line."""
    import yaml

    plain = msgspec.to_builtins(settings, enc_hook=_plain)
    if as_json:
        print(msgspec.json.encode(plain | {"sha256": sha256}).decode())
        return
    print(yaml.safe_dump(plain, sort_keys=False), end="")
    print(f"# sha256 {sha256}")


def _words(name: str, unit: str = "") -> str:
    return name.removesuffix(unit).replace("_", " ")


def _console() -> Console:
    # A pipe has no width: rich would take 80 and break what a script looks for.
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _limits(limits: dict[str, Any]) -> str:
    if not limits["sequence"]:
        return "unsigned: paper trading"
    until = datetime.fromtimestamp(limits["expires_s"], UTC).isoformat()
    return f"set {limits['sequence']}, {limits['sha256']}, until {until}"


def _two_columns() -> Table:
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")  # a hash cut short is no hash
    return table


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
