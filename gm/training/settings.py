"""Settings of a training run: all that decides it beside data and machine. Needs no torch."""

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1)]


class MappoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a training run is decided by, beside its data. Defaults are SPEC §5's."""

    algorithm: Literal["mappo", "ippo", "random"] = "mappo"
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 1
    steps: Count = 1_000_000  # decisions of single markets; rounded down to whole updates
    markets: Count = 64
    rollout: Count = 128  # decisions a market in one update
    epochs: Count = 4
    minibatches: Count = 4
    clip: Rate = 0.2
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    entropy: Share = 0.01
    value: Share = 0.5
    gradient_norm: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    actor_rate: Rate = 3e-4
    critic_rate: Rate = 1e-3
    anneal: bool = True  # both rates, linearly, to 0 after the last update
    value_memory: Share = 0.99  # share of the value statistics that an update keeps
    synergy_bonus: Share = 0.0  # factor at the first update; linearly to 0 at half of the run
    cut_every: Count = 20  # updates; a checkpoint can be written there
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def updates(self) -> int:
        """Whole updates in ``steps``."""
        return self.steps // (self.markets * self.rollout)
