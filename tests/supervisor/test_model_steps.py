"""Promise: whatever a registry says and an engine holds, commands lead from one to the other."""

import itertools

import msgspec
import pytest

from gm.supervisor.model_steps import Held, Step, Wanted, held_by, is_done, next_step

A, B, C, D = (letter * 64 for letter in "abcd")


def held(live=A, shadow=None, before=None) -> Held:
    return Held(
        live=live, live_model=3, shadow=shadow, shadow_model=4 if shadow else 0, before=before
    )


@pytest.mark.parametrize(
    ("wanted", "has", "expected"),
    [
        (Wanted(), held(), None),
        (Wanted(live=A), held(), None),
        (Wanted(live=B), held(), Step(action="load", sha256=B)),
        (Wanted(live=B), held(shadow=B), Step(action="promote", sha256=B, model=4)),
        (Wanted(live=B), held(shadow=C), Step(action="load", sha256=B)),
        (Wanted(live=B), held(before=B), Step(action="roll_back", sha256=B, model=3)),
        (Wanted(live=A, shadow=C), held(), Step(action="load", sha256=C)),
        (Wanted(live=A, shadow=C), held(shadow=C), None),
        (Wanted(live=A), held(shadow=C), Step(action="retire", sha256=C, model=4)),
        (Wanted(live=A, shadow=A), held(), None),
        # The live model goes first.
        (Wanted(live=B, shadow=C), held(shadow=C), Step(action="load", sha256=B)),
        # A registry without a live bundle changes nothing of what decides.
        (Wanted(shadow=C), held(), Step(action="load", sha256=C)),
    ],
)
def test_the_next_step_by_hand(wanted, has, expected) -> None:
    assert next_step(wanted, has, ()) == expected


def test_what_is_barred_is_not_had_and_keeps_nothing_else_from_being_had() -> None:
    assert next_step(Wanted(live=B, shadow=C), held(), {B}) == Step(action="load", sha256=C)
    assert next_step(Wanted(live=B, shadow=C), held(), {C}) == Step(action="load", sha256=B)
    assert next_step(Wanted(live=B), held(shadow=B), {B}) == Step(
        action="retire", sha256=B, model=4
    )
    assert next_step(Wanted(live=B), held(before=B), {B}) is None


def obeyed(has: Held, step: Step, number: int) -> Held:
    """What Models of the core makes of a command."""
    if step.action == "load":
        return msgspec.structs.replace(has, shadow=step.sha256, shadow_model=number)
    if step.action == "retire":
        return msgspec.structs.replace(has, shadow=None, shadow_model=0)
    if step.action == "promote":
        return Held(live=has.shadow or "", live_model=has.shadow_model, before=has.live)
    return msgspec.structs.replace(has, live=has.before or "", live_model=number, before=None)


def test_from_every_state_every_wish_is_reached_in_three_steps() -> None:
    some = (None, A, B, C)
    cases = itertools.product(some, some, (A, B, C), some, some)
    for live, shadow, has_live, has_shadow, before in cases:
        wanted = Wanted(live=live, shadow=shadow)
        has = held(has_live, has_shadow, before)
        for number in range(5, 9):
            step = next_step(wanted, has, ())
            if step is None:
                break
            has = obeyed(has, step, number)
            assert is_done(step, has)
        assert next_step(wanted, has, ()) is None, (wanted, has)
        assert live in (None, has.live)
        assert has.shadow == (None if shadow in (None, has.live) else shadow)


def test_a_page_that_was_never_written_holds_nothing() -> None:
    none = "00" * 32
    page = {"live_model": 0, "shadow_model": 0, "shadow_sha256": none, "before_sha256": none}
    assert held_by(page | {"live_sha256": none}) is None
    assert held_by(page | {"live_sha256": A}) == Held(live=A, live_model=0)
