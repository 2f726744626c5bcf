"""The models of an engine in Prometheus' exposition format: versions, falls, agreement, drift.

Labels are bounded: a role, a cause, a column's name. Which bundle a number is, the log and the
registry say.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MICROS = 1e6
_NO_MODEL = "00" * 32

Status = dict[str, Any]


class ModelReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor has seen of an engine's models; replaced whole.

    ``roll_backs``: by cause, that nobody ordered, since the first start of the journal. ``same``,
    ``other``: decisions of shadows that were those of the live model, in this life, or not.
    ``refusals``: bundles of the registry that were not taken. ``drift``: PSI by column; empty until
    there are rows enough. ``is_registry_readable``: None where none is followed.
    """

    roll_backs: Mapping[str, int] = MappingProxyType({})
    same: int = 0
    other: int = 0
    refusals: int = 0
    drift: Mapping[str, float] = MappingProxyType({})
    drift_rows: int = 0
    is_registry_readable: bool | None = None


class ModelCollector(Collector):
    """Reads one status and one reading when it is scraped.

    Parameters
    ----------
    status : callable
        Gives the status page as a dict.
    reading : callable
        Gives what the supervisor has seen.
    budget_us : int
        ``models.budget_us``; 0: none.
    """

    def __init__(
        self, status: Callable[[], Status], reading: Callable[[], ModelReading], budget_us: int
    ) -> None:
        self._status = status
        self._reading = reading
        self._budget_us = budget_us

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one scrape."""
        engine, reading = self._status()["engine"], self._reading()
        yield _versions(engine)
        falls = CounterMetricFamily(
            "gm_model_roll_backs", "Live models that gave way by themselves.", labels=["cause"]
        )
        for cause, count in reading.roll_backs.items():
            falls.add_metric([cause], count)
        yield falls
        yield CounterMetricFamily(
            "gm_model_refusals", "Bundles of the registry not taken.", value=reading.refusals
        )
        answers = CounterMetricFamily(
            "gm_shadow_decisions", "Shadow decisions, beside the live ones.", labels=["answer"]
        )
        for answer, count in (("same", reading.same), ("other", reading.other)):
            answers.add_metric([answer], count)
        yield answers
        yield CounterMetricFamily(
            "gm_late_decisions", "Decisions over models.budget_us.", value=engine["late_decisions"]
        )
        if self._budget_us:
            yield GaugeMetricFamily(
                "gm_policy_budget_seconds",
                "Time that a decision may take: models.budget_us.",
                value=self._budget_us / MICROS,
            )
        yield from _drift(reading)
        if reading.is_registry_readable is not None:
            yield GaugeMetricFamily(
                "gm_registry_readable",
                "1 while the registry can be read.",
                value=reading.is_registry_readable,
            )


def _versions(engine: Status) -> Metric:
    family = GaugeMetricFamily(
        "gm_model_version", "Number of a model: 0 is the settings' own.", labels=["model"]
    )
    for role in ("live", "shadow", "before"):
        if role == "live" or engine[f"{role}_sha256"] != _NO_MODEL:
            family.add_metric([role], engine[f"{role}_model"])
    return family


def _drift(reading: ModelReading) -> Iterator[Metric]:
    scores = GaugeMetricFamily(
        "gm_model_drift_score",
        "PSI of live rows against the live model's training slice: 0.1 little, 0.25 much.",
        labels=["feature"],
    )
    for feature, score in reading.drift.items():
        scores.add_metric([feature], score)
    yield scores
    yield GaugeMetricFamily(
        "gm_model_drift_rows", "Live rows that the drift is of.", value=reading.drift_rows
    )
