"""Peer: PPO of Stable-Baselines3 in our markets; one policy says all three actions.

Runs in the environment of requirements-sb3.txt, asked by bench/peers/process.py; our package and
what it needs are found behind that environment's own packages. Nets of our sizes, 256-128-64 with
ReLU for policy and value each on the whole joint observation of 631 numbers, our rollout,
minibatches, epochs and coefficients. It has one actor where we have three, and no LayerNorm: fewer
multiplications a step: 405 k weights, ours 466 k.
"""

import site
import sys
import time
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from process import ROOT, answer
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

WIDTHS = [256, 128, 64]
models: list[PPO] = []


class Markets(VecEnv):
    """The batch of gm.training.environment with flat observations, as SB3 wants a vector of it."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        joint = spaces.Box(-np.inf, np.inf, (48 * 13 + 6 + 1,), np.float32)
        super().__init__(batch.size, joint, spaces.MultiDiscrete([3] * len(batch.agents)))

    def reset(self) -> np.ndarray:
        return flat(self.batch.reset())

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = np.asarray(actions, np.int64)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        step = self.batch.step(self.actions)
        ended = step.terminated | step.truncated
        about: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            last = flat(step.last_observation)
            for i in np.flatnonzero(ended):
                is_cut = bool(step.truncated[i] and not step.terminated[i])
                about[i] = {"terminal_observation": last[i], "TimeLimit.truncated": is_cut}
        return flat(step.observation), step.reward, ended, about

    def close(self) -> None:
        self.batch.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"markets have no {attr_name} of their own")

    def env_method(self, method_name: str, *arguments: Any, **named: Any) -> list[Any]:
        raise AttributeError(f"markets have no {method_name} of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def flat(seen: Any) -> np.ndarray:
    rows = seen.matrix.reshape(len(seen.matrix), -1)
    return np.concatenate([rows, seen.context, seen.position[:, None]], axis=1)


def load(packages: str, rollout: int) -> dict[str, int]:
    """Make the markets and the learner. ``packages``: where gm and what it needs are installed."""
    torch.set_num_threads(1)
    site.addsitedir(packages)
    sys.path.append(str(ROOT))
    from bench.training_task import batch

    markets = Markets(batch())
    models.append(
        PPO(
            "MlpPolicy", markets, learning_rate=3e-4, n_steps=rollout,
            batch_size=rollout * markets.num_envs // 4, n_epochs=4, gamma=0.99, gae_lambda=0.95,
            clip_range=0.2, clip_range_vf=0.2, ent_coef=0.01, vf_coef=0.5, max_grad_norm=0.5,
            seed=1, device="cpu",
            policy_kwargs={
                "net_arch": {"pi": WIDTHS, "vf": WIDTHS}, "activation_fn": nn.ReLU,
            },
        )
    )  # fmt: skip
    layers = [each for each in models[0].policy.modules() if isinstance(each, nn.Linear)]
    return {"weights": sum(layer.weight.numel() for layer in layers)}


def update() -> dict[str, float]:
    """One rollout and what is learned from it: environment steps a second."""
    model = models[0]
    steps = model.n_steps * model.n_envs
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    begin = time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    took = time.perf_counter() - begin
    has_learned = any(
        not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True)
    )
    if not has_learned:
        sys.exit("Stable-Baselines3 changed no parameter")
    return {"steps_per_s": steps / took}


if __name__ == "__main__":
    answer({"load": load, "update": update})
