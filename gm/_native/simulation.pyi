def fault_names() -> tuple[str, ...]: ...
def play_world(
    settings: bytes,
    seed: int,
    events: int,
    directory: str,
    *,
    has_faults: bool = True,
    replays: bool = False,
    traces: bool = False,
) -> dict[str, object]: ...
