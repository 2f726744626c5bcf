"""How the kill switch stands, as Prometheus metric families."""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NS_PER_S = 1e9
LEVELS = ("active", "reducing", "halted", "killed")


class KillCollector(Collector):
    """Reads the latch when it is scraped.

    Parameters
    ----------
    read : callable
        Gives the fields of ``gm.kill.KillState``.
    """

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the families of one scrape."""
        latch = self._read()
        yield GaugeMetricFamily(
            "gm_kill_level",
            "Of the kill switch: 0 active, 1 reducing, 2 halted, 3 killed; the highest of all.",
            value=float(LEVELS.index(latch["level"])),
        )
        info = GaugeMetricFamily(
            "gm_kill_latch",
            "1 for the latch that stands, with who raised it and why it changed last.",
            labels=["latch_id", "cause", "author"],
        )
        since = GaugeMetricFamily(
            "gm_kill_raised_timestamp_seconds", "Unix time of the last raise."
        )
        if latch["latch_id"]:
            info.add_metric([latch["latch_id"], latch["cause"], latch["author"]], 1)
            since.add_metric([], latch["raised_wall_ns"] / NS_PER_S)
        yield info
        yield since
