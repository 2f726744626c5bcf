from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE_BYTES_MAX: int
COLUMN_ABSENT: int
REASONS: tuple[str, ...]
BAR: np.dtype[np.void]
TEXT_ROW: np.dtype[np.void]

Rows = NDArray[np.void]

def sizes() -> dict[str, int]: ...

class TextReader:
    def __init__(
        self, instrument: Rows, columns: tuple[int, ...], delimiter: bytes, first_line: int
    ) -> None: ...
    def feed(self, chunk: bytes) -> None: ...
    def finish(self) -> None: ...
    def rows(self) -> Rows: ...

def check_stamps(ts_ns: NDArray[np.int64], reasons: NDArray[np.uint32]) -> None: ...
def judge_bars(
    bars: Rows,
    reasons: NDArray[np.uint32],
    instrument: Rows,
    tables: tuple[Rows, Rows],
    duration_s: int,
) -> None: ...
def join_bars(bars: Rows, tables: tuple[Rows, Rows], bar_ns: int, minutes: int) -> Rows: ...
def raw_bytes(array: NDArray[Any], dtype: np.dtype[np.void]) -> NDArray[np.uint8]: ...
