"""Peer: MAPPO as one writes it in torch; the arithmetic of gm.training.mappo, line for line.

The manner of CleanRL: lists of tensors in the rollout, one forward pass a network, autograd, Adam
and gradient clipping as torch has them, minibatches that index the observations and cut the agents'
inputs out of them where they are wanted. Networks, seeds and the order of draws are ours, so that
equal settings must give equal losses.

Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", 2021;
Schulman et al. 2016, 2017.
"""

import numpy as np
import torch
from torch import nn

from gm.training.mappo import ValueNormaliser, episode_seed
from gm.training.market import Market, Observation
from gm.training.networks import STRATEGIC, agent_input, build_actor, build_critic, joint_input
from gm.training.settings import MappoSettings

ADAM_EPSILON = 1e-5


class PlainMappo:
    """One actor an agent, one critic of the joint observation."""

    def __init__(self, settings: MappoSettings, market: Market) -> None:
        self.settings, self.market, self.agents = settings, market, STRATEGIC.agents
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.actors = nn.ModuleList(
            build_actor(STRATEGIC, agent, self.generator) for agent in self.agents
        )
        self.critic = build_critic(STRATEGIC.joint_inputs, self.generator)
        self.normaliser = ValueNormaliser(1, settings.value_memory)
        self.optimisers = (
            torch.optim.Adam(self.actors.parameters(), settings.actor_rate, eps=ADAM_EPSILON),
            torch.optim.Adam(self.critic.parameters(), settings.critic_rate, eps=ADAM_EPSILON),
        )
        self.updates = 0
        self.seen = None

    def update(self) -> list[float]:
        """Collect and learn; the losses of the minibatches in their order."""
        if self.updates % self.settings.cut_every == 0:
            seed = episode_seed(self.settings.seed, self.updates)
            self.seen = tensors(self.market.reset(seed))
        left = 1.0 - self.updates / self.settings.updates
        for optimiser, rate in zip(
            self.optimisers, (self.settings.actor_rate, self.settings.critic_rate), strict=True
        ):
            optimiser.param_groups[0]["lr"] = rate * left
        self.updates += 1
        return self.learn(*self.collect())

    def logits(self, agent: int, matrix: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        plan = self.agents[agent]
        return self.actors[agent](agent_input(STRATEGIC, plan, matrix, context))

    def values(self, *seen: torch.Tensor) -> torch.Tensor:
        return self.critic(joint_input(*seen))[:, 0]

    @torch.no_grad()
    def collect(self) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        kept: dict[str, list[torch.Tensor]] = {
            name: [] for name in ("matrix", "context", "position", "action", "log", "output")
        }
        rewards, ended, cut_values = [], [], []
        for _ in range(self.settings.rollout):
            actions, logs = [], []
            for i in range(len(self.agents)):
                logits = self.logits(i, *self.seen[:2])
                probabilities = torch.softmax(logits, 1)
                drawn = torch.multinomial(probabilities, 1, generator=self.generator)
                actions.append(drawn[:, 0])
                logs.append(torch.log_softmax(logits, 1).gather(1, drawn)[:, 0])
            output = self.values(*self.seen)
            for name, value in zip(
                kept, (*self.seen, torch.stack(actions, 1), torch.stack(logs, 1), output),
                strict=True,
            ):  # fmt: skip
                kept[name].append(value)
            step = self.market.step(kept["action"][-1].numpy())
            rewards.append(torch.from_numpy(step.reward))
            ended.append(torch.from_numpy(step.terminated | step.truncated))
            cut_values.append(self.value_at_cut(step))
            self.seen = tensors(step.observation)
        last = self.normaliser.to_returns(self.values(*self.seen)[:, None])[:, 0]
        data = {name: torch.stack(values) for name, values in kept.items()}
        value = self.normaliser.to_returns(data["output"][..., None])[..., 0]
        following = torch.cat([value[1:], last[None]])
        ended = torch.stack(ended)
        following = torch.where(ended, torch.stack(cut_values), following)
        advantage = self.advantages(torch.stack(rewards), value, following, ended)
        returns = advantage + value
        data = {name: values.flatten(0, 1) for name, values in data.items()}
        return data, advantage.flatten(), returns.flatten()

    def value_at_cut(self, step) -> torch.Tensor:
        """Values of the last observations where an episode was only cut, 0 elsewhere."""
        found = torch.zeros(self.settings.markets)
        cut = torch.from_numpy(step.truncated & ~step.terminated)
        if cut.any():
            values = self.values(*tensors(step.last_observation))
            found[cut] = self.normaliser.to_returns(values[:, None])[:, 0][cut]
        return found

    def advantages(self, reward, value, following, ended) -> torch.Tensor:
        gamma, decay = self.settings.gamma, self.settings.gamma * self.settings.gae_lambda
        result, later = torch.empty_like(value), torch.zeros_like(value[0])
        for t in reversed(range(len(reward))):
            surprise = reward[t] + gamma * following[t] - value[t]
            later = surprise + decay * (~ended[t]) * later
            result[t] = later
        return result

    def learn(self, data: dict[str, torch.Tensor], advantage, returns) -> list[float]:
        settings, losses = self.settings, []
        self.normaliser.update(returns[:, None])
        data["target"] = self.normaliser.normalise(returns[:, None])[:, 0]
        data["advantage"] = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        for _ in range(settings.epochs):
            order = torch.randperm(len(returns), generator=self.generator)
            for rows in order.chunk(settings.minibatches):
                loss = self.loss({name: values[rows] for name, values in data.items()})
                for optimiser in self.optimisers:
                    optimiser.zero_grad()
                loss.backward()
                for network in (*self.actors, self.critic):
                    nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
                for optimiser in self.optimisers:
                    optimiser.step()
                losses.append(loss.item())
        return losses

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        settings, policy, entropy = self.settings, 0.0, 0.0
        for i in range(len(self.agents)):
            log_all = torch.log_softmax(self.logits(i, batch["matrix"], batch["context"]), 1)
            new = log_all.gather(1, batch["action"][:, i, None])[:, 0]
            ratio = (new - batch["log"][:, i]).exp()
            bound = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
            advantage = batch["advantage"]
            policy = policy - torch.min(ratio * advantage, bound * advantage).mean()
            entropy = entropy - (log_all.exp() * log_all).sum(1).mean()
        output = self.values(batch["matrix"], batch["context"], batch["position"])
        near = batch["output"] + (output - batch["output"]).clamp(-settings.clip, settings.clip)
        errors = torch.max((output - batch["target"]) ** 2, (near - batch["target"]) ** 2)
        return policy - settings.entropy * entropy + settings.value * 0.5 * errors.mean()


def tensors(seen: Observation) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    arrays = (seen.matrix, seen.context, seen.position)
    return tuple(torch.from_numpy(np.asarray(each, np.float32)) for each in arrays)
