"""`gm clear`: one person's signature for one step down; the engine falls when there are two."""

import time
from pathlib import Path

import msgspec

from gm.config.settings import Settings, load_settings
from gm.errors import ConfigError, UsageError
from gm.kill.signatures import Fall, find_pair, sign
from gm.kill.state import kill_state, level_of, manifest_of, name_of
from gm.models.signature import Person, load_people

LOOK_S = 0.02


class ClearOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm clear` says."""

    run_dir: Path
    config: Path
    latch: str
    person: str
    key: Path
    wait_s: float = 10.0


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``level``: as it stands now; ``signers``: who has signed for the next."""

    latch_id: str
    falls_to: str
    level: str
    signers: tuple[str, ...]
    has_fallen: bool
    note: str


def clear(options: ClearOptions) -> Signed:
    """Sign for one step down, and with the second signature wait for it.

    Parameters
    ----------
    options : ClearOptions

    Returns
    -------
    Signed
        Without an engine, or before its reconciliation is fresh, both signatures lie ready.

    Raises
    ------
    UsageError
        Another latch stands, or none; or this person has signed already.
    ConfigError
        The person, the role, the key, or the run directory is refused.

    Source
    ------
    Ours; SAFETY, kill switch.
    """
    manifest = manifest_of(options.run_dir)
    settings = load_settings(options.config)
    people = people_of(options.config, settings)
    state = kill_state(options.run_dir, manifest.instruments)
    if state.doubt:
        raise UsageError(f"{options.run_dir}: {state.doubt}: start an engine, it latches that anew")
    if not state.latch_id:
        raise UsageError(f"--latch {options.latch}: nothing is latched in {options.run_dir}")
    if options.latch != state.latch_id:
        raise UsageError(f"--latch {options.latch}: {state.latch_id} stands (gm status)")
    fall = next_fall(options.run_dir, settings.engine.installation)
    before = find_pair(options.run_dir, fall, people)
    if options.person in [found.person for found in before.good]:
        raise UsageError(f"--person {options.person} has signed for this already: a second person")
    sign(options.run_dir, fall, options.person, options.key, people)
    pair = find_pair(options.run_dir, fall, people)
    has_fallen = pair.is_enough and _falls(options, fall)
    after = kill_state(options.run_dir, manifest.instruments)
    return Signed(
        latch_id=state.latch_id,
        falls_to=fall.level,
        level=after.level,
        signers=tuple(sorted(found.person for found in pair.good)),
        has_fallen=has_fallen,
        note=_note(pair.is_enough, has_fallen),
    )


def people_of(config: Path, settings: Settings) -> "dict[str, Person]":
    """Who may sign, ConfigError if the configuration names nobody."""
    name = settings.models.people_file
    if not name:
        raise ConfigError(f"{config}: models.people_file names nobody who could sign")
    return dict(load_people(config.parent / name))


def next_fall(run_dir: Path, installation: int) -> Fall:
    """What the latch of a run directory may fall to: one step below its highest level."""
    state = kill_state(run_dir, ())
    return Fall(
        latch_id=state.latch_id,
        sequence=state.sequence,
        level=name_of(max(0, level_of(state.level) - 1)),
        installation=installation,
    )


def _falls(options: ClearOptions, fall: Fall) -> bool:
    """Wait until an engine has taken both signatures."""
    until = time.monotonic() + options.wait_s
    while time.monotonic() < until:
        state = kill_state(options.run_dir, ())
        if level_of(state.level) <= level_of(fall.level):
            return True
        time.sleep(LOOK_S)
    return False


def _note(is_enough: bool, has_fallen: bool) -> str:
    if has_fallen:
        return "the level has fallen by one"
    if is_enough:
        return (
            "both signatures lie ready: the engine falls once it runs and its books are reconciled"
        )
    return "one of two signatures: a second person within five minutes"
