"""A run whose model was replaced while it traded, with a shadow beside it: core and venue in one
process, in lockstep.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from gm._native.runtime import Core, find_endpoints, libzmq_path
from gm._native.venue_server import VenueServer
from gm.config.block import Agents, build_model
from gm.config.instruments import configs_folder, instrument
from gm.config.settings import load_settings
from gm.layout import ModelAction
from gm.models import BASELINE_PATH, agent_rows, load_bundle
from gm.supervisor.preparation import prepare_run
from gm.venue.serving import venue_settings
from gm.venue.tape import open_tape

from ..runs import CONFIG, WAIT_S

SYMBOL = "BTC-PERP"
LIVE, SHADOW = "1" * 64, "2" * 64


def model_block(digest: str, weight: float) -> bytes:
    """The baseline under another hash, with another weight of its first agent."""
    bundle = load_bundle(BASELINE_PATH)
    rows, onnx = agent_rows(bundle)
    rows["weight"][0] = weight
    agents = Agents(
        rows=rows,
        onnx=onnx,
        threshold=bundle.manifest.threshold,
        feature_schema_sha256=bytes.fromhex(bundle.manifest.feature_schema_sha256),
        bundle_sha256=bytes.fromhex(digest),
    )
    return build_model(agents)


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.0002)


def swapped_run(run_dir: Path, bars: Path) -> None:
    """Trade: model 1 live from the first bars on, model 2 its shadow to the end."""
    settings = load_settings(CONFIG)
    row = instrument(SYMBOL, configs_folder() / "instruments.yaml")
    prepared = prepare_run(run_dir, CONFIG, settings, (SYMBOL,))
    tape = open_tape(bars, row, 1)
    endpoints = find_endpoints(str(run_dir), make=True)
    venue_context, context = zmq.Context(), zmq.Context()
    server = VenueServer(venue_settings(settings.venue, row, 1), row.to_row(), tape.rows)
    server.bind(
        libzmq_path(), venue_context.underlying, endpoints["feed"], endpoints["orders"],
        tape.tape_id,
    )  # fmt: skip
    core = Core(
        prepared.block, str(run_dir), libzmq_path(), context.underlying,
        journal_segment_bytes=1 << 20,
    )  # fmt: skip
    venue = threading.Thread(target=server.run)
    venue.start()
    try:
        core.start()
        engine = lambda: core.status()["engine"]  # noqa: E731
        wait_for(lambda: engine()["inputs_consumed"] > 4)
        core.shadow_model(model_block(LIVE, 0.3))
        wait_for(lambda: engine()["shadow_model"] == 1)
        core.command_model(ModelAction.PROMOTE, 1)
        wait_for(lambda: engine()["live_model"] == 1)
        core.shadow_model(model_block(SHADOW, -0.3))
        wait_for(lambda: engine()["shadow_model"] == 2)
        wait_for(lambda: core.phase == "ended")
    finally:
        core.request_stop()
        core.close()
        server.stop()
        venue.join()
        venue_context.destroy(linger=0)
        context.destroy(linger=0)
