"""From what a registry says and what an engine holds to the next command: a function of both.

It looks at states, not at changes. So it does not matter how often the registry was edited between
two looks, whether the same is asked for twice, or in which step a former life of the engine died.
"""

from collections.abc import Container
from typing import Any, Literal

import msgspec

from gm.models.registry_state import RegistryState

_NO_MODEL = "00" * 32


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256 of what a registry has live and as shadow for a profile."""

    live: str | None = None
    shadow: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The models of an engine: numbers, and SHA-256 of the bundles."""

    live: str
    live_model: int
    shadow: str | None = None
    shadow_model: int = 0
    before: str | None = None  # where a roll-back leads


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A command: ``load`` a bundle as shadow, or what shall become of the model of a number."""

    action: Literal["load", "promote", "roll_back", "retire"]
    sha256: str
    model: int = 0


def wanted_of(state: RegistryState, profile: str) -> Wanted:
    """What a registry asks of an engine with that profile."""
    live, shadow = state.live(profile), state.shadow(profile)
    return Wanted(
        live=None if live is None else live.sha256,
        shadow=None if shadow is None else shadow.sha256,
    )


def held_by(engine: dict[str, Any]) -> Held | None:
    """What an engine's status page shows; None before it was written first."""
    if engine["live_sha256"] == _NO_MODEL:
        return None
    shadow, before = engine["shadow_sha256"], engine["before_sha256"]
    return Held(
        live=engine["live_sha256"],
        live_model=engine["live_model"],
        shadow=None if shadow == _NO_MODEL else shadow,
        shadow_model=engine["shadow_model"],
        before=None if before == _NO_MODEL else before,
    )


def next_step(wanted: Wanted, held: Held, barred: Container[str]) -> Step | None:
    """Say what to do next; None: the engine is as the registry wants it.

    Parameters
    ----------
    wanted : Wanted
        A registry that has nothing live asks for no change of the live model.
    held : Held
    barred : container of str
        Bundles that were refused or that failed in this run: not to be had.

    Returns
    -------
    Step, optional
        The live model goes first. What the engine has before the live one is had by a roll-back,
        so that it does not stay as the way back from what replaced it.
    """
    live, shadow = wanted.live, wanted.shadow
    if live is not None and live != held.live and live not in barred:
        if live == held.shadow:
            return Step(action="promote", sha256=live, model=held.shadow_model)
        if live == held.before:
            return Step(action="roll_back", sha256=live, model=held.live_model)
        return Step(action="load", sha256=live)
    if shadow is not None and (shadow == held.live or shadow in barred):
        shadow = None
    if shadow == held.shadow:
        return None
    if shadow is not None:
        return Step(action="load", sha256=shadow)
    return Step(action="retire", sha256=held.shadow or "", model=held.shadow_model)


def is_done(step: Step, held: Held) -> bool:
    """Whether an engine shows that it has obeyed."""
    if step.action == "load":
        return held.shadow == step.sha256
    if step.action == "retire":
        return held.shadow_model != step.model
    return held.live == step.sha256
