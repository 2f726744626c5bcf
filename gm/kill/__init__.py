"""The kill switch as people use it: raise it, sign for its fall, see how it stands."""

from gm.kill.books import (
    Acceptance as Acceptance,
    Accepted as Accepted,
    AcceptOptions as AcceptOptions,
    accept_books as accept_books,
    acceptance_of as acceptance_of,
    shown_books as shown_books,
)
from gm.kill.clearing import ClearOptions as ClearOptions, Signed as Signed, clear as clear
from gm.kill.raising import KillOptions as KillOptions, Raised as Raised, kill as kill
from gm.kill.state import KillState as KillState, kill_state as kill_state
