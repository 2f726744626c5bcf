"""Multi-agent PPO, top to bottom: collect on the policy, estimate advantages, learn, forget.

One file for three algorithms that a comparison wants to be the same in all else: ``mappo`` has one
critic of the joint observation, ``ippo`` one an agent of what that agent sees, ``random`` draws
actions and learns nothing. The reward is the team's. No critic sees an action.

Same settings, market and machine: same bits, also across a checkpoint. For that, every
``cut_every`` updates all markets begin new episodes, drawn from the seed and the update's number;
the rollout that ends there bootstraps as any other.

Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", 2021
(MAPPO); Schulman et al. 2017 (PPO); Schulman et al. 2016 (GAE).
"""

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gm.errors import BadArgument, TrainingDiverged
from gm.training.market import Market, Observation, Step
from gm.training.networks import (
    ACTIONS,
    STRATEGIC,
    Team,
    build_actor,
    build_critic,
    input_places,
)
from gm.training.settings import MappoSettings

_ADAM_EPSILON = 1e-5  # Yu et al. 2021, table 7
_TINY = 1e-8

Metrics = dict[str, float]


class ValueNormaliser:
    """Running mean and deviation of returns, one pair a critic: critics learn numbers near 1.

    An update keeps ``memory`` of the sums; their weight is summed in the same way and divided out.
    Source: Yu et al. 2021, §5.1.
    """

    def __init__(self, critics: int, memory: float) -> None:
        self.memory = memory
        self.sums = torch.zeros(3, critics, dtype=torch.float64)  # of x, x squared, weight

    def update(self, returns: torch.Tensor) -> None:
        """Take in returns, shape (n, critics)."""
        x = returns.double().cpu()
        moments = torch.stack([x.mean(0), x.square().mean(0), torch.ones(x.shape[1])])
        self.sums.mul_(self.memory).add_(moments, alpha=1.0 - self.memory)

    def moments(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation, each (critics,); 0 and 1 before the first update."""
        weight = self.sums[2].clamp_min(_TINY)
        mean = self.sums[0] / weight
        deviation = (self.sums[1] / weight - mean.square()).clamp_min(1e-4).sqrt()
        deviation = torch.where(self.sums[2] > 0, deviation, torch.ones_like(deviation))
        return mean.to(like), deviation.to(like)

    def normalise(self, returns: torch.Tensor) -> torch.Tensor:
        """Returns to what a critic learns."""
        mean, deviation = self.moments(returns)
        return (returns - mean) / deviation

    def to_returns(self, outputs: torch.Tensor) -> torch.Tensor:
        """What a critic says to returns."""
        mean, deviation = self.moments(outputs)
        return outputs * deviation + mean


def advantages(
    reward: torch.Tensor,
    value: torch.Tensor,
    following: torch.Tensor,
    ended: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Estimate advantages over a rollout of t steps of n markets.

    Parameters
    ----------
    reward, ended : torch.Tensor, shape (t, n)
        Rewards; whether the episode ended with that step, for either reason.
    value : torch.Tensor, shape (t, n, critics)
        Of the state before each step.
    following : torch.Tensor, shape (t, n, critics)
        Of the state after it: 0 where the episode terminated, the value of the last observation
        where it was only truncated.
    gamma, gae_lambda : float
        In [0, 1].

    Returns
    -------
    torch.Tensor, shape (t, n, critics)
        A(t) = d(t) + gamma lambda A(t + 1) inside an episode, d(t) = r + gamma V(t + 1) - V(t).

    Source
    ------
    Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation",
    2016, eq. 11-12; Pardo et al. 2018 (time limits).
    """
    surprise = reward[:, :, None] + gamma * following - value
    goes_on = (~ended[:, :, None]).to(value.dtype) * (gamma * gae_lambda)
    result = torch.empty_like(value)
    later = torch.zeros_like(value[0])
    for t in range(len(reward) - 1, -1, -1):
        later = surprise[t] + goes_on[t] * later
        result[t] = later
    return result


class Rollout:
    """What one update learns from; made anew for each."""

    def __init__(self, t: int, n: int, team: Team, critics: int, device: str) -> None:
        agents = len(team.agents)

        def unset(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.empty((t, n, *shape), dtype=dtype, device=device)

        self.joint = unset(team.joint_inputs)
        self.action = unset(agents, dtype=torch.int64)
        self.log_probability = unset(agents)
        self.output = unset(critics)  # of the critics, as they said it: normalised
        self.following = torch.zeros((t, n, critics), device=device)  # returns
        self.reward = unset()
        self.ended = unset(dtype=torch.bool)
        self.episode_returns: list[float] = []


class Trainer:
    """Actors, critics and all state that a run needs to go on from where it stood."""

    def __init__(self, settings: MappoSettings, market: Market, team: Team = STRATEGIC) -> None:
        names = tuple(agent.name for agent in team.agents)
        if tuple(market.agents) != names or market.size != settings.markets:
            raise BadArgument(
                f"market of {market.size} with agents {tuple(market.agents)}: "
                f"must be markets {settings.markets} with agents {names}"
            )
        self.settings, self.market, self.team = settings, market, team
        self.update_number = 0
        self.losses: list[float] = []  # of the minibatches of the last update, in their order
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.actors = nn.ModuleDict(
            {agent.name: build_actor(team, agent, self.generator) for agent in team.agents}
        )
        self._places = [
            torch.tensor(input_places(team, agent), device=settings.device) for agent in team.agents
        ]
        self.critics = self._build_critics()
        self.actors.to(settings.device)
        self.critics.to(settings.device)
        self.normaliser = ValueNormaliser(len(self.critics), settings.value_memory)
        self.optimisers = {
            "actor": _adam(self.actors, settings.actor_rate),
            "critic": _adam(self.critics, settings.critic_rate),
        }
        self._observation: Any = None

    @property
    def done(self) -> bool:
        """Whether all updates are made."""
        return self.update_number >= self.settings.updates

    @property
    def at_cut(self) -> bool:
        """Whether the next update begins new episodes: a checkpoint is whole here."""
        return self.update_number % self.settings.cut_every == 0 or self.done

    def update(self) -> Metrics:
        """Collect one rollout, learn from it, drop it.

        Returns
        -------
        dict of float
            Losses, entropy, KL, clipped share, explained variance, rewards.

        Raises
        ------
        TrainingDiverged
            If a loss is not finite.
        """
        settings = self.settings
        if self._observation is None or self.update_number % settings.cut_every == 0:
            self._observation = self.market.reset(episode_seed(settings.seed, self.update_number))
        self._anneal()
        rollout = self._collect()
        metrics = {
            "reward_mean": float(rollout.reward.mean()),
            "episodes": float(len(rollout.episode_returns)),
        }
        if rollout.episode_returns:
            metrics["episode_return_mean"] = float(np.mean(rollout.episode_returns))
        if settings.algorithm != "random":
            metrics |= self._learn(rollout)
        self.update_number += 1
        return metrics

    def logits(self, observation: Observation) -> NDArray[np.float32]:
        """What the actors say, float32 (n, agents, 3)."""
        with torch.no_grad():
            found = self._all_logits(self._seen(observation))
        return np.asarray(found.cpu(), np.float32)

    def act(self, observation: Observation, *, is_greedy: bool) -> NDArray[np.int64]:
        """Choose actions, int64 (n, agents): the likeliest, or drawn from the policy.

        ``random`` always draws.
        """
        logits = torch.from_numpy(self.logits(observation))
        if is_greedy and self.settings.algorithm != "random":
            return np.asarray(logits.argmax(2), np.int64)
        return np.asarray(self._draw(logits), np.int64)

    def _collect(self) -> Rollout:
        settings = self.settings
        rollout = Rollout(
            settings.rollout, settings.markets, self.team, len(self.critics), settings.device
        )
        with torch.inference_mode():
            for t in range(settings.rollout):
                seen = rollout.joint[t].copy_(self._seen(self._observation))
                logits = self._all_logits(seen)
                action = rollout.action[t].copy_(self._draw(logits))
                rollout.log_probability[t] = _of_actions(torch.log_softmax(logits, 2), action)
                rollout.output[t] = self._outputs(seen)
                step = self.market.step(np.asarray(rollout.action[t].cpu(), np.int64))
                self._keep(rollout, t, step)
                self._observation = step.observation
            # Where an episode goes on, the state after a step is the one before the next.
            last = self._outputs(self._seen(self._observation))
            values = self.normaliser.to_returns(torch.cat([rollout.output[1:], last[None]]))
            rollout.following = torch.where(rollout.ended[:, :, None], rollout.following, values)
        return rollout

    def _keep(self, rollout: Rollout, t: int, step: Step) -> None:
        device = self.settings.device
        ended = step.terminated | step.truncated
        rollout.reward[t] = torch.from_numpy(np.asarray(step.reward, np.float32)).to(device)
        rollout.ended[t] = torch.from_numpy(ended).to(device)
        rollout.episode_returns += [float(each) for each in step.episode_return[ended]]
        cut = step.truncated & ~step.terminated
        if cut.any():  # truncation bootstraps; a terminated row stays 0
            rows = torch.from_numpy(cut).to(device)
            outputs = self._outputs(self._seen(step.last_observation))
            rollout.following[t, rows] = self.normaliser.to_returns(outputs)[rows]

    def _learn(self, rollout: Rollout) -> Metrics:
        settings = self.settings
        value = self.normaliser.to_returns(rollout.output)
        advantage = advantages(
            rollout.reward, value, rollout.following, rollout.ended,
            settings.gamma, settings.gae_lambda,
        )  # fmt: skip
        returns = (advantage + value).flatten(0, 1)
        self.normaliser.update(returns)
        # Each agent's advantages have mean 0 and deviation 1 over the rollout.
        scaled = advantage.flatten(0, 1)
        scaled = (scaled - scaled.mean(0)) / (scaled.std(0) + _TINY)
        scaled = scaled.expand(-1, len(self.team.agents))
        seen = rollout.joint.flatten(0, 1)
        data = {
            "actor": self._actor_inputs(seen),
            "critic": self._critic_inputs(seen),
            "action": rollout.action.flatten(0, 1),
            "log_probability": rollout.log_probability.flatten(0, 1),
            "advantage": scaled,
            "output": rollout.output.flatten(0, 1),
            "target": self.normaliser.normalise(returns),
        }
        totals: dict[str, list[float]] = {}
        for _ in range(settings.epochs):
            order = torch.randperm(len(returns), generator=self.generator).to(settings.device)
            for rows in order.chunk(settings.minibatches):
                for name, number in self._minibatch(data, rows).items():
                    totals.setdefault(name, []).append(number)
        self.losses = totals["loss"]
        metrics = {name: float(np.mean(numbers)) for name, numbers in totals.items()}
        spread = returns.var()
        left = (returns - value.flatten(0, 1)).var()
        metrics["explained_variance"] = float(1.0 - left / spread) if spread > 0 else 0.0
        return metrics

    def _minibatch(self, data: dict[str, Any], rows: torch.Tensor) -> Metrics:
        settings = self.settings
        inputs = [x.index_select(0, rows) for x in data["actor"]]  # x[rows] goes number by number
        logits = torch.stack([self._logits(i, x) for i, x in enumerate(inputs)], 1)
        log_all = torch.log_softmax(logits, 2)
        new = _of_actions(log_all, data["action"].index_select(0, rows))
        change = new - data["log_probability"].index_select(0, rows)
        ratio, advantage = change.exp(), data["advantage"].index_select(0, rows)
        # Schulman et al. 2017, eq. 7, summed over agents.
        bound = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        policy = -torch.min(ratio * advantage, bound * advantage).mean(0).sum()
        entropy = -(log_all.exp() * log_all).sum(2).mean(0).sum()
        with torch.no_grad():
            kl = float((ratio - 1.0 - change).mean())
            clipped = float((ratio != bound).float().mean())
        output = torch.cat(
            [c(x.index_select(0, rows)) for c, x in zip(self.critics, data["critic"], strict=True)],
            1,
        )
        # The value moves as far as the policy may: Schulman et al. 2016, as in Yu et al. 2021.
        old, target = (data[name].index_select(0, rows) for name in ("output", "target"))
        near = old + (output - old).clamp(-settings.clip, settings.clip)
        errors = torch.max((output - target).square(), (near - target).square())
        value = 0.5 * errors.mean(0).sum()
        loss = policy - settings.entropy * entropy + settings.value * value
        if not torch.isfinite(loss):
            raise TrainingDiverged(
                f"update {self.update_number}: policy loss {policy.item()}, value loss "
                f"{value.item()}: must be finite; lower actor_rate {settings.actor_rate} or "
                f"critic_rate {settings.critic_rate}"
            )
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for network in (*self.actors.values(), *self.critics):
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        for optimiser in self.optimisers.values():
            optimiser.step()
        return {
            "loss": loss.item(),
            "policy_loss": policy.item(),
            "value_loss": value.item(),
            "entropy": entropy.item() / len(data["actor"]),
            "kl": kl,
            "clipped": clipped,
        }

    def _actor_inputs(self, joint: torch.Tensor) -> list[torch.Tensor]:
        """One an agent, cut out of joint observations (n, joint_inputs)."""
        inputs = [joint.index_select(1, places) for places in self._places]
        if self.team.name == "tactical":
            return [x.view(-1, self.team.rows, self.team.columns) for x in inputs]
        return inputs

    def _critic_inputs(self, joint: torch.Tensor) -> list[torch.Tensor]:
        """One a critic: the joint observation, or what each agent sees."""
        if self.settings.algorithm == "ippo":
            return [x.flatten(1) for x in self._actor_inputs(joint)]
        return [joint]

    def _build_critics(self) -> nn.ModuleList:
        one = torch.zeros(1, self.team.joint_inputs, device=self.settings.device)
        inputs = self._critic_inputs(one)
        return nn.ModuleList(build_critic(x.shape[1], self.generator) for x in inputs)

    def _seen(self, observation: Observation) -> torch.Tensor:
        """The joint observation of each market, float32 (n, joint_inputs)."""
        n = len(observation.matrix)
        parts = (observation.matrix.reshape(n, -1), observation.context, observation.position)
        joint = np.concatenate([part.reshape(n, -1) for part in parts], 1, dtype=np.float32)
        return torch.from_numpy(joint).to(self.settings.device)

    def _outputs(self, joint: torch.Tensor) -> torch.Tensor:
        inputs = self._critic_inputs(joint)
        return torch.cat([c(x) for c, x in zip(self.critics, inputs, strict=True)], 1)

    def _logits(self, agent: int, x: torch.Tensor) -> torch.Tensor:
        if self.settings.algorithm == "random":
            return torch.zeros(len(x), ACTIONS, device=x.device)
        logits: torch.Tensor = self.actors[self.team.agents[agent].name](x)
        return logits

    def _all_logits(self, joint: torch.Tensor) -> torch.Tensor:
        """Of all agents, (n, agents, 3)."""
        inputs = self._actor_inputs(joint)
        return torch.stack([self._logits(i, x) for i, x in enumerate(inputs)], 1)

    def _draw(self, logits: torch.Tensor) -> torch.Tensor:
        """Actions of all agents, (n, agents), from their logits."""
        # On the CPU, so that both devices draw from the one generator that a checkpoint holds.
        shares = torch.softmax(logits, 2).cpu()
        noise = torch.empty(shares.shape[1], shares.shape[0], ACTIONS)
        for each in noise:
            each.exponential_(generator=self.generator)
        # Each agent's draws are torch.multinomial's: the argmax of share over exponential noise.
        return (shares / noise.transpose(0, 1)).argmax(2).to(logits.device)

    def _anneal(self) -> None:
        settings = self.settings
        left = 1.0 - self.update_number / max(settings.updates, 1) if settings.anneal else 1.0
        for name, rate in (("actor", settings.actor_rate), ("critic", settings.critic_rate)):
            self.optimisers[name].param_groups[0]["lr"] = rate * max(left, 0.0)
        if settings.synergy_bonus > 0:
            share = max(0.0, 1.0 - 2.0 * self.update_number / max(settings.updates, 1))
            self.market.set_synergy_factor(settings.synergy_bonus * share)


def parameter_hash(trainer: Trainer) -> str:
    """SHA-256 over names and bytes of all parameters, actors before critics."""
    digest = hashlib.sha256()
    for part in (trainer.actors, trainer.critics):
        for name, tensor in part.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def episode_seed(seed: int, update: int) -> int:
    """Seed of the episodes that begin before an update: 63 bits of SHA-256."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{update}".encode()).digest()[:8], "big") >> 1


def _adam(networks: nn.Module, rate: float) -> torch.optim.Adam:
    # fused: one pass over a parameter and its moments, not eight.
    return torch.optim.Adam(networks.parameters(), rate, eps=_ADAM_EPSILON, fused=True)


def _of_actions(log_all: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """What log probabilities (n, agents, 3) say of the chosen actions, (n, agents)."""
    return log_all.gather(2, action[:, :, None])[:, :, 0]
