"""`gm limits`: arguments, and what is printed."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gm.cli.options import Config, Json, config_path

app = App(name="limits", help="Signed limits: what live trading wants before it starts.")


@app.command
def sign(
    *,
    person: Annotated[str, Parameter(help="Who signs: an operator or risk_admin of people.yaml.")],
    key: Annotated[Path, Parameter(help="Ed25519 key of that person in PEM, mode 0600.")],
    days: Annotated[int, Parameter(help="A new set expires after so many.")] = 30,
    config: Config = None,
    json: Json = False,
) -> int:
    """Sign for the limits of a settings file; what raises any of them takes two people.

    Example: gm limits sign --person ada --key ada.pem --config configs/production.yaml
    """
    from gm.cli.printing import print_struct
    from gm.limits import SignOptions, sign_limits

    options = SignOptions(config=config_path(config), person=person, key=key, days=days)
    print_struct(sign_limits(options), as_json=json)
    return 0


@app.command
def show(*, config: Config = None, json: Json = False) -> int:
    """Show the newest set: who wrote it, until when, what it raises, who has signed.

    Example: gm limits show --config configs/production.yaml
    """
    _print(config, json)
    return 0


@app.command
def check(*, config: Config = None, json: Json = False) -> int:
    """Say whether live trading may start with these limits; exit code 3 if not.

    Example: gm limits check --config configs/production.yaml
    """
    return 3 if _print(config, json) else 0


def _print(config: Path | None, json: bool) -> str:
    from gm.cli.printing import print_struct
    from gm.config.settings import load_settings
    from gm.limits import report_limits

    path = config_path(config)
    report = report_limits(path, load_settings(path))
    print_struct(report, as_json=json)
    return report.fault
