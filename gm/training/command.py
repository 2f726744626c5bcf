"""What `gm train` and `gm export` do: files in, a run folder a seed out.

Several seeds, or a sweep, are jobs of one function, ``train_one``: here, in local processes, or as
Ray tasks where a cluster is named.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gm.config.convert import convert
from gm.config.strict_yaml import load_tree
from gm.errors import ConfigError, UsageError
from gm.training.settings import MappoSettings
from gm.training.split import EPISODE_BARS, TEST, VALIDATION

if TYPE_CHECKING:
    from gm.training.export import Calibration
    from gm.training.mappo import Trainer
    from gm.training.markets import Markets

SETTINGS_MAX = 1000  # of a sweep: more is a mistake
EPISODES = 200  # of an evaluation
_CALIBRATION_STEPS = 256
_VALIDATION_SEED, _TEST_SEED = 1_000_001, 1_000_002


class TrainOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm train` says."""

    files: tuple[Path, ...]
    instrument: str
    config: Path
    out: Path
    seeds: tuple[int, ...] = (1,)
    steps: int | None = None
    settings: Path | None = None  # YAML of MappoSettings
    sweep: Path | None = None  # YAML: a setting, and the list of its values
    episode_bars: int = EPISODE_BARS
    validation: float = VALIDATION  # share of the bars
    test: float = TEST
    processes: int = 1
    cluster: str | None = None
    resume: bool = False
    as_json: bool = False


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what a process or a Ray task needs."""

    files: tuple[Path, ...]
    instrument: str
    config: Path
    out: Path
    settings: MappoSettings
    threads: int
    resume: bool
    shows_progress: bool
    episode_bars: int = EPISODE_BARS
    validation: float = VALIDATION
    test: float = TEST


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run."""

    out: str
    algorithm: str
    seed: int
    steps: int
    parameters_sha256: str
    validation_mean: float
    test_mean: float
    test_low: float
    test_high: float
    steps_per_second: float


MakeMarkets = Callable[[Job], "Markets"]


def run_train(options: TrainOptions, make_markets: MakeMarkets | None = None) -> list[Trained]:
    """Train all that the options ask for.

    Parameters
    ----------
    options : TrainOptions
        Checked by the command line.
    make_markets : function, optional
        From a job to its markets; importable by name. Default: those of the files.

    Returns
    -------
    list of Trained
        In the order of settings, then seeds.

    Raises
    ------
    UsageError
        If an option is out of range, a file of settings has an unknown key, or Ray is not here.
    ConfigError
        If a configuration is refused, or a folder holds another run.
    GmError
        As the markets.

    Source
    ------
    Ours.
    """
    jobs = make_jobs(options)
    work = [(job, make_markets) for job in jobs]
    if options.cluster is not None:
        return _on_cluster(options.cluster, work)
    if len(jobs) == 1 or options.processes == 1:
        return [train_one(*each) for each in work]
    count = min(options.processes, len(jobs))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return list(pool.map(train_one, jobs, [make_markets] * len(jobs)))


def make_jobs(options: TrainOptions) -> list[Job]:
    """Lay out the runs: each combination of the sweep's values, with each seed.

    One job alone stands in ``out`` itself, several in sub-folders named after what differs.
    """
    if not options.seeds or options.processes < 1:
        raise UsageError(
            f"--seeds must name at least 1 seed, --processes be at least 1: "
            f"{list(options.seeds)}, {options.processes}"
        )
    if len(set(options.seeds)) != len(options.seeds):
        raise UsageError(f"--seeds names a seed twice: {list(options.seeds)}")
    base = _tree(options.settings)
    if options.steps is not None:
        base["steps"] = options.steps
    combinations = list(_combinations(options.sweep))
    several = len(combinations) * len(options.seeds) > 1
    jobs = []
    for combination in combinations:
        for seed in options.seeds:
            where = options.sweep or options.settings or Path("--settings")
            settings = convert(where, base | combination | {"seed": seed}, MappoSettings)
            if settings.updates < 1:
                raise UsageError(
                    f"--steps {settings.steps} is less than one update: markets x rollout = "
                    f"{settings.markets * settings.rollout}"
                )
            name = "-".join([*(f"{key}={value}" for key, value in combination.items()),
                             f"seed={seed}"])  # fmt: skip
            jobs.append(
                Job(
                    files=options.files,
                    instrument=options.instrument,
                    config=options.config,
                    out=options.out / name if several else options.out,
                    settings=settings,
                    threads=1 if several else options.processes,
                    resume=options.resume,
                    episode_bars=options.episode_bars,
                    validation=options.validation,
                    test=options.test,
                    shows_progress=not (several or options.as_json) and sys.stderr.isatty(),
                )
            )
    return jobs


def train_one(job: Job, make_markets: MakeMarkets | None = None) -> Trained:
    """Train, evaluate, calibrate, export and report one run; ``job.out`` holds all of it."""
    import torch

    from gm.training.checkpoint import read_checkpoint, write_checkpoint
    from gm.training.mappo import Trainer
    from gm.training.markets import markets_of_files
    from gm.training.page import write_training_report
    from gm.training.run_folder import RunFolder

    torch.set_num_threads(job.threads)
    markets = (make_markets or markets_of_files)(job)
    trainer = Trainer(job.settings, markets.train)
    with RunFolder(job.out, markets.record, resume=job.resume) as folder:
        if job.resume:
            read_checkpoint(trainer, folder.checkpoint)
            folder.drop_after(trainer.update_number)
        begun, first = time.monotonic(), trainer.update_number
        per_update = job.settings.markets * job.settings.rollout
        for number, metrics in _updates(trainer, job.shows_progress):
            folder.write_metrics(number, (number + 1) * per_update, metrics)
            if trainer.at_cut:
                write_checkpoint(trainer, folder.checkpoint)
        seconds = max(time.monotonic() - begun, 1e-9)
        rate = (trainer.update_number - first) * per_update / seconds
        results = _finish(trainer, markets, job)
        folder.write_results(results)
    write_training_report(job.out)
    test = results["evaluations"]["test"]
    return Trained(
        out=str(job.out),
        algorithm=job.settings.algorithm,
        seed=job.settings.seed,
        steps=job.settings.updates * per_update,
        parameters_sha256=results["parameters_sha256"],
        validation_mean=results["evaluations"]["validation"]["mean"],
        test_mean=test["mean"],
        test_low=test["low"],
        test_high=test["high"],
        steps_per_second=round(rate, 1),
    )


def run_export(run: Path, out: Path, *, name: str = "mappo", label: str | None = None) -> str:
    """Write the bundle of a run that is over.

    Parameters
    ----------
    run : path
        Folder of ``gm train``.
    out : path
        Folder of the bundle; created if missing.
    name, label : str
        Of the manifest. Default label: algorithm and seed.

    Returns
    -------
    str
        SHA-256 of the manifest.

    Raises
    ------
    ConfigError
        If the folder holds no finished run with something learned.
    """
    from gm.models.manifest import Training
    from gm.training.checkpoint import read_checkpoint
    from gm.training.export import Calibration, complete_bundle, export_bundle
    from gm.training.mappo import Trainer
    from gm.training.markets import Unplayable
    from gm.training.out_of_sample import examined_as
    from gm.training.run_folder import CHECKPOINT, OUT_OF_SAMPLE, read_results, read_run_record

    settings = read_run_record(run).settings
    results = read_results(run)
    if results.get("calibration") is None:
        raise ConfigError(f"{run}: algorithm {settings.algorithm} learned nothing to export")
    calibration = msgspec.convert(results["calibration"], Calibration)
    trainer = Trainer(settings, Unplayable(settings.markets))
    read_checkpoint(trainer, run / CHECKPOINT)
    shown = label or _label(settings)
    bundle = export_bundle(trainer, calibration, out, name=name, label=shown)
    if results.get("training") is not None:
        report = examined_as((run / OUT_OF_SAMPLE).read_bytes(), name)
        training = msgspec.convert(results["training"], Training)
        bundle = complete_bundle(bundle, training, {OUT_OF_SAMPLE: report})
    return bundle.sha256


def _updates(trainer: "Trainer", shows_progress: bool) -> Iterator[tuple[int, dict[str, float]]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    settings = trainer.settings
    per_update = settings.markets * settings.rollout
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
        TextColumn("{task.fields[rate]:,.0f} steps/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shows_progress) as progress:
        task = progress.add_task(
            f"{settings.algorithm} seed {settings.seed}",
            total=settings.updates * per_update,
            completed=trainer.update_number * per_update,
            rate=0.0,
        )
        while not trainer.done:
            number, begun = trainer.update_number, time.monotonic()
            metrics = trainer.update()
            rate = per_update / max(time.monotonic() - begun, 1e-9)
            progress.update(task, advance=per_update, rate=rate)
            yield number, metrics


def _finish(trainer: "Trainer", markets: "Markets", job: Job) -> dict[str, Any]:
    from gm.training.evaluation import play_episodes, summarise
    from gm.training.export import calibrate, validation_logits
    from gm.training.mappo import Trainer, parameter_hash

    settings = job.settings
    chance = Trainer(msgspec.structs.replace(settings, algorithm="random"), markets.train)
    evaluations = {}
    for name, market, seed in (
        ("validation", markets.validation, _VALIDATION_SEED),
        ("test", markets.test, _TEST_SEED),
    ):
        for suffix, player in (("", trainer), (", random actions", chance)):
            returns = play_episodes(player, market, seed, EPISODES)
            evaluations[name + suffix] = msgspec.structs.asdict(summarise(returns))
    results: dict[str, Any] = {
        "parameters_sha256": parameter_hash(trainer),
        "evaluations": evaluations,
    }
    if settings.algorithm != "random":
        market = markets.validation
        logits = validation_logits(trainer, market, _VALIDATION_SEED, _CALIBRATION_STEPS)
        calibration = calibrate(logits)
        results["calibration"] = msgspec.structs.asdict(calibration)
        results["training"] = _export(trainer, calibration, markets, job, results)
    return results


def _export(
    trainer: "Trainer",
    calibration: "Calibration",
    markets: "Markets",
    job: Job,
    results: dict[str, Any],
) -> dict[str, Any] | None:
    """Write bundle and out-of-sample report; the manifest's training part, where bars are known."""
    from gm.training.export import complete_bundle, export_bundle
    from gm.training.out_of_sample import examine
    from gm.training.provenance import describe_training
    from gm.training.run_folder import BUNDLE, OUT_OF_SAMPLE, pretty

    settings = job.settings
    folder, name = job.out / BUNDLE, settings.algorithm
    bundle = export_bundle(trainer, calibration, folder, name=name, label=_label(settings))
    if markets.tapes is None:
        return None
    report = examine(markets.tapes, bundle)
    training = describe_training(markets.record, markets.tapes, results, calibration, report)
    # As results.json keeps it, so that gm export gives the same bytes.
    training = msgspec.json.decode(pretty(training), type=type(training))
    raw = pretty(report)
    (job.out / OUT_OF_SAMPLE).write_bytes(raw)
    complete_bundle(bundle, training, {OUT_OF_SAMPLE: raw})
    found: dict[str, Any] = msgspec.to_builtins(training)
    return found


def _label(settings: MappoSettings) -> str:
    return f"{settings.algorithm} seed {settings.seed}"


def _combinations(sweep: Path | None) -> Iterator[dict[str, Any]]:
    if sweep is None:
        yield {}
        return
    tree = _tree(sweep)
    for key, values in tree.items():
        if not isinstance(values, list) or not values or key == "seed":
            raise UsageError(f"{sweep}: {key}: must be a list of values (seeds: --seeds)")
    combinations = itertools.islice(itertools.product(*tree.values()), SETTINGS_MAX + 1)
    found = [dict(zip(tree, values, strict=True)) for values in combinations]
    if len(found) > SETTINGS_MAX:
        raise UsageError(f"{sweep}: more than {SETTINGS_MAX} combinations")
    yield from found


def _tree(path: Path | None) -> dict[str, Any]:
    """YAML with numbers as numbers: strict_yaml leaves fractions as text, for exact decimals."""
    if path is None:
        return {}
    return {
        key: [_number(one) for one in value] if isinstance(value, list) else _number(value)
        for key, value in load_tree(path).items()
    }


def _number(value: Any) -> Any:  # noqa: ANN401
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _on_cluster(address: str, work: Sequence[tuple[Job, MakeMarkets | None]]) -> list[Trained]:
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--cluster {address}: Ray is not installed: pip install 'grandmodel[cluster]'"
        ) from error
    ray.init(address=address)
    try:
        task = ray.remote(train_one)
        found: list[Trained] = ray.get([task.remote(*each) for each in work])
    finally:
        ray.shutdown()
    return found
