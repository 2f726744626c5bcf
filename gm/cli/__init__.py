"""The command line: arguments in, an exit code out. What a command does lives in its own room.

Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration, 4 risk stop, 5 data gap.
"""

import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from gm.cli.explain import explain
from gm.cli.features import features
from gm.cli.kill import accept_books, clear, kill
from gm.cli.limits import app as limits_app
from gm.cli.models import app as models_app
from gm.cli.options import Config, Json, config_path
from gm.cli.simulation import simulate
from gm.cli.training import export, train
from gm.errors import GmError

RunDir = Annotated[Path, Parameter(help="Journal, database and sockets of this run.")]
# What a file of bars may leave open.
DateOrder = Annotated[
    Literal["day-first", "month-first"] | None,
    Parameter(help="How to read 1/7/2020. Default: the order in which the file goes forward."),
]
Timezone = Annotated[
    str | None,
    Parameter(help="IANA zone of stamps without an offset. Default: as the instrument has it."),
]
BarMinutes = Annotated[
    int | None, Parameter(help="Size of the bars. Default: the distance of most rows.")
]
# A run holds several, a venue plays one: a second symbol is refused where that can be said.
Instruments = Annotated[
    tuple[str, ...], Parameter(negative="", help="Symbol of configs/instruments.yaml.")
]

HELP = """GrandModel: bars in, orders out through a risk gate, everything in a journal.

Example: gm demo

Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration, 4 risk stop, 5 data gap.
"""
KERNELS_HELP = """Compile user kernels: Python functions that run inside the engine.

Example: gm kernels build kernels.py
"""
CONFIG_HELP = """Show or check the configuration.

Example: gm config show
"""

BARS = validators.Number(gte=1, lte=10_000_000)

app = App(name="gm", help=HELP, help_format="plaintext", version_flags=["--version"])
config_app = App(name="config", help=CONFIG_HELP, help_format="plaintext")
app.command(config_app)
kernels_app = App(name="kernels", help=KERNELS_HELP, help_format="plaintext")
app.command(kernels_app)
app.command(explain)
app.command(features)
app.command(models_app)
app.command(limits_app)
app.command(kill)
app.command(clear)
app.command(accept_books)
app.command(simulate)
app.command(train)
app.command(export)

# Commands of the public surface that later issues build, and which one does.
NOT_BUILT = {
    "db": "service issue (7)",
    "doctor": "service issue (7)",
    "orders": "service issue (7)",
    "risk": "portfolio risk issue (6)",
    "serve": "service issue (7)",
    "top": "service issue (7)",
    "up": "service issue (7)",
}


@app.command
def demo(
    *,
    seed: Annotated[int, Parameter(help="Of the session and of the venue's dice.")] = 6,
    bars: Annotated[int, Parameter(help="Synthetic 5-minute bars.", validator=BARS)] = 8640,
    out: Annotated[Path, Parameter(help="Where report.html goes.")] = Path("var/demo"),
    config: Config = None,
    json: Json = False,
) -> int:
    """Trade a seeded synthetic session, show it live, leave a report.

    Example: gm demo --seed 6
    """
    from gm.demo import run_demo

    return run_demo(seed=seed, bars=bars, out=out, config=config_path(config), as_json=json)


@app.command
def run(
    *,
    instrument: Instruments,
    run_dir: RunDir = Path("var/run"),
    config: Config = None,
    profile: Annotated[str | None, Parameter(help="Overrides policy.profile.")] = None,
    bundle: Annotated[str | None, Parameter(help="Overrides policy.bundle.")] = None,
    driver: Annotated[
        Literal["auto", "inline", "threaded"] | None, Parameter(help="Overrides engine.driver.")
    ] = None,
    json: Json = False,
) -> int:
    """Run the engine until the venue's tape ends or a signal stops it.

    Example: gm run --instrument BTC-PERP --run-dir var/run
    """
    from gm.cli.printing import print_struct
    from gm.supervisor import RunOptions, run_engine

    options = RunOptions(
        instruments=instrument,
        run_dir=run_dir,
        config=config_path(config),
        profile=profile,
        bundle=bundle,
        driver=driver,
        log_json=json,
    )
    print_struct(run_engine(options), as_json=json)
    return 0


@app.command
def venue(
    *,
    instrument: Annotated[str, Parameter(help="Symbol of configs/instruments.yaml.")],
    bars: Annotated[
        Path | None, Parameter(help="CSV of bars or trades (may be .gz) to replay as a feed.")
    ] = None,
    synthetic_bars: Annotated[
        int | None, Parameter(help="Instead of a file: so many bars drawn from the seed.")
    ] = None,
    run_dir: RunDir = Path("var/run"),
    seed: Annotated[int, Parameter(help="Of the venue's dice: partial fills, rejects.")] = 1,
    speed: Annotated[
        float | None, Parameter(help="Times real time, running free. Default: lockstep.")
    ] = None,
    history: Annotated[
        int, Parameter(help="With --speed: rows that are past at start; they warm an engine up.")
    ] = 0,
    date_order: DateOrder = None,
    timezone: Timezone = None,
    bar_minutes: BarMinutes = None,
    arrivals: Annotated[
        Path | None, Parameter(help="Write when each order came, monotonic ns, here at the end.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Run the venue simulator: publish a tape, match orders, keep the ledger.

    Example: gm venue --bars bars.csv --instrument BTC-PERP --run-dir var/run
    """
    from gm.venue import VenueOptions, run_venue

    options = VenueOptions(
        bars=bars,
        synthetic_bars=synthetic_bars,
        instrument=instrument,
        run_dir=run_dir,
        seed=seed,
        speed=speed,
        history=history,
        day_first=None if date_order is None else date_order == "day-first",
        timezone=timezone,
        bar_minutes=bar_minutes,
        arrivals=arrivals,
        config=config_path(config),
        as_json=json,
    )
    return run_venue(options)


@app.command
def backtest(
    file: Annotated[Path, Parameter(help="Bars, trades or ticks, as gm venue --bars reads them.")],
    /,
    *,
    instrument: Annotated[str, Parameter(help="Symbol of configs/instruments.yaml.")],
    run_dir: Annotated[
        Path | None, Parameter(help="A new folder for journal and database. Default: none kept.")
    ] = None,
    report: Annotated[Path | None, Parameter(help="Write the HTML report here.")] = None,
    seed: Annotated[int, Parameter(help="Of the venue's dice: partial fills, rejects.")] = 1,
    date_order: DateOrder = None,
    timezone: Timezone = None,
    bar_minutes: BarMinutes = None,
    config: Config = None,
    json: Json = False,
) -> int:
    """Trade a file with engine and venue on one simulated clock; print what came of it.

    Example: gm backtest bars.csv --instrument BTC-PERP --report report.html
    """
    from gm.backtest.command import BacktestOptions, run_backtest
    from gm.cli.printing import print_stats

    options = BacktestOptions(
        file=file,
        instrument=instrument,
        config=config_path(config),
        seed=seed,
        run_dir=run_dir,
        report=report,
        day_first=None if date_order is None else date_order == "day-first",
        timezone=timezone,
        bar_minutes=bar_minutes,
        as_json=json,
    )
    print_stats(run_backtest(options), as_json=json)
    return 0


@app.command
def status(*, run_dir: RunDir = Path("var/run"), json: Json = False) -> int:
    """Show what the engine of a run directory is doing, or was doing when it died.

    Example: gm status --run-dir var/run
    """
    from gm.cli.printing import print_status
    from gm.supervisor.status import engine_status

    found = engine_status(run_dir)
    print_status(found, as_json=json)
    return 0 if found["is_alive"] else 1


@app.command
def report(
    *,
    run_dir: RunDir = Path("var/run"),
    output: Annotated[Path | None, Parameter(help="Default: report.html in the run dir.")] = None,
) -> int:
    """Write the HTML report of a run.

    Example: gm report --run-dir var/run --output report.html
    """
    from gm.report import write_report

    print(write_report(run_dir, output or run_dir / "report.html"))
    return 0


@app.command
def replay(
    *,
    run_dir: RunDir = Path("var/run"),
    output: Annotated[Path | None, Parameter(help="Keep the re-derived journal here.")] = None,
    json: Json = False,
) -> int:
    """Derive every output of a journal again from its inputs and compare the bytes.

    Example: gm replay --run-dir var/run
    """
    from gm.cli.printing import print_struct
    from gm.replay import replay as replay_run

    print_struct(replay_run(run_dir, output), as_json=json)
    return 0


@app.command
def verify(*, run_dir: RunDir = Path("var/run"), json: Json = False) -> int:
    """Check every record, block digest and the anchored head of a journal.

    Example: gm verify --run-dir var/run
    """
    from gm.cli.printing import print_struct
    from gm.store.verify import verify_journal

    found = verify_journal(run_dir)
    print_struct(found, as_json=json)
    return 0 if found.is_sound else 1


@kernels_app.command
def build(
    file: Annotated[Path, Parameter(help="Python file with @gm.feature and @gm.rule functions.")],
    *,
    output: Annotated[
        Path | None, Parameter(help="The shared object. Default: beside the file, .so.")
    ] = None,
    json: Json = False,
) -> int:
    """Compile a file of kernels into a shared object that an engine loads.

    Example: gm kernels build kernels.py --output kernels.so
    """
    from gm.cli.printing import print_kernels, print_struct
    from gm.kernels.build import build_library

    library = output or file.with_suffix(".so")
    manifest = build_library(file, library)
    if json:
        print_struct(manifest, as_json=True)
    else:
        print_kernels(manifest.kernels)
        print(library)
    return 0


@app.command
def init(folder: Annotated[Path, Parameter(help="Made anew; must be empty or absent.")]) -> int:
    """Make a folder with a configuration, two kernels, a sample session and three commands.

    Example: gm init my-desk
    """
    from gm.scaffold import write_desk

    print(write_desk(folder))
    return 0


@config_app.command
def show(*, config: Config = None, json: Json = False) -> int:
    """Print the effective configuration and its hash. Secrets are never in it.

    Example: gm config show --config configs/production.yaml
    """
    from gm.cli.printing import print_tree
    from gm.config import config_hash, load_settings

    settings = load_settings(config_path(config))
    print_tree(settings, config_hash(settings), as_json=json)
    return 0


@config_app.command
def check(*, config: Config = None) -> int:
    """Check a configuration file; exit 3 names file, key and reason.

    Example: gm config check --config configs/production.yaml
    """
    from gm.config import load_settings

    path = config_path(config)
    load_settings(path)
    print(f"{path}: ok")
    return 0


def main() -> None:
    """Entry point of ``gm``."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in NOT_BUILT:
        issue = NOT_BUILT[arguments[0]]
        print(f"gm {arguments[0]} is not built yet: the {issue} builds it", file=sys.stderr)
        sys.exit(2)
    try:
        code = app(arguments, result_action="return_value")
    except GmError as error:
        print(f"gm: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (OSError, sqlite3.Error) as error:  # a path, a disk, a database: for the person to mend
        print(f"gm: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


__all__ = ["main"]
