"""What each agent and each input had to do with a probability of the ensemble.

Agents: P = sum of share_i x softmax(logits_i / temperature_i) is linear in them, so each agent's
part of P is exact. Inputs: integrated gradients of the same P, along the straight line from a
neutral matrix to the one that was seen. Of P and not of its log odds or margin, because then the
parts of agents and of inputs add up to one and the same number, the one that the threshold is held
against.

The neutral matrix says nothing: no signal, no gap, no momentum, average volatility. All columns
are 0, which is how SPEC 3 makes them; the hour is the middle of its circle and the weekday the
middle of the week (0.5), the means over a week. Columns of user kernels are 0 as well.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.explain.network import Floats, Network, forward, gradient

ACTIONS = 3
STEPS = 64
STEPS_MAX = 32_768
COMPLETENESS = 1e-3  # of a probability
_CHUNK = 512  # points on the line at a time: some MiB
_KINKS = 16  # pieces of which each may miss as much, where ReLUs bend the line
_FINER = (8, 64)  # bounds of the next tries, should there have been more of them
_WEEKDAY = 5  # of the context
_WEEKDAY_MEAN = 0.5


class Voter(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An agent that took part: its network, what it looks at, and its share of P."""

    network: Network
    columns: tuple[int, ...]  # of the matrix with the kernels' columns behind it, ascending
    has_context: bool
    temperature: float
    share: float


class Observation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A matrix, float64 (rows, 16), with the kernels' columns behind the 13, and the context."""

    matrix: Floats
    context: Floats


class Attribution(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How P of one action came about, input by input. All are parts of a probability.

    ``matrix`` (agents, rows, 16) and ``context`` (agents, 6) add up to ``value - baseline`` but for
    ``completeness_error``, which is at most ``bound`` if it ``is_complete``.
    """

    value: float
    baseline: float
    matrix: Floats
    context: Floats
    steps: int
    completeness_error: float
    bound: float

    @property
    def is_complete(self) -> bool:
        """Whether the parts add up as closely as was asked for."""
        return self.completeness_error <= self.bound


def neutral(observation: Observation) -> Observation:
    """Give the observation that says nothing, of the same shape."""
    context = np.zeros_like(observation.context)
    context[_WEEKDAY] = _WEEKDAY_MEAN
    return Observation(matrix=np.zeros_like(observation.matrix), context=context)


def attribute(
    voters: tuple[Voter, ...],
    observation: Observation,
    action: int,
    steps: int = STEPS,
    bound: float = COMPLETENESS,
) -> Attribution:
    """Integrate the gradient of P(action) from the neutral observation to this one.

    Parameters
    ----------
    voters : tuple of Voter
        Those that took part; their shares add up to 1.
    observation : Observation
        What they saw.
    action : int
        0 long, 1 neutral, 2 short.
    steps : int
        Equal pieces of the line to begin with. Over each the integral is known: what P rises by.
        Pieces that miss it are halved, down to 32,768 points an agent.
    bound : float
        Most that the sum of the parts may miss.

    Returns
    -------
    Attribution
        The last one, complete or not.

    Source
    ------
    Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", 2017, eq. 1 and 3; the
    midpoint rule in place of the right sum, the halving, and the neutral matrix are ours.
    """
    found = _attribute(voters, observation, action, steps, bound)
    for finer in _FINER:
        if found.is_complete:
            break
        parts = _attribute(voters, observation, action, steps, bound / finer)
        found = msgspec.structs.replace(parts, bound=bound)
    return found


def _attribute(
    voters: tuple[Voter, ...], observation: Observation, action: int, steps: int, bound: float
) -> Attribution:
    start = neutral(observation)
    rows, columns = observation.matrix.shape
    matrix = np.zeros((len(voters), rows, columns))
    context = np.zeros((len(voters), len(observation.context)))
    used = 0
    for i, voter in enumerate(voters):
        low, high = _inputs(voter, start), _inputs(voter, observation)
        mean, points = _mean_gradient(voter, (low, high), action, steps, bound)
        used = max(used, points)
        parts = (high - low) * mean * voter.share
        width = rows * len(voter.columns)
        matrix[i][:, list(voter.columns)] = parts[:width].reshape(rows, -1)
        if voter.has_context:
            context[i] = parts[width:]
    value = probability(voters, observation, action)
    baseline = probability(voters, start, action)
    return Attribution(
        value=value,
        baseline=baseline,
        matrix=matrix,
        context=context,
        steps=used,
        completeness_error=abs(float(matrix.sum() + context.sum()) - (value - baseline)),
        bound=bound,
    )


def probability(voters: tuple[Voter, ...], observation: Observation, action: int) -> float:
    """P(action) of the ensemble, in float64."""
    return sum(
        voter.share * float(_softmax(voter, _inputs(voter, observation)[None])[0][0, action])
        for voter in voters
    )


def _mean_gradient(
    voter: Voter, line: tuple[Floats, Floats], action: int, steps: int, bound: float
) -> tuple[Floats, int]:
    """Mean of dP/dx over the line, and at how many points it was taken."""
    total = np.zeros_like(line[0])
    starts = np.arange(steps) / steps
    width, points, kept = 1.0 / steps, 0, 0
    while len(starts) > 0:
        points += len(starts)
        is_last = points + 2 * len(starts) > STEPS_MAX
        again = []
        for first in range(0, len(starts), _CHUNK):
            some = starts[first : first + _CHUNK]
            slopes, missed = _pieces(voter, line, action, some, width)
            # Either its share of the line's error, or so little that _KINKS of them do not count.
            is_fine = (missed <= max(bound * width, bound / _KINKS) / 2) | is_last
            total += width * slopes[is_fine].sum(axis=0)
            kept += int(is_fine.sum())
            again.append(some[~is_fine])
        width /= 2
        left = np.concatenate(again)
        starts = np.concatenate([left, left + width])
    return total, kept


def _pieces(
    voter: Voter, line: tuple[Floats, Floats], action: int, starts: Floats, width: float
) -> tuple[Floats, Floats]:
    """Slope at the middle of each piece, and by how much it misses what P rises by over it."""
    low, high = line
    middles, values = _softmax(voter, low + (starts + width / 2)[:, None] * (high - low))
    seed = np.zeros((len(starts), voter.network.outputs))
    chosen = middles[:, action, None]
    seed[:, :ACTIONS] = chosen * (np.eye(ACTIONS)[action] - middles) / voter.temperature
    slopes = gradient(voter.network, values, seed)
    before = _softmax(voter, low + starts[:, None] * (high - low))[0][:, action]
    after = _softmax(voter, low + (starts + width)[:, None] * (high - low))[0][:, action]
    return slopes, np.abs(width * (slopes @ (high - low)) - (after - before))


def _softmax(voter: Voter, samples: Floats) -> tuple[Floats, list[Floats]]:
    values = forward(voter.network, samples)
    logits = values[-1][:, :ACTIONS] / voter.temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True), values


def _inputs(voter: Voter, observation: Observation) -> Floats:
    """Rows oldest first, each the agent's columns; then the context (SPEC 5)."""
    rows = observation.matrix[:, list(voter.columns)].ravel()
    return np.concatenate([rows, observation.context]) if voter.has_context else rows


def logits_of(voter: Voter, observation: Observation) -> NDArray[np.float64]:
    """The three logits of an agent, in float64."""
    values = forward(voter.network, _inputs(voter, observation)[None])
    return values[-1][0, :ACTIONS]
