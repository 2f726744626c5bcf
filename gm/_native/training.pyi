from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

_Rows = NDArray[np.void]

class EpisodeRecord(TypedDict):
    records: _Rows
    orders: _Rows
    executions: _Rows
    tape: int
    rows_played: int
    venue_seed: int
    first_bar_start_ts_ns: int

class Output:
    matrix: NDArray[np.float32]
    context: NDArray[np.float32]
    position: NDArray[np.float32]
    last_matrix: NDArray[np.float32]
    last_context: NDArray[np.float32]
    last_position: NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    equity: NDArray[np.float64]
    episode_return: NDArray[np.float64]
    def __init__(self, size: int) -> None: ...

class MarketBatch:
    def __init__(
        self,
        settings: bytes,
        venue: _Rows,
        tapes: list[_Rows],
        *,
        size: int,
        seed: int,
        episode_bars: int,
        warmup_bars: int,
        drawdown_weight: float,
        synergy_factor: float,
        ruin: float,
        keeps_record: bool = False,
    ) -> None: ...
    def reset(self, out: Output, seed: int | None = None) -> None: ...
    def step(self, actions: NDArray[Any], out: Output, first: int, count: int) -> None: ...
    def set_synergy_factor(self, factor: float) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def agents(self) -> int: ...
    @property
    def starts(self) -> int: ...
    def record(self) -> EpisodeRecord | None: ...
