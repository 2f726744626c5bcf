"""Promise: a scrape says how far the kill switch was pulled, by whom, and under which latch."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from gm.layout import KillLevel
from gm.metrics.kill import LEVELS, KillCollector


def scraped(**fields: Any) -> str:
    latch = {"level": "active", "latch_id": "", "cause": "none", "author": ""}
    latch |= {"raised_wall_ns": 0} | fields
    registry = CollectorRegistry()
    registry.register(KillCollector(lambda: latch))
    return generate_latest(registry).decode()


def test_every_level_has_its_number() -> None:
    assert [level.name.lower() for level in KillLevel] == list(LEVELS)
    for level in KillLevel:
        assert f"gm_kill_level {float(level)}" in scraped(level=level.name.lower())


def test_a_latch_is_named_with_its_author_and_its_time() -> None:
    text = scraped(
        level="killed", latch_id="ab" * 16, cause="SIGUSR1", author="engine",
        raised_wall_ns=1_500_000_000,
    )  # fmt: skip
    latch = "ab" * 16
    assert f'gm_kill_latch{{author="engine",cause="SIGUSR1",latch_id="{latch}"}} 1.0' in text
    assert "gm_kill_raised_timestamp_seconds 1.5" in text


def test_without_a_latch_only_the_level_is_there() -> None:
    text = scraped()
    assert "gm_kill_level 0.0" in text
    assert "gm_kill_latch{" not in text
    assert "gm_kill_raised_timestamp_seconds 0" not in text
