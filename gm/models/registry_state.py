"""What a registry remembers: every bundle, its state, and who moved it there, when and why.

registry.json is replaced whole or not at all, by one process at a time.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError, TimedOut
from gm.models.bundle import read_bounded
from gm.models.manifest import Hash, Name, Stamp
from gm.models.signature import PersonName

STATE_FILE = "registry.json"
LOCK_FILE = "registry.lock"
LOCK_TIMEOUT_S = 60.0
HASH_DIGITS = 12  # of the bundle's SHA-256 in its folder's name
NOTES_MAX = 20  # of a bundle; older ones go
_LOCK_POLL_S = 0.02
_STATE_BYTES_MAX = 16 << 20

State = Literal["candidate", "shadow", "live", "retired"]
Cause = Literal["added", "promoted", "replaced", "withdrawn", "rolled_back", "restored"]
Profile = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every part. Subclasses repeat frozen and kw_only: mypy and msgspec need it."""


class Event(_Part, frozen=True, kw_only=True):
    """One step of one bundle. ``change`` counts over the whole registry, as clocks may go back."""

    change: Annotated[int, msgspec.Meta(ge=1)]
    at_ts_ns: Stamp
    state: State
    cause: Cause
    person: PersonName
    reason: Reason


class Note(_Part, frozen=True, kw_only=True):
    """What somebody had to say about a bundle that changes no state, such as an engine's refusal.

    ``change``: the last of the registry when it was written.
    """

    change: Annotated[int, msgspec.Meta(ge=0)]
    at_ts_ns: Stamp
    person: PersonName
    text: Reason


class Entry(_Part, frozen=True, kw_only=True):
    """One bundle. ``sha256`` is that of its manifest, ``profile`` the one that it decides for."""

    name: Name
    sha256: Hash
    profile: Profile
    history: Annotated[tuple[Event, ...], msgspec.Meta(min_length=1)]
    notes: Annotated[tuple[Note, ...], msgspec.Meta(max_length=NOTES_MAX)] = ()

    @property
    def state(self) -> State:
        """Where the last step led."""
        return self.history[-1].state

    @property
    def folder(self) -> str:
        """Name of its folder in the registry."""
        return f"{self.name}-{self.sha256[:HASH_DIGITS]}"


class RegistryState(_Part, frozen=True, kw_only=True):
    """The contents of registry.json."""

    format: Literal[1] = 1
    entries: tuple[Entry, ...] = ()

    @property
    def changes(self) -> int:
        """Number of the last change, 0 before the first."""
        return max((event.change for entry in self.entries for event in entry.history), default=0)

    def live(self, profile: str) -> Entry | None:
        """The bundle that decides for a profile."""
        found = (e for e in self.entries if e.profile == profile and e.state == "live")
        return next(found, None)

    def shadow(self, profile: str) -> Entry | None:
        """The bundle that became shadow of a profile last: an engine has one beside the live."""
        found = (e for e in self.entries if e.profile == profile and e.state == "shadow")
        return max(found, key=lambda entry: entry.history[-1].change, default=None)

    def of_hash(self, sha256: str) -> Entry | None:
        """The bundle of this hash, whatever it decides for."""
        return next((entry for entry in self.entries if entry.sha256 == sha256), None)

    def with_entry(self, changed: Entry) -> "RegistryState":
        """Replace the entry of the same bundle, or add one."""
        others = tuple(entry for entry in self.entries if entry.sha256 != changed.sha256)
        if len(others) == len(self.entries):
            return msgspec.structs.replace(self, entries=(*others, changed))
        return msgspec.structs.replace(
            self,
            entries=tuple(changed if e.sha256 == changed.sha256 else e for e in self.entries),
        )


def read_registry(root: Path) -> RegistryState:
    """Read a registry's state.

    Parameters
    ----------
    root : path
        Folder of the registry; one that is absent or holds no state is empty.

    Returns
    -------
    RegistryState
        As the last whole write left it.

    Raises
    ------
    ConfigError
        If registry.json is damaged. It is never made anew: the history would be lost.
    """
    path = root / STATE_FILE
    if not os.path.lexists(path):
        return RegistryState()
    raw = read_bounded(path, _STATE_BYTES_MAX)
    try:
        state = msgspec.json.decode(raw, type=RegistryState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    _check(path, state)
    return state


def write_registry(root: Path, state: RegistryState) -> None:
    """Replace registry.json, under the lock: after a crash it is the old one or this one."""
    _check(root / STATE_FILE, state)
    text = msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n"
    if len(text) > _STATE_BYTES_MAX:
        raise ConfigError(f"{root / STATE_FILE}: {len(text)} bytes, at most {_STATE_BYTES_MAX}")
    write_whole(root / STATE_FILE, text)


@contextlib.contextmanager
def locked(root: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a registry alone; the kernel lets go when the process dies.

    Raises
    ------
    TimedOut
        If another process keeps it.
    ConfigError
        If the folder cannot be made or written.
    """
    path = root / LOCK_FILE
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    try:
        deadline_s = time.monotonic() + timeout_s
        while not _is_taken(lock):
            if time.monotonic() >= deadline_s:
                raise TimedOut(f"{path}: another process has held it for {timeout_s:g} s")
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(lock)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check(path: Path, state: RegistryState) -> None:
    folders = [entry.folder for entry in state.entries]
    if len(set(folders)) != len(folders):
        raise ConfigError(f"{path}: two bundles of one folder among {folders}")
    live = [entry.profile for entry in state.entries if entry.state == "live"]
    if len(set(live)) != len(live):
        raise ConfigError(f"{path}: two live bundles of one profile among {live}")
    for entry in state.entries:
        changes = [event.change for event in entry.history]
        if changes != sorted(set(changes)):
            raise ConfigError(f"{path}: {entry.folder}: changes must ascend: {changes}")
