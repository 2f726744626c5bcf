"""An engine that does with models what it is told, and the life of a follower of it."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from gm import layout
from gm.errors import BadArgument, BadSettings
from gm.layout import ModelAction, ModelCause, ModelStage, RecordType
from gm.models import BASELINE_PATH, load_bundle
from gm.models.registry import Act, add_bundle, promote
from gm.models.registry_state import read_registry
from gm.models.verification import Terms
from gm.supervisor.bundles import Following
from gm.supervisor.registry_follower import RegistryFollower

from ..models.make import named
from ..store.journals import journal_of, write_slots

PROFILE = "strategic_only"
ACT = Act(person="ada", reason="test", at_ts_ns=1)
NONE = "00" * 32
BASE = load_bundle(BASELINE_PATH).sha256


class Engine:
    """Does with models what the core does, at once; `busy` commands are not taken."""

    def __init__(self) -> None:
        self.live, self.shadow, self.before = (BASE, 0), (NONE, 0), (NONE, 0)
        self.last, self.busy, self.falls, self.records = 0, 0, 0, 0
        self.commands: list[str] = []
        self.refuses: set[str] = set()

    def shadow_model(self, block: bytes) -> None:
        self._take()
        header = np.frombuffer(block, layout.MODEL_HEADER, 1)[0]
        sha256 = bytes(header["bundle_sha256"]).hex()
        if sha256 in self.refuses:
            raise BadSettings("temperature of mlmi")
        self.commands.append("load")
        self.last += 1
        self.shadow = (sha256, self.last)

    def command_model(self, action: int, model: int) -> None:
        self._take()
        self.commands.append(ModelAction(action).name.lower())
        if action == ModelAction.PROMOTE and model == self.shadow[1]:
            self.live, self.before, self.shadow = self.shadow, self.live, (NONE, 0)
        elif action == ModelAction.RETIRE and model == self.shadow[1]:
            self.shadow = (NONE, 0)
        elif action == ModelAction.ROLL_BACK and model == self.live[1]:
            self.live, self.before = self.before, (NONE, 0)
        else:
            raise AssertionError(f"{ModelAction(action)} of {model}")

    def fall(self, run_dir: Path) -> None:
        """The live model is late: as the engine journals it."""
        gone, self.live, self.before = self.live, self.before, (NONE, 0)
        both = [(gone, ModelStage.RETIRED), (self.live, ModelStage.LIVE)]
        updates = [
            (RecordType.MODEL_UPDATE,
             {"sha256": list(bytes.fromhex(sha256)), "model": number, "stage": stage,
              "cause": ModelCause.LATE, "value": 5_000})
            for (sha256, number), stage in both
        ]  # fmt: skip
        write_slots(run_dir, journal_of(*updates))
        self.falls, self.records = 1, 2

    def status(self) -> dict[str, Any]:
        page = {"roll_backs": self.falls}
        for role in ("live", "shadow", "before"):
            page[f"{role}_sha256"], page[f"{role}_model"] = getattr(self, role)
        return {"engine": page, "journal": {"drained": self.records}, "instruments": []}

    def _take(self) -> None:
        if self.busy > 0:
            self.busy -= 1
            raise BadArgument("the command about a model before this one is not taken yet")


class Life:
    """A follower of an engine, looked after as the supervisor does, in time of its own."""

    def __init__(
        self,
        engine: Engine,
        run_dir: Path,
        root: Path | None,
        profile: str = PROFILE,
        **values: Any,
    ) -> None:
        self.engine, self.run_dir, self.now_s = engine, run_dir, 1_000.0
        following = Following(profile=profile, root=root, **values)
        self.follower = RegistryFollower(engine, run_dir, following, engine.records)

    def attend(self, times: int = 1) -> None:
        for _ in range(times):
            self.now_s += 0.25
            self.follower.attend(self.engine.status(), self.now_s)

    def until(self, is_so: Any) -> None:
        until = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < until, (self.engine.commands, vars(self.engine))
            self.attend()
            time.sleep(0.002)

    def until_live(self, sha256: str) -> None:
        self.until(lambda: self.engine.live[0] == sha256)

    def settle(self) -> None:
        """All that goes on by itself has gone on."""
        self.attend(4)
        self.follower._worker.submit(lambda: None).result()
        self.attend(4)

    def finish(self) -> None:
        self.follower.finish(self.engine.status())


def candidate(root: Path, name: str, source: Any = None) -> str:
    """Register a bundle; its hash."""
    bundle = source or named(root.parent / f"source_{name}", name)
    add_bundle(root, bundle.path, PROFILE, ACT, Terms())
    return bundle.sha256


def lift(root: Path, name: str, *targets: Any) -> None:
    for target in targets or ("shadow", "live"):
        promote(root, name, target, ACT, Terms())


def state_of(root: Path, sha256: str) -> str:
    entry = read_registry(root).of_hash(sha256)
    assert entry is not None
    return entry.state


def fallen(root: Path, life: Life) -> tuple[str, str]:
    """Two bundles were live, the second one is late."""
    one, two = candidate(root, "one"), candidate(root, "two")
    lift(root, "one")
    life.until_live(one)
    lift(root, "two")
    life.until_live(two)
    life.attend(4)
    life.engine.fall(life.run_dir)
    return one, two


def notes(root: Path, sha256: str) -> list[str]:
    entry = read_registry(root).of_hash(sha256)
    assert entry is not None
    return [note.text for note in entry.notes]
