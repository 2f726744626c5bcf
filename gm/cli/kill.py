"""`gm kill`, `gm clear` and `gm accept-books`: arguments, and what is printed."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gm.cli.options import Config, Json, config_path

RunDir = Annotated[Path, Parameter(help="Of the run.")]


def kill(
    *,
    reason: Annotated[str, Parameter(help="Why; kept in the latch.")],
    level: Annotated[
        Literal["reducing", "halted", "killed"],
        Parameter(help="reducing: exits only; halted: cancels only; killed: cancels everything."),
    ] = "killed",
    instrument: Annotated[
        str | None, Parameter(help="Symbol of the run. Default: all of them.")
    ] = None,
    run_dir: RunDir = Path("var/run"),
    json: Json = False,
) -> int:
    """Stop orders now; only two people bring the level down again.

    Example: gm kill --reason "prices make no sense" --run-dir var/run
    """
    from gm.cli.printing import print_struct
    from gm.kill import KillOptions, kill as raise_it

    options = KillOptions(run_dir=run_dir, level=level, reason=reason, instrument=instrument)
    print_struct(raise_it(options), as_json=json)
    return 0


def clear(
    *,
    latch: Annotated[str, Parameter(help="Its id, as gm status shows it.")],
    person: Annotated[str, Parameter(help="Who signs: an operator or risk_admin of people.yaml.")],
    key: Annotated[Path, Parameter(help="Ed25519 key of that person in PEM, mode 0600.")],
    run_dir: RunDir = Path("var/run"),
    config: Config = None,
    json: Json = False,
) -> int:
    """Sign for one step down of the kill switch; it falls when two people have.

    Example: gm clear --latch 5f2c0d9e8b7a46131f0e2d3c4b5a6978 --person ada --key ada.pem
    """
    from gm.cli.printing import print_struct
    from gm.kill import ClearOptions, clear as sign_for_it

    options = ClearOptions(
        run_dir=run_dir, config=config_path(config), latch=latch, person=person, key=key
    )
    print_struct(sign_for_it(options), as_json=json)
    return 0


def accept_books(
    *,
    books: Annotated[
        str | None, Parameter(help="With --person: the digest that was shown, 16 digits or more.")
    ] = None,
    person: Annotated[
        str | None, Parameter(help="Who signs: an operator or risk_admin. Default: only look.")
    ] = None,
    key: Annotated[
        Path | None, Parameter(help="Ed25519 key of that person in PEM, mode 0600.")
    ] = None,
    run_dir: RunDir = Path("var/run"),
    config: Config = None,
    json: Json = False,
) -> int:
    """Show our books beside the venue's (R19); two signatures make the venue's ours.

    Example: gm accept-books --books 5f2c0d9e8b7a4613 --person ada --key ada.pem
    """
    from gm.cli.printing import print_books
    from gm.kill import AcceptOptions, accept_books as sign_for_them

    options = AcceptOptions(
        run_dir=run_dir, config=config_path(config), books=books, person=person, key=key
    )
    print_books(sign_for_them(options), as_json=json)
    return 0
