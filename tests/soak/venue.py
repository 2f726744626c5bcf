"""`gm venue` on a tape that is mapped, not read: ``python -m tests.soak.venue``, a process."""

import argparse
import hashlib
import signal
from pathlib import Path

import numpy as np
import zmq

from gm import layout
from gm._native.runtime import find_endpoints, libzmq_path
from gm._native.venue_server import VenueServer
from gm.config.instruments import instrument as find_instrument
from gm.config.settings import load_settings
from gm.venue.ledger import write_ledger
from gm.venue.serving import serve, speed_permille, venue_settings
from tests.soak.tape import HISTORY_ROWS, SPEED

INSTRUMENT = "BTC-PERP"


def main() -> int:
    """Serve the tape until END or a signal; leave the ledger."""
    parser = argparse.ArgumentParser()
    for name in ("--run-dir", "--config", "--tape"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    settings = load_settings(options.config)
    instrument = find_instrument(INSTRUMENT, options.config.parent / settings.instruments_file)
    rows = np.memmap(options.tape, layout.TAPE_ROW, "r")
    server = VenueServer(
        venue_settings(settings.venue, instrument, options.seed), instrument.to_row(), rows
    )
    endpoints = find_endpoints(str(options.run_dir), make=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    with zmq.Context() as context:
        server.bind(
            libzmq_path(), context.underlying, endpoints["feed"], endpoints["orders"],
            hashlib.sha256(f"soak {len(rows)} {options.seed}".encode()).digest(),
            speed_permille=speed_permille(SPEED), history_rows=HISTORY_ROWS,
        )  # fmt: skip
        has_ended = serve(server)
    write_ledger(server, options.run_dir, ended=has_ended, synthetic=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
