"""The order states of SAFETY to be read: what core/src/orders/order_table.cpp does, slowly.

An order is a dictionary's value, the table a dictionary. No table row is left out: what is not in
ALLOWED changes nothing and is refused.
"""

import dataclasses

from gm.layout import OrderState as S, Side

OPEN_ORDERS_MAX = 256
EVENTS = (
    "send", "ack", "reject", "fill", "cancel_sent", "cancelled", "expired", "timeout",
    "report_absent", "report_live", "replace_sent", "replaced", "replace_refused",
)  # fmt: skip
OK, BAD_ARGUMENT, OVERFLOW, BAD_TRANSITION = "ok", "bad argument", "overflow", "bad transition"

_ENDED = {"cancelled": S.CANCELLED, "expired": S.EXPIRED}
_WAITING = _ENDED | {
    "ack": S.LIVE, "reject": S.REJECTED, "timeout": S.UNKNOWN, "report_absent": S.NEVER,
    "report_live": S.LIVE, "fill": S.PARTIAL,
}  # fmt: skip


def _resting(itself: S) -> dict[str, S]:
    return _ENDED | {
        "cancel_sent": S.PENDING_CANCEL, "replace_sent": S.PENDING_REPLACE,
        "report_live": itself, "timeout": itself, "fill": S.PARTIAL,
    }  # fmt: skip


ALLOWED: dict[S, dict[str, S]] = {
    S.INTENT: _WAITING | {"send": S.SENT},
    S.SENT: _WAITING,
    S.UNKNOWN: _WAITING,
    S.LIVE: _resting(S.LIVE),
    S.PARTIAL: _resting(S.PARTIAL),
    S.PENDING_CANCEL: _ENDED | {
        "cancel_sent": S.PENDING_CANCEL, "timeout": S.PENDING_CANCEL, "report_live": S.LIVE,
        "fill": S.PENDING_CANCEL,
    },
    S.PENDING_REPLACE: _ENDED | {
        "replaced": S.LIVE, "replace_refused": S.LIVE, "timeout": S.PENDING_REPLACE,
        "report_live": S.PENDING_REPLACE, "fill": S.PENDING_REPLACE,
    },
    S.ORPHAN: _ENDED | {
        "ack": S.ORPHAN, "cancel_sent": S.ORPHAN, "timeout": S.ORPHAN, "report_live": S.ORPHAN,
        "fill": S.ORPHAN,
    },
}  # fmt: skip


@dataclasses.dataclass
class Order:
    side: Side
    quantity: int
    state: S
    filled: int = 0
    wanted: int = 0  # by a replace that is not answered yet
    price: int = 0
    wanted_price: int = 0
    replace_id: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in ALLOWED

    @property
    def reserved(self) -> int:
        """What may still trade, whichever way a replace is answered."""
        return max(self.quantity, self.wanted) - self.filled if self.is_open else 0

    def move(self, event: str) -> bool:
        """Go where the table says. False: nowhere."""
        to = ALLOWED.get(self.state, {}).get(event)
        if to is None:
            return False
        self.state = S.PARTIAL if to is S.LIVE and self.filled > 0 else to
        if not self.is_open:
            self.wanted = 0
        return True


class Orders:
    """All orders of one instrument; each method gives a status."""

    def __init__(self) -> None:
        self.by_id: dict[int, Order] = {}

    def open_lots(self, side: Side) -> int:
        return sum(order.reserved for order in self.by_id.values() if order.side is side)

    def insert(self, number: int, side: Side, lots: int, state: S) -> bool:
        if sum(order.is_open for order in self.by_id.values()) == OPEN_ORDERS_MAX:
            return False
        self.by_id[number] = Order(side, lots, state)
        return True

    def event(self, order: Order, event: str) -> str:
        if event in ("fill", "replace_sent", "replaced") or not order.move(event):
            return BAD_TRANSITION
        if event == "replace_refused":
            order.wanted = 0
        return OK

    def fill(self, order: Order, lots: int, leaves: int) -> str:
        adds_up = lots > 0 and leaves >= 0 and order.quantity - order.filled == lots + leaves
        if not adds_up or "fill" not in ALLOWED.get(order.state, {}):
            return BAD_TRANSITION
        order.filled += lots
        if leaves == 0:
            order.state, order.wanted = S.FILLED, 0
        else:
            order.move("fill")
        return OK

    def late_fill(self, order: Order, lots: int) -> str:
        if order.is_open or lots <= 0:
            return BAD_TRANSITION
        order.filled += lots
        return OK

    def replace(self, order: Order, replace_id: int, lots: int, price: int) -> str:
        if "replace_sent" not in ALLOWED.get(order.state, {}):
            return BAD_TRANSITION
        if lots <= order.filled:
            return BAD_ARGUMENT
        order.move("replace_sent")
        order.wanted, order.wanted_price, order.replace_id = lots, price, replace_id
        return OK

    def replaced(self, order: Order, replace_id: int, lots: int, price: int, filled: int) -> str:
        asked = (order.replace_id, order.wanted, order.wanted_price, order.filled)
        if asked != (replace_id, lots, price, filled) or not order.move("replaced"):
            return BAD_TRANSITION
        order.quantity, order.price, order.wanted = lots, price, 0
        return OK
