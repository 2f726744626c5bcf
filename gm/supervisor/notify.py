"""Messages to systemd, when it started us: READY=1, WATCHDOG=1, STOPPING=1.

Source: sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names.
"""

import os
import socket
import sys
from collections.abc import Mapping


class Notifier:
    """Where messages go; nowhere when systemd did not start the process.

    ``watchdog_s`` is how long systemd waits for WATCHDOG=1 before it kills us; 0: it does not.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        values = os.environ if environment is None else environment
        address = values.get("NOTIFY_SOCKET", "")
        # An address that begins with @ lies in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        # Meant for another process of the unit: not ours to feed.
        is_ours = values.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = values.get("WATCHDOG_USEC", "") if is_ours else ""
        self.watchdog_s = int(usec) / 1_000_000 if usec.isdecimal() else 0.0

    def send(self, message: str) -> None:
        """Send one message. A notification that cannot be sent must not stop the engine."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
            try:
                channel.sendto(message.encode(), self._address)
            except OSError as error:
                # systemd itself notices: the watchdog runs out.
                print(f"gm: systemd cannot be notified: {error}", file=sys.stderr)
