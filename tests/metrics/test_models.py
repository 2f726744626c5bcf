"""Promise: what becomes of an engine's models is told with bounded labels."""

from prometheus_client import CollectorRegistry, generate_latest

from gm.metrics.models import ModelCollector, ModelReading

NONE = "00" * 32


def scrape(reading: ModelReading, budget_us: int = 0, **engine: object) -> list[str]:
    page = {
        "live_model": 2, "live_sha256": "aa" * 32, "shadow_model": 0, "shadow_sha256": NONE,
        "before_model": 0, "before_sha256": NONE, "late_decisions": 3,
    }  # fmt: skip
    registry = CollectorRegistry()
    registry.register(ModelCollector(lambda: {"engine": page | engine}, lambda: reading, budget_us))
    return [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]


def test_every_figure_is_found_under_its_name() -> None:
    reading = ModelReading(
        roll_backs={"late": 1, "not_finite": 0}, same=7, other=2, refusals=4,
        drift={"ma_slope": 0.25}, drift_rows=321, is_registry_readable=True,
    )  # fmt: skip
    lines = scrape(reading, 250, shadow_model=3, shadow_sha256="bb" * 32, before_sha256="cc" * 32)
    assert set(lines) == {
        'gm_model_version{model="live"} 2.0',
        'gm_model_version{model="shadow"} 3.0',
        'gm_model_version{model="before"} 0.0',
        'gm_model_roll_backs_total{cause="late"} 1.0',
        'gm_model_roll_backs_total{cause="not_finite"} 0.0',
        "gm_model_refusals_total 4.0",
        'gm_shadow_decisions_total{answer="same"} 7.0',
        'gm_shadow_decisions_total{answer="other"} 2.0',
        "gm_late_decisions_total 3.0",
        "gm_policy_budget_seconds 0.00025",
        'gm_model_drift_score{feature="ma_slope"} 0.25',
        "gm_model_drift_rows 321.0",
        "gm_registry_readable 1.0",
    }


def test_what_is_not_there_is_not_shown() -> None:
    lines = scrape(ModelReading())
    assert 'gm_model_version{model="live"} 2.0' in lines
    for part in ('shadow"', "before", "drift_score", "registry", "budget"):
        assert not any(part in line for line in lines), part
    assert "gm_registry_readable 0.0" in scrape(ModelReading(is_registry_readable=False))
