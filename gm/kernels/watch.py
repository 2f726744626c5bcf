"""The end of a process in which a kernel does not come back. `gm run` has its own, in the core."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

LOOK_EVERY_S = 0.02
EXIT_CODE = 1


class Watched(Protocol):
    """What runs kernels on another thread."""

    def hung_kernel(self) -> int:
        """Row of the kernel that does not come back, or -1."""


@contextlib.contextmanager
def ending_if_hung(session: Watched, names: Sequence[str]) -> Iterator[None]:
    """Watch a session while the block runs, and end the process should a kernel hang.

    Compiled code cannot be interrupted, so there is nothing to go on with: no signal would be
    heard, no exception raised.

    Parameters
    ----------
    session : Watched
        Asked every 20 ms.
    names : sequence of str
        Of the kernels, by row; empty: nothing is watched.
    """
    if not names:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            row = session.hung_kernel()
            if row >= 0:
                print(f"gm: kernel {names[row]} does not come back: it hangs", file=sys.stderr)
                sys.stderr.flush()
                os._exit(EXIT_CODE)

    thread = threading.Thread(target=watch, name="gm-kernel-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
