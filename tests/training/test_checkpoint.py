"""Promise: a run that goes on from a checkpoint gives the bits of one that never stopped."""

import pytest

from gm.errors import ConfigError
from tests.training.fake_market import FakeMarket

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

SMALL = {"markets": 4, "rollout": 16, "steps": 4 * 16 * 6, "cut_every": 2}


def make(**changes):
    from gm.training.mappo import Trainer
    from gm.training.settings import MappoSettings

    return Trainer(MappoSettings(**(SMALL | changes)), FakeMarket(4))


@pytest.mark.parametrize("algorithm", ["mappo", "ippo", "random"])
@pytest.mark.parametrize("cut", [0, 2, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, algorithm, cut):
    from gm.training.checkpoint import read_checkpoint, write_checkpoint
    from gm.training.mappo import parameter_hash

    whole = make(algorithm=algorithm)
    metrics = [whole.update() for _ in range(6)]
    first = make(algorithm=algorithm)
    for _ in range(cut):
        first.update()
    write_checkpoint(first, tmp_path / "c.safetensors")
    second = make(algorithm=algorithm)
    read_checkpoint(second, tmp_path / "c.safetensors")
    assert second.update_number == cut
    assert [second.update() for _ in range(6 - cut)] == metrics[cut:]
    assert parameter_hash(second) == parameter_hash(whole)
    write_checkpoint(whole, tmp_path / "a")
    write_checkpoint(second, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_between_cuts_no_checkpoint_is_written(tmp_path):
    from gm.training.checkpoint import write_checkpoint

    trainer = make()
    trainer.update()
    with pytest.raises(ValueError, match="update 1 is no multiple of cut_every 2"):
        write_checkpoint(trainer, tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_what_is_no_checkpoint_of_this_run_is_refused(tmp_path):
    from gm.training.checkpoint import read_checkpoint, write_checkpoint

    path = tmp_path / "c"
    with pytest.raises(ConfigError, match="no checkpoint"):
        read_checkpoint(make(), path)
    write_checkpoint(make(), path)
    with pytest.raises(ConfigError, match=r"clip was 0.2, this run says 0.3"):
        read_checkpoint(make(clip=0.3), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ConfigError, match="no checkpoint"):
        read_checkpoint(make(), path)
    path.write_bytes(whole.replace(b"gm-checkpoint-1", b"gm-checkpoint-9"))
    with pytest.raises(ConfigError, match="gm-checkpoint-9"):
        read_checkpoint(make(), path)
