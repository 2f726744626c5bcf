"""Options that several commands have, and what leaving one out means."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Config = Annotated[
    Path | None, Parameter(help="Settings file. Default: ./gm.yaml, else configs/development.yaml.")
]
Json = Annotated[bool, Parameter(negative="", help="Print data as JSON.")]


def config_path(given: Path | None) -> Path:
    """Find the settings file: as given, else ./gm.yaml, else configs/development.yaml.

    The last is the one of the folder that the command stands in, or else the one that ships.
    """
    from gm.config.instruments import configs_folder

    if given is not None:
        return given
    for local in (Path("gm.yaml"), Path("configs/development.yaml")):
        if local.exists():
            return local
    return configs_folder() / "development.yaml"
