"""Promise: ten tactical episodes on a 30 x 7 payload train in under a second."""

import time

import numpy as np
import pytest

from gm.errors import BadArgument, DataGap

pytestmark = pytest.mark.train


def payload(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (30, 7)).astype(np.float32)


def test_ten_episodes_train_in_under_a_second_the_loss_falls_and_weights_change(one_thread):
    from gm.training.tactical import train_tactical

    train_tactical(payload())  # a warm process
    seconds = []
    for seed in range(5):
        begun = time.process_time()
        found = train_tactical(payload(seed), seed=seed)
        seconds.append(time.process_time() - begun)
        assert found.episodes == 10
        assert found.losses[-1] < found.losses[0]
        assert found.parameters_sha256 != found.parameters_before_sha256
    assert min(seconds) < 1.0  # of one core: what others do on the machine is not counted


def test_the_same_seed_trains_the_same_and_the_payload_matters(one_thread):
    from gm.training.tactical import train_tactical

    first = train_tactical(payload(), episodes=2)
    assert train_tactical(payload(), episodes=2) == first
    other = train_tactical(payload(1), episodes=2)
    assert other.parameters_before_sha256 == first.parameters_before_sha256
    assert other.parameters_sha256 != first.parameters_sha256


def test_votes_are_paid_by_the_next_row_and_waiting_by_nothing():
    from gm.training.tactical import PayloadMarket

    rows = np.zeros((30, 7), np.float32)
    rows[15:18, 5] = (0.5, 0.5, -0.25)
    market = PayloadMarket(rows, 4)
    shown = market.reset()
    assert shown.matrix.shape == (4, 60, 7)
    long, short, waiting, torn = (0, 0, 1), (2, 1, 2), (0, 0, 0), (0, 2, 1)
    actions = np.array([long, short, waiting, torn])
    step = market.step(actions)
    np.testing.assert_allclose(step.reward, [0.49, -0.51, 0, 0], atol=1e-6)
    assert step.observation.position.tolist() == [1, -1, 0, 0]
    np.testing.assert_allclose(step.observation.matrix[0, -1], rows[15])
    np.testing.assert_allclose(market.step(actions).reward, [0.5, -0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(market.step(actions[[2, 1, 2, 3]]).reward, [-0.01, 0.25, 0, 0],
                               atol=1e-6)  # fmt: skip
    ends = [market.step(actions).terminated.all() for _ in range(12)]
    assert ends == [False] * 11 + [True]


def test_the_network_pools_bin_major():
    import torch

    from gm.training.networks import BinMajor

    x = torch.arange(6.0).reshape(1, 2, 3)  # two channels of three bins
    assert BinMajor()(x).tolist() == [[0, 3, 1, 4, 2, 5]]


@pytest.mark.parametrize(
    ("rows", "episodes", "says"),
    [
        (np.zeros((7, 30)), 10, r"payload of shape \(7, 30\), must be \(30, 7\)"),
        (np.full((30, 7), np.nan), 10, "payload row 0, column 0: nan: not finite"),
        (np.zeros((30, 7)), 0, "episodes must be at least 1: 0"),
    ],
)
def test_what_is_no_payload_is_refused(rows, episodes, says):
    from gm.training.tactical import train_tactical

    with pytest.raises(BadArgument, match=says):
        train_tactical(rows, episodes=episodes)


def test_files_are_json_and_each_seed_is_a_run(tmp_path, one_thread):
    import json

    from gm.training.tactical import train_files

    file = tmp_path / "payload.json"
    with pytest.raises(DataGap, match=r"payload\.json"):
        train_files([file], [1])
    file.write_text('[[1, "x"]]')
    with pytest.raises(DataGap, match="no payload"):
        train_files([file], [1])
    with pytest.raises(DataGap, match="wants files"):
        train_files([], [1])
    file.write_text(json.dumps(payload().tolist()))
    assert len(train_files([file], [1, 2])) == 2
