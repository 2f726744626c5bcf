"""Promise: the views pass their libraries' own checks and show what the batch gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gm
from gm.errors import BadArgument
from gm.training.environment import MarketBatch

from ..runs import CONFIG
from ..tapes import write_trends

pytestmark = pytest.mark.train

SYMBOL = "BTC-PERP"
Make = Callable[..., MarketBatch]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    path: Path = write_trends(tmp_path_factory.mktemp("bars") / "bars.csv", 500)
    bars = gm.read_bars(path, instrument=SYMBOL).bars

    def made(size: int = 1, episode_bars: int = 30) -> MarketBatch:
        return MarketBatch(
            CONFIG, [bars], instrument=SYMBOL, size=size, seed=1, episode_bars=episode_bars
        )

    return made


def test_the_parallel_view_passes_pettingzoos_own_test(make: Make) -> None:
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    from gm.training.views import ParallelMarket

    parallel_api_test(ParallelMarket(make()), num_cycles=200)
    parallel_seed_test(lambda: ParallelMarket(make()), num_cycles=50)


def test_agents_see_their_columns_and_share_the_reward(make: Make) -> None:
    from gm.training.views import AGENT_COLUMNS, ParallelMarket

    market, batch = ParallelMarket(make()), make()
    shown, _ = market.reset(seed=4)
    first = batch.reset(seed=4)
    assert {name: len(row) for name, row in shown.items()} == {
        "mlmi": 198, "nwrqk": 198, "regime": 150,
    }  # fmt: skip
    for name, columns in AGENT_COLUMNS.items():
        rows, context = shown[name][:-6].reshape(48, -1), shown[name][-6:]
        np.testing.assert_array_equal(rows, first.matrix[0][:, columns])
        np.testing.assert_array_equal(context, first.context[0])
    for _ in range(30):
        _, rewards, terminated, truncated, info = market.step({"mlmi": 0, "nwrqk": 0, "regime": 1})
        step = batch.step(np.array([[0, 0, 1]]))
        assert set(rewards.values()) == {float(step.reward[0])}
        assert info["regime"]["equity"] == step.equity[0]
    assert not any(terminated.values())
    assert all(truncated.values())
    assert market.agents == []


def test_the_gymnasium_view_passes_its_own_check(make: Make) -> None:
    from gymnasium.utils.env_checker import check_env

    from gm.training.views import MarketEnv

    check_env(MarketEnv(make()), skip_render_check=True)


def test_the_vector_view_gives_the_batch_and_where_episodes_ended(make: Make) -> None:
    from gm.training.views import MarketVectorEnv

    view, batch = MarketVectorEnv(make(size=3)), make(size=3)
    shown, _ = view.reset(seed=2)
    assert shown["matrix"].tobytes() == batch.reset(seed=2).matrix.tobytes()
    assert shown in view.observation_space
    view.action_space.seed(1)
    for _ in range(40):
        actions = view.action_space.sample()
        shown, reward, _, truncated, info = view.step(actions)
        step = batch.step(actions)
        assert shown in view.observation_space
        assert shown["matrix"].tobytes() == step.observation.matrix.tobytes()
        assert reward.tobytes() == step.reward.tobytes()
        assert ("final_obs" in info) == bool(truncated.any())
        if truncated.any():
            last = step.last_observation.matrix[truncated]
            assert info["final_obs"]["matrix"][info["_final_obs"]].tobytes() == last.tobytes()
    view.close()


def test_views_of_one_market_refuse_more(make: Make) -> None:
    from gm.training.views import MarketEnv, MarketVectorEnv, ParallelMarket

    for view in (ParallelMarket, MarketEnv):
        with pytest.raises(BadArgument, match="this view is of one market: size 2"):
            view(make(size=2))
    with pytest.raises(BadArgument, match="one seed draws"):
        MarketVectorEnv(make(size=2)).reset(seed=[1, 2])
