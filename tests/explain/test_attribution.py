"""Promise: agents' parts add up to P exactly, inputs' parts as closely as is said, and what an
agent does not look at has no part.
"""

import math

import numpy as np
import pytest

from gm.explain.attribution import (
    STEPS_MAX,
    Observation,
    Voter,
    attribute,
    logits_of,
    neutral,
    probability,
)
from gm.explain.network import Layer, Network, load_network

from .test_network import strategic_onnx

ROWS, COLUMNS, CONTEXT = 48, 16, 6


def dense(inputs: int, weights: dict[tuple[int, int], float]) -> Network:
    matrix = np.zeros((inputs, 3))
    for place, weight in weights.items():
        matrix[place] = weight
    return Network(
        inputs=inputs,
        outputs=3,
        layers=(Layer(kind="dense", weights=matrix, bias=np.zeros(3)),),
    )


def voter(network: Network, columns: tuple[int, ...], share: float, **values: object) -> Voter:
    kept = {"has_context": network.inputs > ROWS * len(columns), "temperature": 1.0} | values
    return Voter(network=network, columns=columns, share=share, **kept)  # type: ignore[arg-type]


def observation(cells: dict[tuple[int, int], float]) -> Observation:
    matrix = np.zeros((ROWS, COLUMNS))
    for place, value in cells.items():
        matrix[place] = value
    return Observation(matrix=matrix, context=np.zeros(CONTEXT))


def test_two_agents_worked_by_hand() -> None:
    # The first sees column 8: logits (ln 3, 0, 0) at 1. The second says (0, ln 2, 0) to column 2.
    first = voter(dense(ROWS, {(47, 0): math.log(3.0)}), (8,), 0.75)
    second = voter(dense(ROWS, {(47, 1): math.log(2.0)}), (2,), 0.25)
    seen = observation({(47, 8): 1.0, (47, 2): 1.0})
    np.testing.assert_allclose(logits_of(first, seen), (math.log(3.0), 0, 0))
    assert probability((first, second), seen, 0) == pytest.approx(0.75 * 3 / 5 + 0.25 * 1 / 4)
    found = attribute((first, second), seen, 0, 256, 1e-6)
    assert found.baseline == pytest.approx(1 / 3)
    assert found.value == pytest.approx(0.5125)
    # One input an agent: its part is all that this agent moved.
    assert found.matrix[0, 47, 8] == pytest.approx(0.75 * (3 / 5 - 1 / 3), abs=1e-5)
    assert found.matrix[1, 47, 2] == pytest.approx(0.25 * (1 / 4 - 1 / 3), abs=1e-5)
    assert np.count_nonzero(found.matrix) == 2
    assert not found.context.any()
    assert found.is_complete


def test_a_linear_way_in_is_split_in_proportion() -> None:
    """Both cells enter as one sum, so their parts stand as their terms do: 3 to 1."""
    network = dense(ROWS, {(46, 2): 1.5, (47, 2): 1.0})
    seen = observation({(46, 5): 1.0, (47, 5): 0.5})
    found = attribute((voter(network, (5,), 1.0, temperature=0.5),), seen, 2, 512, 1e-6)
    assert found.matrix[0, 46, 5] == pytest.approx(3 * found.matrix[0, 47, 5])
    assert found.matrix.sum() == pytest.approx(found.value - found.baseline, abs=1e-6)


def test_three_networks_of_the_trained_shape_add_up() -> None:
    columns = ((0, 1, 8, 9), (2, 3, 4, 5), (10, 11, 12))
    voters = tuple(
        voter(load_network(strategic_onnx(48 * len(c) + 6)), c, share)
        for c, share in zip(columns, (0.5, 0.3, 0.2), strict=True)
    )
    random = np.random.default_rng(5)
    seen = Observation(
        matrix=random.uniform(-1, 1, (ROWS, COLUMNS)), context=random.uniform(-1, 1, CONTEXT)
    )
    found = attribute(voters, seen, 2)
    assert found.is_complete
    total = found.matrix.sum() + found.context.sum()
    assert abs(total - (found.value - found.baseline)) == found.completeness_error < 1e-3
    assert not found.matrix[:, :, (6, 7, 13, 14, 15)].any()
    assert np.abs(found.context).max() > 1e-4
    values = [probability(voters, seen, action) for action in range(3)]
    assert sum(values) == pytest.approx(1.0, abs=1e-12)


def steep(slope: float) -> Voter:
    """One logit that rises by 8 over a thousandth of the line: coarse points jump over it."""
    ramp, last = np.zeros((ROWS, 2)), np.zeros((2, 3))
    ramp[47] = slope
    last[:, 0] = (1.0, -1.0)
    first = -0.337 * slope
    layers = (
        Layer(kind="dense", weights=ramp, bias=np.array([first, first - 8.0])),
        Layer(kind="relu"),
        Layer(kind="dense", weights=last, bias=np.zeros(3)),
    )
    return voter(Network(inputs=ROWS, outputs=3, layers=layers), (11,), 1.0)


def test_pieces_are_halved_until_they_add_up_and_their_end_is_told() -> None:
    seen = observation({(47, 11): 1.0, (46, 11): 1.0})
    found = attribute((steep(8000.0),), seen, 0, 4096, 1e-3)
    assert found.value - found.baseline > 0.6
    assert 4096 < found.steps < 5000
    assert found.is_complete
    assert found.matrix[0, 47, 11] == pytest.approx(found.value - found.baseline, abs=1e-3)
    assert found.matrix[0, 46, 11] == 0.0
    missed = attribute((steep(8000.0),), seen, 0, STEPS_MAX, 1e-18)
    assert missed.steps == STEPS_MAX
    assert not missed.is_complete
    assert missed.completeness_error > 1e-3


def test_the_neutral_observation_is_nothing_but_the_middle_of_the_week() -> None:
    found = neutral(Observation(matrix=np.ones((ROWS, COLUMNS)), context=np.ones(CONTEXT)))
    assert not found.matrix.any()
    assert found.context.tolist() == [0, 0, 0, 0, 0, 0.5]
