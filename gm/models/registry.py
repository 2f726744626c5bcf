"""The registry: bundles on their way candidate -> shadow -> live -> retired, one step at a time.

A bundle lies in a folder of its own, named by name and hash. Whatever moves up is verified whole
first, under the lock that also guards the change. A profile has at most one live bundle.
"""

import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError, UsageError
from gm.models.bundle import FILE_BYTES_MAX, Bundle, load_bundle, read_bounded
from gm.models.manifest import MANIFEST, SIGNATURE
from gm.models.registry_state import (
    NOTES_MAX,
    Cause,
    Entry,
    Event,
    Note,
    Profile,
    Reason,
    RegistryState,
    State,
    locked,
    read_registry,
    write_registry,
)
from gm.models.signature import SIGNING_ROLES, PersonName
from gm.models.verification import Terms, verify_bundle

_INCOMING = ".incoming"  # a copy that is not yet whole
_NEXT: Mapping[State, State] = MappingProxyType({"candidate": "shadow", "shadow": "live"})
_SHOWN_FAULTS_MAX = 20

Target = Literal["shadow", "live", "retired"]
ENGINE = "engine"  # the person, where no person did it
ENGINE_LOCK_S = 5.0  # a running engine asks again instead of waiting longer


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who does it, why, and when."""

    person: PersonName
    reason: Reason
    at_ts_ns: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``passed_over``: on a rollback, what was not good enough, with the fault."""

    bundle: str
    sha256: str
    profile: str
    before: State | None
    state: State
    retired: str | None = None
    passed_over: tuple[str, ...] = ()


def promote(root: Path, bundle: str, target: Target, act: Act, terms: Terms) -> Change:
    """Move a registered bundle one step up, or take it out of the game.

    Parameters
    ----------
    root : path
        Folder of the registry.
    bundle : str
        Folder name, name, or at least four digits of the hash.
    target : str
        The state after its own: shadow or live; or retired, for one that is not live.
    act : Act
        Goes into the history.
    terms : Terms
        What the signature must be.

    Returns
    -------
    Change
        With the bundle that was live before and is retired now.

    Raises
    ------
    ConfigError
        If the bundle has a fault; nothing is changed.
    UsageError
        If there is no such bundle, that is not its next state, or the person may not.
    TimedOut
        If another process keeps the registry.

    Source
    ------
    Ours.
    """
    _check_act(act, terms)
    with locked(root):
        state = read_registry(root)
        entry = find_entry(state, bundle)
        _check_step(entry, target)
        if target == "retired":
            write_registry(root, _moved(state, entry, "retired", "withdrawn", act))
            return _change(entry, "retired")
        _refuse_faults(root / entry.folder, entry.sha256, terms)
        replaced = state.live(entry.profile) if target == "live" else None
        if replaced is not None:
            state = _moved(state, replaced, "retired", "replaced", act)
        write_registry(root, _moved(state, entry, target, "promoted", act))
        return _change(entry, target, retired=replaced)


def add_bundle(root: Path, source: Path, profile: str, act: Act, terms: Terms) -> Change:
    """Copy a bundle into the registry: it becomes a candidate.

    Parameters
    ----------
    root : path
        Folder of the registry; made if missing.
    source : path
        Folder of the bundle.
    profile : str
        What it is to decide for.
    act : Act
        Goes into the history.
    terms : Terms
        What the signature must be if there is one: a candidate needs none.

    Returns
    -------
    Change
        From no state to candidate.

    Raises
    ------
    ConfigError
        If the bundle has a fault, or the registry cannot be written.
    UsageError
        If it is registered already, or the person may not.
    TimedOut
        If another process keeps the registry.

    Source
    ------
    Ours.
    """
    _check_act(act, terms)
    _check_profile(profile)
    terms = msgspec.structs.replace(terms, is_signature_required=False)
    _refuse_faults(source, None, terms)
    with locked(root):
        state = read_registry(root)
        bundle = load_bundle(source)
        entry = Entry(
            name=bundle.manifest.name,
            sha256=bundle.sha256,
            profile=profile,
            history=(_event(state, "candidate", "added", act),),
        )
        for other in state.entries:
            if other.folder == entry.folder:
                raise UsageError(f"{source}: registered as {other.folder}, which is {other.state}")
        final = root / entry.folder
        if not final.exists():  # else a crash left it there before the state named it
            _copy_bundle(bundle, root / _INCOMING)
            os.rename(root / _INCOMING, final)
            _sync_folder(root)
        _refuse_faults(final, entry.sha256, terms)
        write_registry(root, state.with_entry(entry))
        return _change(entry, "candidate", is_new=True)


def rollback(root: Path, profile: str, act: Act, terms: Terms) -> Change:
    """Retire the live bundle, if there is one, and bring back the last good one before it.

    Parameters
    ----------
    root : path
        Folder of the registry.
    profile : str
        Whose live bundle is to go.
    act : Act
        Goes into the history.
    terms : Terms
        What the signature must be.

    Returns
    -------
    Change
        Of the bundle that is live now. Good is what gave way to a promotion, not what was itself
        rolled back, and has no fault today.

    Raises
    ------
    UsageError
        If there is no good one, or the person may not; the live one stays.
    TimedOut
        If another process keeps the registry.

    Source
    ------
    Ours.
    """
    _check_act(act, terms)
    with locked(root):
        state = read_registry(root)
        live = state.live(profile)
        entry, passed_over = _last_good(root, _former(state.entries, profile), terms)
        if entry is None:
            what = (
                f"profile {profile} has no live bundle, and no good one that was"
                if live is None
                else f"no good bundle before {live.folder}, which stays live"
            )
            found = "; ".join(passed_over) or f"none was live for {profile}"
            raise UsageError(f"{root}: {what}: {found}")
        if live is not None:
            state = _moved(state, live, "retired", "rolled_back", act)
        write_registry(root, _moved(state, entry, "live", "restored", act))
        return _change(entry, "live", retired=live, passed_over=passed_over)


def fall_back(
    root: Path, profile: str, failed: str, running: str, why: Reason, terms: Terms
) -> Change | None:
    """Write down that an engine has rolled its live bundle back by itself.

    Parameters
    ----------
    root : path
        Folder of the registry.
    profile : str
        That the engine decides by.
    failed : str
        SHA-256 of the bundle that gave way.
    running : str
        SHA-256 of the one that the engine decides by now.
    why : str
        Goes into the history.
    terms : Terms
        What the signature of a bundle must be that the engine does not run yet.

    Returns
    -------
    Change
        Of the failed bundle, retired even if there is no good one before it. Where a promotion
        has retired it first, it is no longer good: no rollback brings it back. None: another engine
        or a person has said before that it failed.

    Raises
    ------
    ConfigError
        If the registry is damaged or cannot be written.
    TimedOut
        If another process keeps the registry.

    Source
    ------
    Ours.
    """
    act = Act(person=ENGINE, reason=why, at_ts_ns=time.time_ns())
    with locked(root, ENGINE_LOCK_S):
        state = read_registry(root)
        live = state.live(profile)
        former = _former(state.entries, profile)
        if live is None or live.sha256 != failed:
            gone = next((e for e in former if e.sha256 == failed), None)
            if gone is None:
                return None
            write_registry(root, _moved(state, gone, "retired", "rolled_back", act))
            return _change(gone, "retired")
        # What decides already, and gave way in its turn, needs no proof that it can be loaded.
        entry = next((e for e in former if e.sha256 == running), None)
        passed_over: list[str] = []
        if entry is None:
            entry, passed_over = _last_good(root, former, terms)
        state = _moved(state, live, "retired", "rolled_back", act)
        if entry is not None:
            state = _moved(state, entry, "live", "restored", act)
        write_registry(root, state)
        return _change(live, "retired", passed_over=passed_over)


def add_note(root: Path, sha256: str, text: Reason) -> bool:
    """Write down what an engine has to say about a bundle; False: it was said last, or who is it.

    Raises
    ------
    ConfigError
        If the registry is damaged or cannot be written.
    TimedOut
        If another process keeps the registry.
    """
    with locked(root, ENGINE_LOCK_S):
        state = read_registry(root)
        entry = state.of_hash(sha256)
        if entry is None or (entry.notes and entry.notes[-1].text == text):
            return False
        note = Note(change=state.changes, at_ts_ns=time.time_ns(), person=ENGINE, text=text)
        notes = (*entry.notes, note)[-NOTES_MAX:]
        write_registry(root, state.with_entry(msgspec.structs.replace(entry, notes=notes)))
        return True


def find_entry(state: RegistryState, bundle: str) -> Entry:
    """Look a bundle up by folder name, name, or four or more digits of its hash.

    Raises
    ------
    UsageError
        If none fits, or several.
    """
    is_hash = re.fullmatch(r"[0-9a-f]{4,64}", bundle) is not None
    found = [entry for entry in state.entries if entry.folder == bundle]
    found = found or [
        entry
        for entry in state.entries
        if entry.name == bundle or (is_hash and entry.sha256.startswith(bundle))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"{entry.folder} ({entry.state})" for entry in found)
        raise UsageError(f"{bundle!r} fits {len(found)} bundles: {listed}")
    listed = ", ".join(entry.folder for entry in state.entries) or "none"
    raise UsageError(f"{bundle!r} is not registered; registered: {listed}")


def unlisted(root: Path, state: RegistryState) -> tuple[str, ...]:
    """Folders of a registry that its state does not know: left by a crash, or put there by hand."""
    known = {entry.folder for entry in state.entries}
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and p.name not in known))


def _check_act(act: Act, terms: Terms) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(act), Act)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--person {act.person!r} --reason {act.reason[:80]!r}: {error}"
        ) from error
    if not terms.people:
        return
    person = terms.people.get(act.person)
    if person is None:
        raise UsageError(f"--person {act.person} is not in people.yaml: {', '.join(terms.people)}")
    if person.role not in SIGNING_ROLES:
        allowed = " and ".join(SIGNING_ROLES)
        raise UsageError(f"--person {act.person} is a {person.role}; models are for {allowed}")


def _check_profile(profile: str) -> None:
    try:
        msgspec.convert(profile, Profile)
    except msgspec.ValidationError as error:
        raise UsageError(f"--profile {profile!r}: {error}") from error


def _check_step(entry: Entry, target: Target) -> None:
    if target == "retired" and entry.state in _NEXT:
        return
    following = _NEXT.get(entry.state)
    if target == following:
        return
    if entry.state == "live":
        hint = "promote another bundle, or roll back"
    elif following is None:
        hint = "only a rollback brings a retired bundle back"
    else:
        hint = f"its next state is {following}"
    raise UsageError(f"{entry.folder} is {entry.state}, not to be made {target}: {hint}")


def _refuse_faults(folder: Path, sha256: str | None, terms: Terms) -> None:
    found = verify_bundle(folder, terms, sha256)
    if found.is_sound:
        return
    shown = "; ".join(found.faults[:_SHOWN_FAULTS_MAX])
    raise ConfigError(f"{folder}: {len(found.faults)} faults, nothing is changed: {shown}")


def _copy_bundle(bundle: Bundle, copy: Path) -> None:
    """Copy what the manifest names, and the signature; each file is on disk on return."""
    if copy.exists():  # of a process that died
        shutil.rmtree(copy)
    copy.mkdir()
    names = [MANIFEST, *bundle.manifest.files]
    if os.path.lexists(bundle.path / SIGNATURE):
        names.append(SIGNATURE)
    for name in names:
        write_whole(copy / name, read_bounded(bundle.path / name, FILE_BYTES_MAX))


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _last_good(root: Path, former: Iterable[Entry], terms: Terms) -> tuple[Entry | None, list[str]]:
    """The first without a fault, and the faults of those before it."""
    passed_over: list[str] = []
    for entry in former:
        found = verify_bundle(root / entry.folder, terms, entry.sha256)
        if found.is_sound:
            return entry, passed_over
        passed_over.append(f"{entry.folder}: {found.faults[0]}")
    return None, passed_over


def _former(entries: Iterable[Entry], profile: str) -> list[Entry]:
    """Bundles that gave way to a promotion, the latest first."""
    replaced = [e for e in entries if e.profile == profile and e.history[-1].cause == "replaced"]
    return sorted(replaced, key=lambda entry: entry.history[-1].change, reverse=True)


def _event(state: RegistryState, to: State, cause: Cause, act: Act) -> Event:
    return Event(
        change=state.changes + 1,
        at_ts_ns=act.at_ts_ns,
        state=to,
        cause=cause,
        person=act.person,
        reason=act.reason,
    )


def _moved(state: RegistryState, entry: Entry, to: State, cause: Cause, act: Act) -> RegistryState:
    history = (*entry.history, _event(state, to, cause, act))
    return state.with_entry(msgspec.structs.replace(entry, history=history))


def _change(
    entry: Entry,
    to: State,
    *,
    retired: Entry | None = None,
    passed_over: Sequence[str] = (),
    is_new: bool = False,
) -> Change:
    return Change(
        bundle=entry.folder,
        sha256=entry.sha256,
        profile=entry.profile,
        before=None if is_new else entry.state,
        state=to,
        retired=None if retired is None else retired.folder,
        passed_over=tuple(passed_over),
    )
