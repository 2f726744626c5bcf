"""Promise: the core's order states are those of tests/order_states.py, whatever is said of them."""

import random
import subprocess

import pytest

from gm import errors
from gm.layout import OrderState as S, Side

from .order_states import (
    ALLOWED,
    BAD_ARGUMENT,
    BAD_TRANSITION,
    EVENTS,
    OK,
    OVERFLOW,
    Order,
    Orders,
)
from .runs import ROOT

MACHINE = ROOT / "build" / "core" / "order_machine"
STATUS = {
    OK: 0,
    **{
        word: next(n for n, error in errors.BY_STATUS.items() if error.__name__ == name)
        for word, name in ((BAD_ARGUMENT, "BadArgument"), (OVERFLOW, "Overflow"),
                           (BAD_TRANSITION, "BadTransition"))
    },
}  # fmt: skip
STEPS = 6_000
# Terminal orders are forgotten by the core after as many more: only newer ones are spoken of.
REMEMBERED = 200


def draw(orders: Orders, chance: random.Random, last: int) -> tuple[str, str, int]:
    """A command for the core, and what the reference says of it: its status, and of which order."""
    if last == 0 or chance.random() < 0.2:
        number, side, lots = last + 1, chance.choice(list(Side)), chance.randint(1, 9)
        verb, state = ("adopt", S.ORPHAN) if chance.random() < 0.1 else ("new", S.INTENT)
        taken = orders.insert(number, side, lots, state)
        return f"{verb} {number} {int(side)} {lots}", OK if taken else "none", number
    number = chance.randint(max(1, last - REMEMBERED), last)
    order = orders.by_id.get(number)
    if order is None:
        return f"event {number} 1", "none", number
    return (*speak(orders, order, number, chance), number)


def speak(orders: Orders, order: Order, number: int, chance: random.Random) -> tuple[str, str]:
    verb = chance.choice(("event", "event", "fill", "late", "replace", "replaced"))
    if verb == "event":
        event = chance.choice(EVENTS)
        return f"event {number} {EVENTS.index(event)}", orders.event(order, event)
    if verb == "fill":
        lots = chance.randint(0, 4)
        leaves = order.quantity - order.filled - lots + (chance.random() < 0.1)
        return f"fill {number} {lots} {leaves}", orders.fill(order, lots, leaves)
    if verb == "late":
        lots = chance.randint(0, 2)
        return f"late {number} {lots}", orders.late_fill(order, lots)
    if verb == "replace":
        lots, price, own = chance.randint(0, 12), chance.randint(1, 3), 10_000 + number
        return (
            f"replace {number} {own} {lots} {price}",
            orders.replace(order, own, lots, price),
        )
    answer = [order.replace_id, order.wanted, order.wanted_price, order.filled]
    if chance.random() < 0.2:
        answer[chance.randrange(4)] += 1
    return f"replaced {number} {' '.join(map(str, answer))}", orders.replaced(order, *answer)


def shown(orders: Orders, status: str, number: int) -> str:
    order = orders.by_id.get(number)
    values = (-1, S.NEW, 0, 0, 0)
    if status != "none" and order is not None:
        values = (STATUS[status], order.state, order.quantity, order.filled, order.wanted)
    is_open = [order for order in orders.by_id.values() if order.is_open]
    totals = (
        orders.open_lots(Side.BUY), orders.open_lots(Side.SELL), len(is_open),
        any(order.state is S.UNKNOWN for order in is_open),
    )  # fmt: skip
    return " ".join(str(int(value)) for value in (*values, *totals))


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_events_leaves_core_and_reference_equal(seed: int) -> None:
    assert MACHINE.exists(), f"{MACHINE} is missing: make test-core"
    chance, orders, last = random.Random(seed), Orders(), 0
    commands, expected, reached = [], [], set()
    for _ in range(STEPS):
        command, status, number = draw(orders, chance, last)
        last = max(last, number)
        commands.append(command)
        expected.append(shown(orders, status, number))
        if number in orders.by_id:
            reached.add(orders.by_id[number].state)
        for old in [n for n in orders.by_id if n < last - REMEMBERED]:
            if not orders.by_id[old].is_open:
                del orders.by_id[old]
    said = subprocess.run(
        [MACHINE], input="\n".join(commands), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for i, (ours, theirs) in enumerate(zip(expected, said, strict=True)):
        assert ours == theirs, (i, commands[i])
    every = set(ALLOWED) | {S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED, S.NEVER}
    assert reached == every
