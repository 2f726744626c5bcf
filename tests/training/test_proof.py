"""Promise: the exam is fair and known in every bar, and a little training passes it, by skill."""

import numpy as np
import pytest

from gm.errors import BadArgument
from gm.training.baselines import votes
from gm.training.planted import PlantedSettings
from gm.training.settings import MappoSettings

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

STRONG = PlantedSettings(signal_to_noise=3.0)
NOTHING = PlantedSettings(signal_to_noise=0.0)
# Half of it is gone with the next bar: who looks at the wrong bar earns half.
FLEETING = PlantedSettings(signal_to_noise=3.0, persistence=0.5)
SEEDS, EPISODES, BARS = (1, 2, 3), 24, 128


def proof(planted=STRONG, algorithm="mappo", seed=1, **changes):
    from gm.training.proof import Proof

    training = MappoSettings(
        algorithm=algorithm, seed=seed, steps=5_120, markets=16, rollout=64, minibatches=8,
        gae_lambda=0.5, actor_rate=1e-3,
    )  # fmt: skip
    small = {"tapes": 2, "tape_bars": 2_500, "episodes": EPISODES, "episode_bars": BARS}
    return Proof(name=algorithm, planted=planted, training=training, **(small | changes))


@pytest.fixture(scope="module")
def exam():
    from gm.training.proof import make_exam

    return make_exam(proof())


def test_all_that_sit_it_see_the_same_markets(exam) -> None:
    seen = []

    def player(moment):
        seen.append((moment.bar, moment.observation.matrix.copy()))
        return votes(np.full(len(moment.position), (len(seen) // 7) % 3))

    assert not np.array_equal(exam.sit(player).profit, exam.sit(player).profit)
    for (bar, matrix), (again, other) in zip(seen[:BARS], seen[BARS:], strict=True):
        assert bar == again
        assert np.array_equal(matrix, other)


def test_who_never_acts_earns_nothing_and_who_acts_is_told_what_it_holds(exam) -> None:
    idle = exam.sit(lambda moment: votes(np.full(len(moment.position), 1)))
    assert (idle.profit == 0).all()
    assert (idle.held, idle.turned) == (0.0, 0.0)
    held = []

    def turning(moment):
        held.append((moment.position.copy(), moment.held_bars.copy()))
        return votes(np.full(len(moment.position), 0 if moment.bar < 100 else 2))

    found = exam.sit(turning)
    for bar, (position, bars) in enumerate(held):
        # Long for 46 bars, then flat for one; from bar 100 on short.
        assert (bars == (bar % 47 if bar <= 100 else bar - 100)).all()
        assert (position == (np.sign(bar % 47) if bar <= 100 else -1)).all()
    assert found.turned == pytest.approx((5 + 2) / BARS)


def test_references_earn_what_their_programs_say_in_the_order_of_what_they_know() -> None:
    from gm.training.proof import sit_references

    found = sit_references(proof(FLEETING))
    for reference in found.values():
        profit = reference.sat.profit
        error = profit.std(ddof=1) / np.sqrt(len(profit))
        assert profit.mean() == pytest.approx(reference.program, abs=4 * error)
        assert error < 0.15 * reference.program
    clairvoyant, observer = (found[name].sat.profit for name in ("clairvoyant", "observer"))
    assert observer.mean() < clairvoyant.mean()


@pytest.mark.parametrize(("planted", "is_there"), [(STRONG, True), (NOTHING, False)])
def test_a_little_training_earns_where_a_signal_is_and_nothing_without(
    planted, is_there, exam
) -> None:
    from gm.training.proof import judge, make_exam, train_and_sit

    fresh = exam if is_there else make_exam(proof(planted))
    runs = [
        train_and_sit(proof(planted, algorithm, seed), fresh)
        for seed in SEEDS
        for algorithm in ("mappo", "random")
    ]
    best = np.full(EPISODES, 0.6 if is_there else 0.0)
    found = judge(runs, best)
    # Chance pays for its turns, so that who does nothing beats it too: to earn is more.
    assert (found.profit["mappo"].low > 0.0) == is_there
    assert found.profit["random"].estimate < 0.0
    assert set(found.lead) == {"random"}
    if is_there:
        assert found.lead["random"].low > 0.0
        means = [run.sat.profit.mean() for run in runs if run.name == "mappo"]
        assert found.shares == pytest.approx([mean / 0.6 for mean in means])
        assert found.over_share_min.estimate == pytest.approx(np.mean(means) - 0.7 * 0.6)
    else:
        assert found.shares == []


def test_what_cannot_be_judged_is_refused() -> None:
    from gm.training.exam import Exam, exam_ground
    from gm.training.proof import judge, train_and_sit

    chance = train_and_sit(proof(algorithm="random", episodes=2, episode_bars=2))
    with pytest.raises(BadArgument, match=r"the seeds of mappo: {'random': \[1\]}"):
        judge([chance], np.ones(2))
    with pytest.raises(BadArgument, match=r"leave the exam's markets alone: 1048576, 2"):
        train_and_sit(proof(seed=1 << 20))
    with pytest.raises(BadArgument, match="episodes and bars must be at least 1: 0, 5"):
        Exam(exam_ground(), STRONG, seed=1, episodes=0, bars=5)
