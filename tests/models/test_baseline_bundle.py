"""Promise: the shipped baseline answers as its formulas say, and is what the builder builds."""

import math

import numpy as np
import pytest

from gm._native.policy import Ensemble
from gm.models import BASELINE_PATH, Network, agent_rows, build_baseline, golden_check, load_bundle


def matrices(rng, count):
    return rng.uniform(-1, 1, (count, 48, 13)).astype(np.float32)


def expected_logits(matrix):
    """The formulas of the baseline, in double."""
    row = matrix[-1].astype(np.float64)
    m, x, v = (row[8] + row[9]) / 2, row[3] - row[2], row[11]
    calm = 4 * max(1000 * v - 800, 0) - 4 * max(1000 * v - 801, 0)
    return {"mlmi": (3 * m, 0, -3 * m), "nwrqk": (3 * x, 0, -3 * x), "regime": (0, calm, 0)}


def softmax(logits):
    powers = np.exp(np.asarray(logits) - np.max(logits))
    return powers / powers.sum()


def test_the_shipped_files_are_what_the_builder_builds(tmp_path):
    built = build_baseline(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (BASELINE_PATH / path.name).read_bytes(), path.name
    assert built.sha256 == load_bundle(BASELINE_PATH).sha256


def test_the_baseline_passes_its_golden_check():
    assert golden_check(load_bundle(BASELINE_PATH))


def test_the_manifest_says_what_was_decided():
    manifest = load_bundle(BASELINE_PATH).manifest
    assert manifest.label == "baseline"
    assert manifest.threshold == 0.55
    assert [agent.temperature for agent in manifest.agents] == [1, 1, 1]
    shares = softmax([agent.weight for agent in manifest.agents])
    assert shares == pytest.approx([0.45, 0.45, 0.10], abs=1e-12)


@pytest.mark.parametrize("volatility", [-1.0, 0.0, 0.79, 0.8005, 0.9, 1.0])
def test_logits_follow_the_formulas(volatility):
    bundle = load_bundle(BASELINE_PATH)
    for matrix in matrices(np.random.default_rng(5), 50):
        matrix[-1, 11] = volatility
        expected = expected_logits(matrix)
        for agent in bundle.manifest.agents:
            sample = np.concatenate([matrix[:, agent.columns].ravel(), np.ones(6, np.float32)])
            logits = Network.load(BASELINE_PATH / agent.file).run(sample)
            np.testing.assert_allclose(logits, expected[agent.name], rtol=2e-5, atol=1e-6)


def test_decisions_mix_the_agents_and_act_at_the_threshold():
    bundle = load_bundle(BASELINE_PATH)
    ensemble = Ensemble(*agent_rows(bundle), bundle.manifest.threshold)
    actions = set()
    for matrix in matrices(np.random.default_rng(6), 300):
        found = ensemble.decide(matrix, np.zeros(6, np.float32))
        votes = [softmax(logits) for logits in expected_logits(matrix).values()]
        mixed = np.array([0.45, 0.45, 0.10]) @ np.array(votes)
        np.testing.assert_allclose(found["agent_probability"], votes, atol=2e-5)
        np.testing.assert_allclose(found["probability"], mixed, atol=1e-5)
        assert found["confidence"] == pytest.approx(mixed.max(), abs=1e-5)
        assert found["uncertainty"] == pytest.approx(
            -(mixed * np.log(mixed)).sum() / math.log(3), abs=1e-4
        )
        assert found["action"] == int(mixed.argmax())
        assert found["agents"] == 7
        if abs(found["confidence"] - 0.55) > 1e-4:
            assert found["acts"] == (mixed.max() >= 0.55 and mixed.argmax() != 1)
        actions.add((found["action"], found["acts"]))
    assert {(0, True), (2, True), (0, False), (2, False)} <= actions


def test_a_prepared_window_decides_as_an_unprepared_one():
    bundle = load_bundle(BASELINE_PATH)
    warm, cold = (Ensemble(*agent_rows(bundle), 0.55) for _ in range(2))
    window = matrices(np.random.default_rng(7), 1)[0]
    for row in np.random.default_rng(8).uniform(-1, 1, (50, 13)).astype(np.float32):
        warm.prepare(window[1:])
        window = np.concatenate([window[1:], row[None]])
        fast = warm.decide(window, np.zeros(6, np.float32))
        full = cold.decide(window, np.zeros(6, np.float32))
        assert fast["confidence"] == full["confidence"]
        assert fast["agent_probability"].tobytes() == full["agent_probability"].tobytes()
