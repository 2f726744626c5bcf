"""`gm features`: arguments, and how its findings look on a terminal."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from gm.cli.printing import PIPE_WIDTH
from gm.errors import BadArgument, DataGap, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from gm.audit import AuditOptions, AuditReport, Difference

Flag = Parameter(negative="")
POINTS = validators.Number(gte=1, lte=10_000_000)


def features(
    file: Annotated[Path, Parameter(help="CSV of bars, may be .gz.")],
    *,
    instrument: Annotated[str, Parameter(help="Symbol of configs/instruments.yaml.")],
    tactical: Annotated[bool, Flag, Parameter(help="60x7 of 5 minutes, not 48x13 of 30.")] = False,
    describe: Annotated[
        bool, Flag, Parameter(help="Print each column's distribution. Default if nothing else is.")
    ] = False,
    check_lookahead: Annotated[
        bool, Flag, Parameter(help="Poison the future: earlier matrices must not change.")
    ] = False,
    check_parity: Annotated[
        bool, Flag, Parameter(help="Batch, stream and interrupted stream must be equal bytes.")
    ] = False,
    points: Annotated[
        int, Parameter(help="Moments to poison, cuts to make.", validator=POINTS)
    ] = 50,
    seed: Annotated[int, Parameter(help="Of moments, poison and cuts.")] = 1,
    plot: Annotated[Path | None, Parameter(help="Write the matrix as a page of HTML.")] = None,
    at: Annotated[
        str | None, Parameter(help="UTC moment of the matrix to draw. Default: the last bar.")
    ] = None,
    date_order: Annotated[
        Literal["day-first", "month-first"] | None,
        Parameter(help="How to read 1/7/2020. Default: the order in which the file goes forward."),
    ] = None,
    timezone: Annotated[
        str | None,
        Parameter(help="IANA zone of stamps without an offset. Default: as the instrument has it."),
    ] = None,
    bar_minutes: Annotated[
        int | None,
        Parameter(help="Size of the file's bars, or to make of trades. Default: as most rows."),
    ] = None,
    json: Annotated[bool, Flag, Parameter(help="Print data as JSON.")] = False,
) -> int:
    """Show and check what the agents see: exit code 1 if a check finds something.

    Example: gm features bars.csv --instrument BTC-PERP --check-lookahead --plot matrix.html
    """
    from gm.audit import AuditOptions

    if at is not None and plot is None:
        raise UsageError("--at names the matrix that --plot FILE draws, and there is no --plot")

    options = AuditOptions(
        path=file,
        instrument=instrument,
        view="tactical" if tactical else "strategic",
        day_first=None if date_order is None else date_order == "day-first",
        timezone=timezone,
        bar_minutes=bar_minutes,
        checks_lookahead=check_lookahead,
        checks_parity=check_parity,
        plot=plot,
        at_ts_ns=None if at is None else _moment(at),
        points=points,
        seed=seed,
    )
    report = _audit(options)
    if json:
        import msgspec

        print(msgspec.json.encode(msgspec.to_builtins(report)).decode())
    else:
        asked_for_more = check_lookahead or check_parity or plot is not None
        _print(report, has_table=describe or not asked_for_more)
    return 0 if report.is_clean else 1


def _audit(options: "AuditOptions") -> "AuditReport":
    """Audit a file; what is wrong with it is said in words of the command line."""
    from gm.audit import audit_features
    from gm.venue.serving import check_reading, in_options

    if not 0 <= options.seed < 2**64:
        raise UsageError(f"--seed must be 0 to 2^64 - 1: {options.seed}")
    check_reading(options.timezone, None)
    try:
        return audit_features(options)
    except BadArgument as error:
        raise UsageError(in_options(str(error), options.path)) from error
    except OSError as error:
        if error.filename is None or Path(error.filename) != options.path:
            raise  # the page, not the bars
        raise DataGap(f"{options.path}: {error.strerror}") from error


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--at is no date and time: {text[:40]!r}, e.g. 2022-01-24T15:00"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp()) * 10**9


def _print(report: "AuditReport", *, has_table: bool) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    found = report.description
    console.print(
        f"{found.instrument}, {found.view}: {found.bars:,} bars"
        f" ({found.synthetic:,} synthetic, {report.rows_refused:,} rows of the file refused),"
        f" ready on {found.ready:,} from bar {found.first_ready_bar:,}"
    )
    if has_table:
        console.print(_table(report, is_markdown=not console.is_terminal))
    if report.lookahead is not None:
        _verdict(
            console,
            f"look-ahead: {report.lookahead.moments:,} futures poisoned (seed"
            f" {report.lookahead.seed})",
            report.lookahead.difference,
        )
    if report.parity is not None:
        _verdict(
            console,
            f"parity: batch, stream and stream with {report.parity.cuts:,} cuts, "
            f"{report.parity.bars:,} bars",
            report.parity.difference,
        )
    if report.plot is not None:
        console.print(report.plot)


def _verdict(console: "Console", what: str, difference: "Difference | None") -> None:
    if difference is None:
        console.print(f"{what}: equal, byte for byte")
        return
    start = datetime.fromtimestamp(difference.bar_start_ts_ns / 1e9, UTC)
    console.print(
        f"{what}: DIFFERENT at bar {difference.bar:,} ({start:%Y-%m-%d %H:%M} UTC), "
        f"{difference.column}, row {difference.row}: {difference.expected!r} became "
        f"{difference.found!r} ({difference.what})"
    )


def _table(report: "AuditReport", *, is_markdown: bool) -> "Table":
    from rich import box
    from rich.table import Table

    names = ("zeros", "min", "1%", "25%", "50%", "75%", "99%", "max", "lag 1")
    table = Table("column", *names, box=box.MARKDOWN if is_markdown else box.HEAVY_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for found in report.description.columns:
        values = (found.minimum, *found.quantiles, found.maximum, found.lag_1)
        table.add_row(found.name, f"{found.zeros:.1%}", *(f"{value:.3f}" for value in values))
    return table
