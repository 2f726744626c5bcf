"""Makes a running engine shadow and decide as the registry says, and tells the registry what came.

Called by the supervisor between two waits. What takes long, loading and verifying a bundle and
writing to the registry, is done by one thread beside it; commands to the core are given here alone.
Several engines may follow one registry: each does what it says of its profile, and a bundle that
fell in one of them is retired for all.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from gm.errors import BadArgument, ConfigError, GmError
from gm.layout import ModelAction
from gm.metrics.models import ModelReading
from gm.models import Bundle, load_bundle
from gm.models.registry import add_note, fall_back
from gm.models.registry_state import STATE_FILE, RegistryState, read_registry
from gm.models.verification import verify_bundle
from gm.supervisor.bundles import Following, kernel_fault, model_block
from gm.supervisor.drift_watch import DriftWatch
from gm.supervisor.model_journal import Fall, ModelJournal, Refusal
from gm.supervisor.model_steps import Held, Step, held_by, is_done, next_step, wanted_of

LOOK_EVERY_S = 0.2  # at the registry; what it says takes effect within a second
STEP_S = 5.0  # after which a command that shows no effect is thought over
BUDGET_S = 0.02  # of one look at the journal
RETRY_S = 60.0  # a bundle that was refused may have been signed since
WRITE_RETRY_S = 1.0
UNTOLD_S = 5.0  # the journal's tail tells what the page shows much sooner
TWO_LEVEL = "two_level"
_NOT_TAKEN = "not taken yet"  # what the core says while the command before is under way

Status = dict[str, Any]
log = structlog.get_logger("gm")


class Commands(Protocol):
    """What is asked of the core."""

    def shadow_model(self, block: bytes) -> None:
        """Order a model in as a shadow."""

    def command_model(self, action: int, model: int) -> None:
        """Say what shall become of a model."""


class _Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle and its model block; or why it is refused."""

    bundle: Bundle | None = None
    block: bytes = b""
    fault: str = ""


class RegistryFollower:
    """One engine, one registry. All but ``reading`` is the supervisor thread's.

    Parameters
    ----------
    core : Commands
    run_dir : Path
    following : Following
    records : int
        Of the journal, as it was recovered.
    """

    def __init__(self, core: Commands, run_dir: Path, following: Following, records: int) -> None:
        self._core = core
        self._following = following
        self._journal = ModelJournal(run_dir, records, self._note_fall, self._note_refusal)
        self._drift = DriftWatch(run_dir)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="gm-models")
        self._state: RegistryState | None = None
        self._stamp: tuple[int, ...] = ()
        self._look_s = self._write_s = self._save_s = 0.0
        self._untold_s: float | None = None  # since when
        self._is_save_failing = self._is_untold_said = False
        self._barred = ""  # the one that the registry wants, that was said
        self._failure = ""
        self._bundles: dict[str, Bundle | None] = {}
        if following.first is not None:
            self._bundles[following.first.sha256] = following.first
        self._refused: dict[str, float] = {}  # until when
        self._faults: dict[str, str] = {}  # that were said
        self._refusals = 0
        self._sent: tuple[Step, float] | None = None
        self._loading: tuple[str, Future[_Loaded]] | None = None
        self._falls: list[Fall] = []
        self._writing: Future[None] | None = None
        self.reading = ModelReading()

    def attend(self, status: Status, now_s: float) -> None:
        """Do what is due. Nothing in it takes long.

        Parameters
        ----------
        status : dict
            The status page.
        now_s : float
            Monotonic time.

        Raises
        ------
        JournalCorrupt
            If the journal is.
        """
        engine = status["engine"]
        self._journal.read(status["journal"]["drained"], BUDGET_S)
        self._look(now_s)
        held = held_by(engine)
        if held is not None:
            self._watch_drift(held.live, status["instruments"], now_s)
            self._write_falls(held, now_s)
            if not self._falls:
                self._save(now_s)
            # The page may show a fall that the journal's tail has not told yet.
            is_told = self._is_told(engine["roll_backs"], now_s)
            if is_told and not self._falls:
                self._steer(held, now_s)
        self._tell()

    def finish(self, status: Status) -> None:
        """After the engine has stopped: write down what is not written yet, let go of all."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._journal.read(status["journal"]["drained"])
        try:
            for fall in self._falls:
                self._fall_back(fall, status["engine"]["live_sha256"])
            self._falls.clear()
            self._journal.save(is_forced=True)
        except (GmError, OSError) as error:  # the next start says it again
            log.error("registry", failure=str(error))
        self._drift.save()
        self._journal.close()
        self._tell()

    def _look(self, now_s: float) -> None:
        """Read the registry if it was replaced since."""
        root = self._following.root
        if root is None or now_s - self._look_s < LOOK_EVERY_S:
            return
        self._look_s = now_s
        try:
            stamp = _stamp(root / STATE_FILE)
            if stamp == self._stamp and self._state is not None and not self._failure:
                return
            self._state, self._stamp = read_registry(root), stamp
            failure = ""
        except (ConfigError, OSError) as error:
            failure = str(error)  # what it said last holds
        if failure and failure != self._failure:
            log.error("registry", failure=failure)
        self._failure = failure

    def _save(self, now_s: float) -> None:
        """Keep the place in the journal; a disk that is full costs the next start some reading."""
        if now_s < self._save_s:
            return
        try:
            self._journal.save()
        except OSError as error:
            self._save_s = now_s + WRITE_RETRY_S
            if not self._is_save_failing:
                log.error("models", failure=str(error))
            self._is_save_failing = True
            return
        if self._is_save_failing:
            log.info("models", recovered=True)
        self._is_save_failing = False

    def _is_told(self, roll_backs: int, now_s: float) -> bool:
        """Whether the journal has told as many falls as the page shows; say so if it never does."""
        read = self._journal.roll_backs_total
        if read == roll_backs:
            self._untold_s, self._is_untold_said = None, False
            return True
        if self._untold_s is None:
            self._untold_s = now_s
        if now_s - self._untold_s >= UNTOLD_S and not self._is_untold_said:
            self._is_untold_said = True
            log.error("models are not steered", falls_in_journal=read, falls_of_engine=roll_backs)
        return False

    def _steer(self, held: Held, now_s: float) -> None:
        """Bring the engine one step nearer to what the registry wants."""
        if self._state is None:
            return
        if self._sent is not None:
            step, since_s = self._sent
            if not is_done(step, held) and now_s - since_s < STEP_S:
                return
            text = "model" if is_done(step, held) else "model command without effect"
            log.info(text, action=step.action, sha256=step.sha256)
            self._sent = None
        self._forgive(now_s)
        barred = self._refused.keys() | self._journal.failed
        wanted = wanted_of(self._state, self._following.profile)
        if wanted.live and wanted.live in barred - {held.live, self._barred}:
            self._barred = wanted.live
            why = "failed in this run" if wanted.live in self._journal.failed else "refused"
            log.error("live bundle not to be had", sha256=wanted.live, why=why, goes_on=held.live)
        step_ = next_step(wanted, held, barred)
        if step_ is None:
            self._loading = None
        elif step_.action == "load":
            self._load(step_, now_s)
        else:
            self._command(step_, now_s)

    def _command(self, step: Step, now_s: float) -> None:
        action = ModelAction[step.action.upper()]
        try:
            self._core.command_model(action, step.model)
        except BadArgument:  # another command is under way
            return
        self._sent = (step, now_s)

    def _load(self, step: Step, now_s: float) -> None:
        """Have a bundle loaded, then offer it to the engine."""
        following, state = self._following, self._state
        if self._loading is None or self._loading[0] != step.sha256:
            entry = None if state is None else state.of_hash(step.sha256)
            if entry is None or following.root is None:
                return
            folder = following.root / entry.folder
            self._loading = (
                step.sha256,
                self._worker.submit(_load, folder, step.sha256, following),
            )
        future = self._loading[1]
        if not future.done():
            return
        loaded = future.result()
        try:
            if loaded.fault:
                raise ConfigError(loaded.fault)
            self._core.shadow_model(loaded.block)
        except GmError as error:
            if _NOT_TAKEN in str(error):
                return
            self._refuse(step.sha256, str(error), now_s)
            self._loading = None
            return
        self._bundles[step.sha256] = loaded.bundle
        self._loading, self._sent = None, (step, now_s)

    def _refuse(self, sha256: str, fault: str, now_s: float) -> None:
        """Bar a bundle for a while; say so where it was not said before."""
        self._refused[sha256] = now_s + RETRY_S
        self._refusals += 1
        if self._faults.get(sha256) == fault:
            return
        self._faults[sha256] = fault
        log.error("bundle refused", sha256=sha256, fault=fault)
        self._worker.submit(self._write_note, sha256, f"refused by an engine: {fault}"[:500])

    def _forgive(self, now_s: float) -> None:
        self._refused = {sha: until for sha, until in self._refused.items() if now_s < until}

    def _note_refusal(self, refusal: Refusal) -> None:
        """The engine itself did not take what it was given in this life."""
        if self._sent is None:
            return
        step, since_s = self._sent
        is_load = step.action == "load"
        if (refusal.sha256 != step.sha256) if is_load else (refusal.model != step.model):
            return
        self._sent = None
        if is_load and refusal.cause == "not_loaded":
            fault = (
                f"{refusal.cause}: its agents or its guard look at columns that this run does not "
                "compute"
            )
            self._refuse(step.sha256, fault, since_s)

    def _note_fall(self, fall: Fall) -> None:
        log.error("model rolled back", sha256=fall.failed, why=fall.why)
        self._falls.append(fall)
        self._sent = None

    def _write_falls(self, held: Held, now_s: float) -> None:
        """Tell the registry of the first fall that it does not know; again where that failed."""
        if self._writing is not None:
            if not self._writing.done():
                return
            error = self._writing.exception()
            self._writing = None
            if error is None:
                self._falls.pop(0)
                self._stamp = ()
            elif isinstance(error, (GmError, OSError)):
                self._write_s = now_s + WRITE_RETRY_S
                log.error("registry", failure=str(error))
            else:
                raise error
        if not self._falls or now_s < self._write_s:
            return
        if self._following.root is None:
            self._falls.clear()
            return
        self._writing = self._worker.submit(self._fall_back, self._falls[0], held.live)

    def _fall_back(self, fall: Fall, running: str) -> None:
        """Worker's thread, or any when that is gone."""
        following = self._following
        if following.root is None:
            return
        why = f"by an engine: {fall.why}"
        change = fall_back(
            following.root, following.profile, fall.failed, running, why, following.terms
        )
        if change is not None:
            log.warning("registry", retired=change.bundle, passed_over=change.passed_over)

    def _write_note(self, sha256: str, text: str) -> None:
        """Worker's thread."""
        try:
            if self._following.root is not None:
                add_note(self._following.root, sha256, text)
        except (GmError, OSError) as error:
            log.error("registry", failure=str(error))

    def _watch_drift(self, live: str, instruments: list[Status], now_s: float) -> None:
        if not self._drift.is_of(live):
            manifest = self._bundle(live)
            training = None if manifest is None else manifest.manifest.training
            agents = () if manifest is None else manifest.manifest.agents
            self._drift.compare_with(
                live,
                None if training is None else training.training_slice,
                {column for agent in agents for column in agent.columns},
            )
        self._drift.look(instruments, now_s)

    def _bundle(self, sha256: str) -> Bundle | None:
        """A bundle of a former life, too: the registry forgets none."""
        root = self._following.root
        if sha256 not in self._bundles and root is not None and self._state is not None:
            entry = self._state.of_hash(sha256)
            try:
                self._bundles[sha256] = None if entry is None else load_bundle(root / entry.folder)
            except ConfigError as error:
                self._bundles[sha256] = None
                log.warning("drift", failure=str(error))
        return self._bundles.get(sha256)

    def _tell(self) -> None:
        self.reading = ModelReading(
            roll_backs=dict(self._journal.roll_backs),
            same=self._journal.same,
            other=self._journal.other,
            refusals=self._refusals,
            drift=self._drift.scores,
            drift_rows=self._drift.rows,
            is_registry_readable=None if self._following.root is None else not self._failure,
        )


def _load(folder: Path, sha256: str, following: Following) -> _Loaded:
    """Worker's thread: find every fault before the engine hears of a bundle."""
    try:
        found = verify_bundle(folder, following.terms, sha256)
        if not found.is_sound:
            return _Loaded(fault="; ".join(found.faults)[:400])
        bundle = load_bundle(folder)
        if bundle.sha256 != sha256:
            return _Loaded(fault=f"{folder}: changed while it was read")
        if following.profile == TWO_LEVEL and bundle.manifest.tactical is None:
            return _Loaded(fault=f"no tactical agents, profile {TWO_LEVEL} wants them")
        if fault := kernel_fault(bundle, following.kernels):
            return _Loaded(fault=fault)
        return _Loaded(bundle=bundle, block=model_block(bundle))
    except (GmError, OSError, ValueError) as error:
        return _Loaded(fault=(str(error) or type(error).__name__)[:400])


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced; empty while there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
