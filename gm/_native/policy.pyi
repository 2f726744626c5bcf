from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

WIDEST: int

class Network:
    def __init__(self, onnx: bytes, instructions: int = -1, tail: int = 0) -> None: ...
    @property
    def input_shape(self) -> tuple[int, ...]: ...
    @property
    def outputs(self) -> int: ...
    def run(self, samples: NDArray[np.float32]) -> NDArray[np.float32]: ...

class DecisionValues(TypedDict):
    agent_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    confidence: float
    uncertainty: float
    action: int
    acts: bool
    agents: int

class Ensemble:
    def __init__(
        self, agents: NDArray[np.void], onnx: Sequence[bytes], threshold: float
    ) -> None: ...
    def prepare(self, known: NDArray[np.float32]) -> None: ...
    def decide(
        self, matrix: NDArray[np.float32], context: NDArray[np.float32]
    ) -> DecisionValues: ...
