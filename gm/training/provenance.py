"""What a bundle's manifest says of its training: data, split, figures, guard, calibration."""

from typing import TYPE_CHECKING, Any

import msgspec

from gm.features import STRATEGIC_COLUMNS
from gm.models.drift import ROWS_MIN, Guard
from gm.models.manifest import Calibration, DataFile, Training
from gm.training.drift import fit_guard, fit_slice, strange_run
from gm.training.out_of_sample import OutOfSample, metrics_of
from gm.training.run_folder import RunRecord
from gm.training.tapes import Part, Tapes

if TYPE_CHECKING:
    from gm.training.export import Calibration as Fitted

HELD_OUT: tuple[Part, ...] = ("validation", "test")
_FIGURES = ("mean", "low", "high", "episodes")


def describe_training(
    record: RunRecord, tapes: Tapes, results: dict[str, Any], fitted: "Fitted", report: OutOfSample
) -> Training:
    """Make the training part of a manifest.

    Parameters
    ----------
    record : RunRecord
        Of the run.
    tapes : Tapes
        What it learned from; guard and bins are fitted on the training parts alone.
    results : dict
        With ``parameters_sha256`` and ``evaluations``, by slice and policy.
    fitted : Calibration of gm.training.export
    report : OutOfSample

    Returns
    -------
    Training
        A function of data and settings: no clock is in it. Without guard and bins if fewer than
        500 training rows are ready.

    Source
    ------
    Ours.
    """
    rows = tapes.rows("train")
    is_enough = len(rows) >= ROWS_MIN
    guard = fit_guard(rows, STRATEGIC_COLUMNS) if is_enough else None
    return Training(
        created_ts_ns=0,
        code_version=record.versions["grandmodel"],
        seed=record.settings.seed,
        data=tuple(
            DataFile(name=one.file, sha256=one.sha256, instrument=one.instrument, bars=one.bars)
            for one in record.data
        ),
        splits=tapes.manifest_splits(),
        metrics=_metrics(results["evaluations"]) | metrics_of(report) | _strange(guard, tapes),
        configuration={
            "settings": msgspec.to_builtins(record.settings),
            "config": record.config,
            "config_sha256": record.config_sha256,
            "split": record.split,
            "threads": record.threads,
            "is_synthetic": record.is_synthetic,
            "versions": record.versions,
        },
        parameters_sha256=results["parameters_sha256"],
        calibration=_calibration(fitted, tuple(agent.name for agent in _team().agents)),
        guard=guard,
        training_slice=fit_slice(rows, STRATEGIC_COLUMNS) if is_enough else None,
    )


def _metrics(evaluations: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Returns of fresh episodes, in units of risk, by names like ``test.return.low``."""
    return {
        f"{name.replace(', ', '.').replace(' ', '_')}.return.{key}": float(each[key])
        for name, each in evaluations.items()
        for key in _FIGURES
    }


def _strange(guard: Guard | None, tapes: Tapes) -> dict[str, float]:
    """How many rows in a row the guard would have found strange on what it was not fitted on."""
    if guard is None:
        return {}
    return {
        f"{part}.strange_rows_in_a_row": float(strange_run(guard, tapes.rows(part)))
        for part in HELD_OUT
    }


def _calibration(fitted: "Fitted", agents: tuple[str, ...]) -> Calibration:
    before, after = fitted.negative_log_likelihood_before, fitted.negative_log_likelihood
    return Calibration(
        method="temperatures by log loss against the majority vote; threshold by agreement",
        samples=fitted.observations,
        log_loss_before=dict(zip(agents, before, strict=True)),
        log_loss_after=dict(zip(agents, after, strict=True)),
    )


def _team() -> Any:  # noqa: ANN401
    from gm.training.networks import STRATEGIC

    return STRATEGIC
