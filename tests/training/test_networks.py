"""Promise: the networks are those of SPEC 5, and torch stays inside gm.training."""

import subprocess
import sys

import numpy as np
import pytest


def test_the_command_line_and_the_training_room_load_no_torch():
    code = (
        "import sys, gm.cli, gm.training, gm.training.settings, gm.training.market\n"
        "print(sorted({'torch', 'onnxscript', 'safetensors', 'tensorboard'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.train
@pytest.mark.parametrize(("agent", "inputs"), [(0, 198), (1, 198), (2, 150)])
def test_a_strategic_actor_is_linear_relu_norm_three_times_then_three_logits(agent, inputs):
    import torch

    from gm.training.networks import STRATEGIC, build_actor

    actor = build_actor(STRATEGIC, STRATEGIC.agents[agent], torch.Generator().manual_seed(1))
    kinds = [type(layer).__name__ for layer in actor]
    assert kinds == ["Linear", "ReLU", "LayerNorm"] * 3 + ["Linear"]
    widths = [(layer.in_features, layer.out_features) for layer in actor[::3]]
    assert widths == [(inputs, 256), (256, 128), (128, 64), (64, 3)]
    product = actor[3].weight @ actor[3].weight.T  # orthogonal rows of length sqrt 2
    np.testing.assert_allclose(product.detach(), 2 * np.eye(128), atol=1e-5)


@pytest.mark.train
def test_an_input_is_rows_oldest_first_then_the_context():
    import torch

    from gm.training.networks import STRATEGIC, agent_input, joint_input

    matrix = torch.arange(48 * 13.0).reshape(1, 48, 13)
    context = torch.arange(6.0)[None] + 1000
    found = agent_input(STRATEGIC, STRATEGIC.agents[0], matrix, context)[0]
    assert found[:8].tolist() == [0, 1, 8, 9, 13, 14, 21, 22]
    assert found[-7:].tolist() == [47 * 13 + 9, 1000, 1001, 1002, 1003, 1004, 1005]
    joint = joint_input(matrix, context, torch.tensor([-0.5]))
    assert joint.shape == (1, STRATEGIC.joint_inputs)
    assert joint[0, -1] == -0.5


@pytest.mark.train
@pytest.mark.parametrize("name", ["strategic", "tactical"])
def test_an_agents_input_stands_in_the_joint_observation_where_its_places_say(name):
    import torch

    from gm.training.networks import TEAMS, agent_input, input_places, joint_input

    team = TEAMS[name]
    matrix = torch.randn(3, team.rows, team.columns)
    context = torch.randn(3, team.context)
    joint = joint_input(matrix, context, torch.randn(3))
    for agent in team.agents:
        expected = agent_input(team, agent, matrix, context).flatten(1)
        assert torch.equal(joint[:, input_places(team, agent)], expected)


@pytest.mark.train
def test_a_tactical_actor_has_the_shapes_of_the_specification():
    import torch

    from gm.training.networks import TACTICAL, build_actor

    actor = build_actor(TACTICAL, TACTICAL.agents[0], torch.Generator().manual_seed(1))
    x, shapes = torch.randn(2, 60, 7), []
    for layer in actor:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [
        (7, 60), (32, 60), (32, 60), (64, 60), (64, 60), (64, 15), (960,),
        (256,), (256,), (128,), (128,), (3,),
    ]  # fmt: skip
