"""Promise: the judge of the long run finds a leak, a lost descriptor, a slower step, a full disk,
and passes noise, restarts and faults.
"""

from typing import Any

import msgspec
import numpy as np
import pytest

from tests.soak import faults, judge
from tests.soak.samples import Sample

MIB = 1 << 20
# Of 300 s each, as if killed then; a fault every minute.
LIFE_S, FAULT_EVERY_S, FAULT_S = 300, 60, 15


def steps(p99_octave: int) -> tuple[int, ...]:
    """A thousand steps, two in a hundred of them in the octave."""
    counts = [0] * 36
    counts[10], counts[p99_octave] = 980, 20
    return tuple(counts)


def make_samples(seconds: int = 3_600, **changed: Any) -> list[Sample]:
    """An engine that stands still but for noise; restarts have levels of their own.

    A value of `changed` is a function of the second and the sample.
    """
    random = np.random.default_rng(3)
    made = []
    for at in range(seconds):
        life, age = divmod(at, LIFE_S)
        is_disturbed = at % FAULT_EVERY_S < FAULT_S
        sample = Sample(
            at_s=float(at),
            life=life,
            age_s=float(age),
            rss_bytes=int((300 + 5 * (life % 3)) * MIB + random.normal(0, MIB / 4)),
            descriptors=40 + at // 30 % 2 + (5 if is_disturbed else 0),
            threads=12,
            feed_sequence=at * 50_000,
            gaps=0,
            segment_bytes=int(9.9e9),
            compacted_bytes=at * 100,
            database_bytes=MIB,
            phase="ready",
            held_by="nothing",
            octaves=steps(14 if is_disturbed else 11 + at % 2),
            is_disturbed=is_disturbed,
        )
        fields = {name: change(at, sample) for name, change in changed.items()}
        made.append(msgspec.structs.replace(sample, **fields))
    return made


def test_an_engine_that_stands_still_passes() -> None:
    samples = make_samples()
    assert judge.judge_memory(samples).is_met
    assert judge.judge_counts(samples, "descriptors", judge.DESCRIPTORS_SLACK).is_met
    assert judge.judge_counts(samples, "threads", 0).is_met
    assert judge.judge_latency(samples, 600).is_met
    assert judge.judge_disk(samples, 10_000_000_000).is_met


def test_a_byte_of_each_hundredth_message_is_a_leak() -> None:
    samples = make_samples(rss_bytes=lambda at, s: s.rss_bytes + 500 * int(s.age_s) * 10)
    slope = judge.rss_slope(judge.settled(samples))
    assert slope.per_hour == pytest.approx(5_000 * 3_600, rel=0.2)
    assert slope.low < 5_000 * 3_600 < slope.high
    assert not judge.judge_memory(samples).is_met


def test_memory_that_falls_back_with_each_life_is_not_taken_for_stillness() -> None:
    """The level at the end is that of the beginning: only inside a life it grows."""
    samples = make_samples(rss_bytes=lambda _, s: 300 * MIB + int(s.age_s) * MIB // 10)
    assert samples[-1].rss_bytes == pytest.approx(samples[LIFE_S - 1].rss_bytes)
    assert not judge.judge_memory(samples).is_met


def test_what_is_young_or_disturbed_does_not_count() -> None:
    samples = make_samples(
        rss_bytes=lambda at, s: s.rss_bytes + (at * MIB if s.is_disturbed or s.age_s < 20 else 0)
    )
    assert judge.judge_memory(samples).is_met


def test_no_samples_pass_nothing() -> None:
    for verdict in (
        judge.judge_memory([]),
        judge.judge_counts([], "descriptors", 0),
        judge.judge_latency([], 600),
        judge.judge_disk([], 10),
    ):
        assert not verdict.is_met, verdict


@pytest.mark.parametrize("name", ["descriptors", "threads"])
def test_one_lost_in_twenty_minutes_is_found(name: str) -> None:
    samples = make_samples(**{name: lambda at, s: getattr(s, name) + at // 1_200})
    assert not judge.judge_counts(samples, name, judge.DESCRIPTORS_SLACK).is_met


def test_a_step_twice_as_long_at_the_end_is_found() -> None:
    samples = make_samples(octaves=lambda at, s: steps(11 + at % 2 + at // 1_800))
    assert not judge.judge_latency(samples, 600).is_met
    # A shorter one is none the worse.
    samples = make_samples(octaves=lambda at, s: steps(12 + at % 2 - at // 1_800))
    assert judge.judge_latency(samples, 600).is_met


def test_the_percentile_lies_in_its_octave() -> None:
    assert judge.p99_ns([0] * 36) != judge.p99_ns([0] * 36)  # NaN
    assert judge.p99_ns(steps(12)) == pytest.approx(2.0**11.5)
    assert judge.p99_ns([0, 0, 0, 100]) == pytest.approx(2.0**2.99)


def test_a_disk_over_its_limit_is_found() -> None:
    assert not judge.judge_disk(
        make_samples(segment_bytes=lambda at, s: at * 4_000_000), 10**10
    ).is_met


def test_faults_follow_the_seed_and_none_is_left_out() -> None:
    assert faults.draw(7, 13) == faults.draw(7, 13)
    assert faults.draw(7, 60) != faults.draw(8, 60)
    assert set(faults.draw(9, 5)) == set(faults.KINDS)
