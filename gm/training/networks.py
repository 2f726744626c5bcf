"""The teams, and the networks of their agents in torch: exactly the shapes that the core runs.

Actors see their own columns of the matrix and the context (SPEC §5). Critics see more, or the same
where each agent has its own, and are never exported.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import torch
from torch import nn

ACTIONS = 3  # long, neutral, short; of the entry agent: wait, execute, aggressive
HIDDEN = (256, 128, 64)
_ROWS, _COLUMNS, _CONTEXT = 48, 13, 6
_BARS, _CHANNELS, _BIN = 60, 7, 4
_FILTERS = (32, 64)
_NORM_EPSILON = 1e-5
# Yu et al. 2021, table 7 and Andrychowicz et al. 2021, §3.2: nearly uniform first actions.
_GAIN_HIDDEN, _GAIN_LOGITS, _GAIN_VALUE = math.sqrt(2.0), 0.01, 1.0


class AgentPlan(msgspec.Struct, frozen=True):
    """What an agent looks at: columns of the matrix, ascending."""

    name: str
    columns: tuple[int, ...]


class Team(msgspec.Struct, frozen=True):
    """Agents that decide together on one matrix, ``rows`` x ``columns``, and ``context`` values."""

    name: Literal["strategic", "tactical"]
    rows: int
    columns: int
    context: int
    agents: tuple[AgentPlan, ...]

    @property
    def joint_inputs(self) -> int:
        """Width of the joint observation: the whole matrix, the context, the position."""
        return self.rows * self.columns + self.context + 1


STRATEGIC = Team(
    name="strategic",
    rows=_ROWS,
    columns=_COLUMNS,
    context=_CONTEXT,
    agents=(
        AgentPlan("mlmi", (0, 1, 8, 9)),
        AgentPlan("nwrqk", (2, 3, 4, 5)),
        AgentPlan("regime", (10, 11, 12)),
    ),
)
TACTICAL = Team(
    name="tactical",
    rows=_BARS,
    columns=_CHANNELS,
    context=0,
    agents=tuple(AgentPlan(name, tuple(range(_CHANNELS))) for name in ("fvg", "momentum", "entry")),
)
TEAMS: Mapping[str, Team] = MappingProxyType({"strategic": STRATEGIC, "tactical": TACTICAL})


class ChannelWeights(nn.Module):
    """Seven learned factors, one a channel; then channels first, as a convolution wants them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, rows, channels) to (n, channels, rows)."""
        return (x * self.weight).transpose(1, 2)


class BinMajor(nn.Module):
    """(n, channels, bins) to (n, bins x channels): bins outer, channels inner (SPEC §5)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Flatten."""
        return x.transpose(1, 2).flatten(1)


def build_actor(team: Team, agent: AgentPlan, generator: torch.Generator) -> nn.Sequential:
    """Make the network of one agent.

    Parameters
    ----------
    team : Team
        Strategic: Linear, ReLU, LayerNorm, 256-128-64. Tactical: two convolutions, an average pool
        to 15 bins, 256-128.
    agent : AgentPlan
        One of the team.
    generator : torch.Generator
        All randomness comes from it.

    Returns
    -------
    torch.nn.Sequential
        From ``agent_input`` to logits (n, 3). Orthogonal weights, biases 0.

    Source
    ------
    SPEC §5; Saxe et al. 2014 (orthogonal initialisation).
    """
    if team.name == "tactical":
        return _conv(generator)
    return _dense(len(agent.columns) * team.rows + team.context, ACTIONS, _GAIN_LOGITS, generator)


def build_critic(inputs: int, generator: torch.Generator) -> nn.Sequential:
    """Make a value network, (n, inputs) to (n, 1), of the actors' shape; as ``build_actor``."""
    return _dense(inputs, 1, _GAIN_VALUE, generator)


def agent_input(
    team: Team, agent: AgentPlan, matrix: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    """Cut an agent's input out of observations.

    Parameters
    ----------
    team, agent : Team, AgentPlan
        Who looks.
    matrix, context : torch.Tensor
        float32 (n, rows, columns) and (n, context).

    Returns
    -------
    torch.Tensor
        Strategic: float32 (n, rows x its columns + context), oldest row first, then the context,
        as the engine lays it out. Tactical: (n, 60, 7).
    """
    chosen = matrix[:, :, list(agent.columns)]
    return chosen if team.name == "tactical" else torch.cat([chosen.flatten(1), context], 1)


def joint_input(
    matrix: torch.Tensor, context: torch.Tensor, position: torch.Tensor
) -> torch.Tensor:
    """Lay out the joint observation of a centralised critic: float32 (n, joint_inputs)."""
    return torch.cat([matrix.flatten(1), context, position[:, None]], 1)


def input_places(team: Team, agent: AgentPlan) -> list[int]:
    """Say where an agent's input stands in the joint observation.

    Parameters
    ----------
    team, agent : Team, AgentPlan
        Who looks.

    Returns
    -------
    list of int
        ``joint_input(...)[:, places]`` are the numbers of ``agent_input(...)``, in its order.
    """
    cells = [row * team.columns + column for row in range(team.rows) for column in agent.columns]
    return cells + [team.rows * team.columns + i for i in range(team.context)]


def _linear(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Linear:
    return _orthogonal(nn.utils.skip_init(nn.Linear, inputs, outputs), gain, generator)


def _orthogonal(layer: Any, gain: float, generator: torch.Generator) -> Any:  # noqa: ANN401
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _dense(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in HIDDEN:
        layers += [
            _linear(inputs, width, _GAIN_HIDDEN, generator),
            nn.ReLU(inplace=True),  # of a sum that nobody else reads
            nn.LayerNorm(width, eps=_NORM_EPSILON),
        ]
        inputs = width
    return nn.Sequential(*layers, _linear(inputs, outputs, gain, generator))


def _conv(generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = [ChannelWeights(_CHANNELS)]
    channels = _CHANNELS
    for filters in _FILTERS:
        layer = nn.utils.skip_init(nn.Conv1d, channels, filters, 3, padding=1)
        layers += [_orthogonal(layer, _GAIN_HIDDEN, generator), nn.ReLU()]
        channels = filters
    layers += [nn.AvgPool1d(_BIN), BinMajor()]
    inputs = _BARS // _BIN * channels
    for width in HIDDEN[:2]:
        layers += [_linear(inputs, width, _GAIN_HIDDEN, generator), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, _linear(inputs, ACTIONS, _GAIN_LOGITS, generator))
