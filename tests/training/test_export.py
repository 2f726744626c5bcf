"""Promise: the core runs what was trained: same logits within 1e-5, same decisions."""

import numpy as np
import pytest

from gm import Network
from gm._native.policy import Ensemble
from gm.errors import BadArgument
from gm.models import agent_rows, load_bundle
from tests.training.fake_market import FakeMarket, FakeObservation

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

MATRICES = 1000


@pytest.fixture(scope="module")
def trainer():
    """Trained a little, and made sure of itself: first logits are all near 0."""
    import torch

    from gm.training.mappo import Trainer
    from gm.training.settings import MappoSettings

    torch.set_num_threads(1)
    settings = MappoSettings(markets=4, rollout=16, steps=4 * 16 * 2)
    trainer = Trainer(settings, FakeMarket(4))
    for _ in range(settings.updates):
        trainer.update()
    with torch.no_grad():
        for actor in trainer.actors.values():
            actor[-1].weight.mul_(60.0)
    return trainer


@pytest.fixture(scope="module")
def exported(trainer, tmp_path_factory):
    from gm.training.export import calibrate, export_bundle, validation_logits

    calibration = calibrate(validation_logits(trainer, FakeMarket(8), 5, 100))
    folder = tmp_path_factory.mktemp("bundle")
    export_bundle(trainer, calibration, folder, name="mappo", label="mappo test")
    return calibration, folder


def observations(seed, count=MATRICES):
    random = np.random.default_rng(seed)
    matrix = random.uniform(-1, 1, (count, 48, 13)).astype(np.float32)
    context = random.uniform(0, 1, (count, 6)).astype(np.float32)
    return FakeObservation(matrix, context, np.zeros(count, np.float32))


def test_exported_logits_are_those_of_torch(trainer, exported):
    from gm.training.networks import STRATEGIC

    seen = observations(1)
    expected = trainer.logits(seen)
    assert expected.std() > 0.3
    for i, agent in enumerate(STRATEGIC.agents):
        network = Network.load(exported[1] / f"{agent.name}.onnx")
        assert network.native
        inputs = np.concatenate([seen.matrix[:, :, agent.columns].reshape(MATRICES, -1),
                                 seen.context], 1)  # fmt: skip
        assert network.input_shape == (inputs.shape[1],)
        np.testing.assert_allclose(network.run(inputs), expected[:, i], rtol=0, atol=1e-5)


def test_engine_and_trainer_decide_alike(trainer, exported):
    calibration, folder = exported
    bundle = load_bundle(folder)
    ensemble = Ensemble(*agent_rows(bundle), bundle.manifest.threshold)
    seen = observations(2)
    scaled = trainer.logits(seen).astype(np.float64) / np.array(calibration.temperatures)[:, None]
    votes = np.exp(scaled - scaled.max(2, keepdims=True))
    mixed = (votes / votes.sum(2, keepdims=True)).mean(1)
    decided = set()
    for i in range(MATRICES):
        found = ensemble.decide(seen.matrix[i], seen.context[i])
        assert found["action"] == mixed[i].argmax()
        acts = mixed[i].max() >= calibration.threshold and mixed[i].argmax() != 1
        assert found["acts"] == acts
        decided.add((found["action"], found["acts"]))
    assert {(0, True), (2, True)} <= decided
    assert any(not acts for _, acts in decided)


def test_a_tactical_trainer_fills_the_tactical_section(trainer, exported, tmp_path):
    from gm.models.manifest import TACTICAL_WEIGHTS
    from gm.training.export import export_bundle
    from gm.training.mappo import Trainer
    from gm.training.networks import TACTICAL
    from gm.training.settings import MappoSettings
    from gm.training.tactical import PayloadMarket

    rows = np.random.default_rng(7).uniform(-1, 1, (30, 7)).astype(np.float32)
    settings = MappoSettings(steps=30, markets=2, rollout=15, minibatches=1)
    team = Trainer(settings, PayloadMarket(rows, 2), TACTICAL)
    calibration, _ = exported
    bundle = export_bundle(
        trainer, calibration, tmp_path / "six", name="six", label="six", tactical=team
    )
    assert load_bundle(tmp_path / "six").sha256 == bundle.sha256
    part = bundle.manifest.tactical
    assert part is not None
    assert part.weights == TACTICAL_WEIGHTS
    assert [agent.name for agent in part.agents] == ["fvg", "momentum", "entry"]
    seen = PayloadMarket(rows, 2).reset()
    logits = team.logits(seen)
    for i, agent in enumerate(part.agents):
        network = Network.load(tmp_path / "six" / agent.file)
        assert network.native
        found = network.run(np.ascontiguousarray(seen.matrix[:1]))
        np.testing.assert_allclose(found[0], logits[0, i], rtol=0, atol=1e-5)
    with pytest.raises(BadArgument, match="team tactical: the bundle wants the strategic team"):
        export_bundle(team, calibration, tmp_path / "x", name="x", label="x")
    with pytest.raises(BadArgument, match="team strategic: the bundle wants the tactical team"):
        export_bundle(trainer, calibration, tmp_path / "x", name="x", label="x", tactical=trainer)


def test_equal_weights_give_equal_bytes_without_a_trace_of_the_machine(trainer, exported):
    from gm.training.export import actor_onnx

    raw = actor_onnx(trainer, 0)
    assert raw == (exported[1] / "mlmi.onnx").read_bytes()
    for trace in (b"site-packages", b".py", b"/home", b"/root", b"/work", b"torch"):
        assert trace not in raw


def test_the_temperature_is_where_the_likelihood_is_highest():
    from gm.training.export import _loss, calibrate

    logits = np.random.default_rng(4).normal(0, 2, (2000, 3, 3)).astype(np.float32)
    found = calibrate(logits)
    counts = [np.bincount(row, minlength=3) for row in logits.argmax(2)]
    wanted = np.array([c.argmax() if c.max() > 1 else 1 for c in counts])
    for i, temperature in enumerate(found.temperatures):
        losses = [_loss(logits[:, i].astype(float), wanted, x / temperature)
                  for x in (0.9, 1.0, 1.1)]  # fmt: skip
        assert losses[1] == min(losses) == pytest.approx(found.negative_log_likelihood[i])
        assert 0.05 < temperature < 20
    assert 0.40 <= found.threshold <= 0.65
    assert found.observations == 2000


def test_agents_that_always_agree_are_taken_at_their_word():
    from gm.training.export import calibrate

    one = np.random.default_rng(5).normal(0, 1, (500, 1, 3)).astype(np.float32)
    found = calibrate(np.repeat(one, 3, axis=1))
    assert found.temperatures == pytest.approx((0.05,) * 3, rel=1e-3)
    assert found.agreement > 0.97


def test_votes_decide_by_more_than_half():
    from gm.training.export import majority

    votes = np.array([[0, 0, 2], [2, 1, 2], [0, 1, 2], [1, 1, 0], [0, 0, 0]])
    assert majority(votes).tolist() == [0, 2, 1, 1, 0]


def test_no_observation_is_refused():
    from gm.training.export import calibrate

    with pytest.raises(BadArgument, match="validation holds 0 observations"):
        calibrate(np.zeros((0, 3, 3), np.float32))
