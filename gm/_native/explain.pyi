from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

KINDS: tuple[str, ...]

class Rebuilt(TypedDict):
    journalled: NDArray[np.void]
    made: NDArray[np.void]
    is_equal: bool
    matrix: NDArray[np.float32]
    kernels: NDArray[np.float32]
    context: NDArray[np.float32]
    agent_probability: NDArray[np.float32]
    probability: NDArray[np.float32]
    confidence: float
    uncertainty: float
    action: int
    acts: bool
    agents: int
    logits: NDArray[np.float32]
    shares: NDArray[np.float64]
    threshold: float
    model_sha256: str
    agent_rows: NDArray[np.void]
    onnx: tuple[bytes, ...]
    size_lots: int

class Conv(TypedDict):
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    has_relu: bool

class Operator(TypedDict):
    kind: str
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: float

class Network(TypedDict):
    inputs: int
    outputs: int
    columns: int
    pool: int
    convs: tuple[Conv, ...]
    operators: tuple[Operator, ...]

def rebuild_decision(run_dir: str, sequence: int) -> Rebuilt: ...
def read_network(onnx: bytes) -> Network: ...
