"""The kill switch as people use it: raise it, sign for its fall, see how it stands."""

from gm.kill.clearing import ClearOptions as ClearOptions, Signed as Signed, clear as clear
from gm.kill.raising import KillOptions as KillOptions, Raised as Raised, kill as kill
from gm.kill.state import KillState as KillState, kill_state as kill_state
