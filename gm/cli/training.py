"""`gm train` and `gm export`. torch is imported when they run, and nowhere before."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gm.cli.options import Config, Json, config_path
from gm.errors import UsageError

EpisodeBars = Annotated[int | None, Parameter(help="Decisions of an episode. Default: 256.")]
ValidationShare = Annotated[
    float | None, Parameter(help="Of the bars, to calibrate on. Default: 0.15.")
]
TestShare = Annotated[float | None, Parameter(help="Of the bars, touched once. Default: 0.15.")]


def train(
    *files: Annotated[Path, Parameter(help="Bars to learn from. Default: synthetic ones.")],
    strategic: Annotated[bool, Parameter(negative="", help="The three strategic agents.")] = False,
    tactical: Annotated[
        bool, Parameter(negative="", help="The three tactical agents, on 30 x 7 payloads.")
    ] = False,
    instrument: Annotated[str, Parameter(help="Symbol of configs/instruments.yaml.")] = "BTC-PERP",
    seeds: Annotated[
        tuple[int, ...], Parameter(negative="", consume_multiple=True, help="One run each.")
    ] = (1,),
    steps: Annotated[
        int | None, Parameter(help="Decisions of single markets. Default: 1,000,000.")
    ] = None,
    settings: Annotated[
        Path | None, Parameter(help="YAML of training settings; the defaults are SPEC 5's.")
    ] = None,
    sweep: Annotated[
        Path | None, Parameter(help="YAML: a setting, and the list of values to try.")
    ] = None,
    episode_bars: EpisodeBars = None,
    validation_share: ValidationShare = None,
    test_share: TestShare = None,
    processes: Annotated[int, Parameter(help="Runs at a time; threads of a single run.")] = 1,
    cluster: Annotated[
        str | None, Parameter(help="Address of a Ray cluster that does the runs instead.")
    ] = None,
    resume: Annotated[bool, Parameter(negative="", help="Go on from the checkpoint.")] = False,
    out: Annotated[Path, Parameter(help="Folder of the run, or of several.")] = Path("var/train"),
    config: Config = None,
    json: Json = False,
) -> int:
    """Train policies on past bars, evaluate them on later ones, leave a bundle and a report.

    Example: gm train --strategic bars.csv --instrument BTC-PERP --seeds 1 2 --steps 1000000
    """
    from gm.cli.printing import print_struct

    if strategic == tactical:
        raise UsageError("say one of --strategic and --tactical")
    _needs_torch()
    if tactical:
        from gm.training.tactical import train_files

        for trained in train_files(files, seeds):
            print_struct(trained, as_json=json)
        return 0
    from gm.training.command import TrainOptions, run_train

    options = TrainOptions(
        files=files,
        instrument=instrument,
        config=config_path(config),
        out=out,
        seeds=seeds,
        steps=steps,
        settings=settings,
        sweep=sweep,
        **_given(episode_bars=episode_bars, validation=validation_share, test=test_share),
        processes=processes,
        cluster=cluster,
        resume=resume,
        as_json=json,
    )
    for run in run_train(options):
        print_struct(run, as_json=json)
    return 0


def export(
    run: Annotated[Path, Parameter(help="Folder of gm train.")],
    *,
    out: Annotated[Path, Parameter(help="Folder of the bundle.")],
    name: Annotated[str, Parameter(help="Of the manifest.")] = "mappo",
    label: Annotated[str | None, Parameter(help="Default: algorithm and seed.")] = None,
) -> int:
    """Write the bundle of a finished training run: ONNX files, calibration, golden vectors.

    Example: gm export var/train --out var/models/mappo
    """
    _needs_torch()
    from gm.training.command import run_export

    print(run_export(run, out, name=name, label=label))
    return 0


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Options that were said; the others keep their defaults."""
    return {key: value for key, value in options.items() if value is not None}


def _needs_torch() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnxscript", "safetensors") if find_spec(name) is None]
    if missing:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'grandmodel[train]'")
