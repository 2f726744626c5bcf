"""The three that answer in bench_zmq.py, each in a process of its own on the same core.

    python -m bench.zmq_servers echo|native|python RUN_DIR CORE CAPACITY

`echo`: what comes on SUB goes out on DEALER, in C. `native`: the whole core of `gm run` with the
inline driver. `python`: the peer engine on the same two sockets with blocking reads; it asks for
fills only when it has an order out, as the venue of this benchmark sends them only then.
Each waits until its standard input is closed.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable

import zmq

from bench import rig
from bench.peers.python_engine import PythonEngine
from gm._native.runtime import Core, find_endpoints, libzmq_path

DONE, STOP = b"done", b"."


def pin_this_thread(core: int) -> None:
    os.sched_setaffinity(threading.get_native_id(), {core})


def echo(run_dir: str, core: int) -> None:
    library, context = rig.load_library(), zmq.Context()
    endpoints = find_endpoints(run_dir)
    pin_this_thread(core)
    error = ctypes.create_string_buffer(512)
    failed = library.bench_echo(
        libzmq_path().encode(), context.underlying, endpoints["feed"].encode(),
        endpoints["orders"].encode(), error, len(error),
    )  # fmt: skip
    if failed:
        sys.exit(error.value.decode())


def native(run_dir: str, core: int) -> None:
    context = zmq.Context()
    block = rig.settings(rig.networks())[0]
    engine = Core(block, run_dir, libzmq_path(), context.underlying, driver="inline", io_cpu=core)
    engine.start()
    sys.stdin.read()
    engine.close()


def python(run_dir: str, core: int, capacity: int) -> None:
    onnx, context = rig.networks(), zmq.Context()
    engine = PythonEngine(rig.settings(onnx)[1], onnx, capacity)
    endpoints = find_endpoints(run_dir)
    feed, orders = context.socket(zmq.SUB), context.socket(zmq.DEALER)
    feed.subscribe(b"")
    feed.connect(endpoints["feed"])
    orders.connect(endpoints["orders"])
    pin_this_thread(core)
    gc.collect()
    gc.disable()
    serve(engine, feed.recv, orders.recv, orders.send)
    context.destroy(linger=0)


def serve(
    engine: PythonEngine,
    receive: Callable[[], bytes],
    receive_fill: Callable[[], bytes],
    send: Callable[[bytes], object],
) -> None:
    while (message := receive()) != STOP:
        order = engine.on_close(message)
        if order is not None:
            send(order)
        send(DONE)
        if order is not None:
            engine.on_fill(receive_fill())
            send(DONE)


def die_with_parent() -> None:
    """A benchmark that was killed leaves no server behind."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def main() -> None:
    die_with_parent()
    kind, run_dir, core, capacity = sys.argv[1:]
    if kind == "echo":
        echo(run_dir, int(core))
    elif kind == "native":
        native(run_dir, int(core))
    else:
        python(run_dir, int(core), int(capacity))


if __name__ == "__main__":
    main()
