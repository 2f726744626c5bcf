"""Promise: MAPPO estimates advantages as the slow sum does, learns, and repeats itself exactly."""

from dataclasses import replace

import numpy as np
import pytest

from gm.errors import BadArgument, TrainingDiverged
from tests.training.fake_market import FakeMarket

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

SMALL = {"markets": 4, "rollout": 16, "steps": 4 * 16 * 4, "cut_every": 2}


def train(market=None, **changes):
    from gm.training.mappo import Trainer
    from gm.training.settings import MappoSettings

    settings = MappoSettings(**(SMALL | changes))
    trainer = Trainer(settings, market or FakeMarket(settings.markets))
    metrics = [trainer.update() for _ in range(settings.updates)]
    return trainer, metrics


def slow_advantage(reward, value, following, ended, gamma, gae_lambda, t, n, critic):
    """Equation 11 of Schulman et al. 2016, term by term until the episode ends."""
    total, weight = 0.0, 1.0
    for k in range(t, len(reward)):
        surprise = reward[k, n] + gamma * following[k, n, critic] - value[k, n, critic]
        total += weight * surprise
        if ended[k, n]:
            break
        weight *= gamma * gae_lambda
    return total


def test_advantages_of_two_steps_worked_by_hand():
    import torch

    from gm.training.mappo import advantages

    found = advantages(
        torch.tensor([[1.0], [2.0]]), torch.tensor([[[0.5]], [[1.0]]]),
        torch.tensor([[[1.0]], [[4.0]]]), torch.tensor([[False], [False]]), 0.5, 0.5,
    )  # fmt: skip
    # Last: 2 + 0.5 x 4 - 1 = 3. First: 1 + 0.5 x 1 - 0.5 = 1, and a quarter of 3.
    assert found.flatten().tolist() == [1.75, 3.0]


def test_advantages_equal_the_slow_sum():
    import torch

    from gm.training.mappo import advantages

    random = np.random.default_rng(3)
    for gamma, gae_lambda in ((0.99, 0.95), (1.0, 1.0), (0.9, 0.0)):
        reward = random.normal(size=(20, 5))
        value, following = random.normal(size=(2, 20, 5, 3))
        ended = random.random((20, 5)) < 0.15
        fast = advantages(
            *(torch.from_numpy(each) for each in (reward, value, following, ended)),
            gamma, gae_lambda,
        )  # fmt: skip
        slow = [
            [
                [
                    slow_advantage(reward, value, following, ended, gamma, gae_lambda, t, n, c)
                    for c in range(3)
                ]
                for n in range(5)
            ]
            for t in range(20)
        ]
        np.testing.assert_allclose(fast.numpy(), slow, rtol=1e-12, atol=1e-12)


class EndingMarket(FakeMarket):
    """Ends market 0 by termination and market 1 by truncation, in step 3."""

    def step(self, actions):
        step = super().step(actions)
        self.steps = getattr(self, "steps", 0) + 1
        at = self.steps == 4
        last = replace(step.last_observation, matrix=step.last_observation.matrix + 7)
        return replace(
            step,
            terminated=np.array([at, False, False, False]),
            truncated=np.array([False, at, False, False]),
            last_observation=last,
        )


def test_termination_masks_the_next_value_and_truncation_bootstraps_from_the_last_observation():
    import torch

    from gm.training.mappo import Trainer
    from gm.training.settings import MappoSettings

    seen = []

    class Keeping(EndingMarket):
        def step(self, actions):
            seen.append(super().step(actions))
            return seen[-1]

    trainer = Trainer(MappoSettings(**SMALL), Keeping(4))
    trainer._observation = trainer.market.reset(1)
    # A scale that is not 1, so that a forgotten conversion shows.
    trainer.normaliser.update(torch.tensor([[10.0], [20.0]]))
    rollout = trainer._collect()

    def returns(observation):
        with torch.no_grad():
            return trainer.normaliser.to_returns(
                trainer._outputs(trainer._seen(observation))
            ).numpy()

    for t, step in enumerate(seen):
        expected = returns(step.observation)
        if t == 3:
            expected[0] = 0.0
            expected[1] = returns(step.last_observation)[1]
            assert abs(expected[1] - returns(step.observation)[1]) > 1e-3
        np.testing.assert_allclose(rollout.following[t].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert rollout.ended.sum() == 2
    assert len(rollout.episode_returns) == 2


def test_the_value_normaliser_gives_what_it_was_given_mean_0_and_deviation_1():
    import torch

    from gm.training.mappo import ValueNormaliser

    normaliser = ValueNormaliser(2, 0.9)
    returns = torch.randn(1000, 2) * torch.tensor([3.0, 0.5]) + torch.tensor([100.0, -1.0])
    for _ in range(3):
        normaliser.update(returns)
    scaled = normaliser.normalise(returns)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-2)
    np.testing.assert_allclose(normaliser.to_returns(scaled), returns, rtol=1e-5, atol=1e-4)


def test_the_same_seed_gives_the_same_parameters_and_another_seed_others():
    from gm.training.mappo import parameter_hash

    hashes = [parameter_hash(train(seed=seed)[0]) for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_global_random_state_is_neither_read_nor_moved():
    import torch

    from gm.training.mappo import parameter_hash

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = parameter_hash(train()[0])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert parameter_hash(train()[0]) == first


@pytest.mark.parametrize(("algorithm", "critics"), [("mappo", [631]), ("ippo", [198, 198, 150])])
def test_critics_see_the_joint_observation_or_what_their_agent_sees(algorithm, critics):
    trainer, _ = train(algorithm=algorithm, steps=64)
    assert [critic[0].in_features for critic in trainer.critics] == critics


def test_both_rates_fall_to_nothing_with_the_last_update():
    trainer, _ = train()
    # Before update 3 of 4, a quarter is left.
    assert trainer.optimisers["actor"].param_groups[0]["lr"] == pytest.approx(3e-4 / 4)
    assert trainer.optimisers["critic"].param_groups[0]["lr"] == pytest.approx(1e-3 / 4)
    assert train(anneal=False)[0].optimisers["actor"].param_groups[0]["lr"] == 3e-4


def test_the_synergy_bonus_falls_to_nothing_at_half_of_the_run():
    market = FakeMarket(4)
    train(market, synergy_bonus=0.5)
    assert market.factors == [0.5, 0.25, 0.0, 0.0]


def test_random_learns_nothing_and_draws_all_actions_alike():
    trainer, metrics = train(algorithm="random")
    assert "loss" not in metrics[-1]
    observation = FakeMarket(3000).reset(1)
    counts = np.bincount(trainer.act(observation, is_greedy=False).ravel(), minlength=3)
    np.testing.assert_allclose(counts / 9000, 1 / 3, atol=0.02)
    greedy = trainer.act(observation, is_greedy=True)
    assert set(np.unique(greedy)) == {0, 1, 2}


def test_agents_draw_one_after_another_what_multinomial_draws():
    import torch

    trainer, _ = train(steps=64)
    logits = torch.randn(500, 3, 3, generator=torch.Generator().manual_seed(3)) * 2
    trainer.generator.manual_seed(9)
    found = trainer._draw(logits)
    plain = torch.Generator().manual_seed(9)
    expected = [
        torch.multinomial(torch.softmax(logits[:, i], 1), 1, generator=plain)[:, 0]
        for i in range(3)
    ]
    assert torch.equal(found, torch.stack(expected, 1))
    assert torch.equal(trainer.generator.get_state(), plain.get_state())


def test_agents_learn_the_planted_signal_and_not_one_that_they_cannot_see():
    means = {}
    for name, signal, algorithm in (
        ("mappo", 1.0, "mappo"), ("blind", 0.0, "mappo"), ("random", 1.0, "random")
    ):  # fmt: skip
        _, metrics = train(
            FakeMarket(16, signal=signal, death=0.01), algorithm=algorithm, markets=16,
            rollout=32, steps=16 * 32 * 25, actor_rate=1e-3,
        )  # fmt: skip
        means[name] = np.mean([each["reward_mean"] for each in metrics[-5:]])
        if name == "mappo":
            assert metrics[-1]["entropy"] < metrics[0]["entropy"]
            assert metrics[-1]["explained_variance"] > 0.05
    # The clairvoyant gets E|drift| = 0.80 less the turns.
    assert means["mappo"] > 0.45
    assert abs(means["blind"]) < 0.2
    assert abs(means["random"]) < 0.2


def test_a_market_of_another_size_or_other_agents_is_refused():
    with pytest.raises(BadArgument, match=r"market of 5 .* must be markets 4"):
        train(FakeMarket(5))
    market = FakeMarket(4)
    market.agents = ("regime", "mlmi", "nwrqk")
    with pytest.raises(BadArgument, match="must be markets 4 with agents"):
        train(market)


def test_a_loss_that_is_not_finite_ends_the_run_by_name():
    class Broken(FakeMarket):
        def step(self, actions):
            step = super().step(actions)
            return replace(step, reward=np.full(self.size, np.nan, np.float32))

    with pytest.raises(TrainingDiverged, match=r"update 0: .* actor_rate 0.0003"):
        train(Broken(4))
