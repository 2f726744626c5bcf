"""The networks once more in NumPy, float64, with their gradients: explanations need no torch.

Weights are those that the core's reader took out of the ONNX file. The core computes what is
traded; this computes how much each input had to do with it.
"""

from typing import Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native import explain as native
from gm.errors import UnsupportedNetwork

Floats = NDArray[np.float64]
Kind = Literal["conv", "pool", "dense", "relu", "tanh", "layer_norm"]
_NOTHING: Floats = np.zeros(0)


class Layer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One layer. ``weights``: dense (inputs, outputs), conv (taps, inputs, outputs), norm (width,).

    ``columns`` of a conv or pool: how many lie side by side in a sample, oldest first, the channels
    of each together. ``epsilon``: of a layer norm; ``bin``: columns that a pool averages.
    """

    kind: Kind
    weights: Floats = _NOTHING
    bias: Floats = _NOTHING
    epsilon: float = 0.0
    columns: int = 0
    bin: int = 1


class Network(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A chain of layers, from ``inputs`` values to ``outputs`` logits a sample."""

    inputs: int
    outputs: int
    layers: tuple[Layer, ...]


def load_network(onnx: bytes) -> Network:
    """Read a network as the core reads it.

    Parameters
    ----------
    onnx : bytes
        The file.

    Returns
    -------
    Network
        In float64. Constant factors before a first layer are folded into its weights.

    Raises
    ------
    UnsupportedNetwork, BadNetwork
        If the core refuses it, or it ends with a softmax.
    """
    graph = native.read_network(onnx)
    layers: list[Layer] = []
    columns = graph["columns"]
    for conv in graph["convs"]:
        weights, bias = conv["weights"].astype(float), conv["bias"].astype(float)
        layers.append(Layer(kind="conv", weights=weights, bias=bias, columns=columns))
        if conv["has_relu"]:
            layers.append(Layer(kind="relu"))
    if graph["pool"] > 1:
        layers.append(Layer(kind="pool", columns=columns, bin=graph["pool"]))
    for operator in graph["operators"]:
        if operator["kind"] == "softmax":
            raise UnsupportedNetwork("the network ends with a softmax, must give logits")
        layers.append(
            Layer(
                kind=cast(Kind, operator["kind"]),
                weights=operator["weights"].astype(float),
                bias=operator["bias"].astype(float),
                epsilon=operator["epsilon"],
            )
        )
    return Network(inputs=graph["inputs"], outputs=graph["outputs"], layers=tuple(layers))


def forward(network: Network, samples: Floats) -> list[Floats]:
    """Compute logits and keep the way there.

    Parameters
    ----------
    network : Network
    samples : float64, shape (n, inputs)

    Returns
    -------
    list of ndarray
        What goes into each layer, and last the logits (n, outputs).
    """
    values = [samples]
    for layer in network.layers:
        values.append(_apply(layer, values[-1]))
    return values


def gradient(network: Network, values: list[Floats], seed: Floats) -> Floats:
    """Go back from the logits to the inputs.

    Parameters
    ----------
    network : Network
    values : list of ndarray
        As ``forward`` gave them.
    seed : float64, shape (n, outputs)
        Derivative of a number by each logit.

    Returns
    -------
    ndarray of float64, shape (n, inputs)
        Derivative of that number by each input. Of a ReLU at 0: 0.

    Source
    ------
    Rumelhart, Hinton, Williams 1986 (back-propagation); Ba, Kiros, Hinton 2016 (layer norm).
    """
    for layer, value in zip(reversed(network.layers), reversed(values[:-1]), strict=True):
        seed = _back(layer, value, seed)
    return seed


def _apply(layer: Layer, x: Floats) -> Floats:
    match layer.kind:
        case "dense":
            return x @ layer.weights + layer.bias
        case "relu":
            return np.maximum(x, 0.0)
        case "tanh":
            return np.tanh(x)
        case "layer_norm":
            return _normalised(x, layer.epsilon)[0] * layer.weights + layer.bias
        case "conv":
            return _convolved(layer, x)
        case "pool":
            bins: Floats = x.reshape(len(x), layer.columns // layer.bin, layer.bin, -1).mean(axis=2)
            return bins.reshape(len(x), -1)


def _back(layer: Layer, x: Floats, seed: Floats) -> Floats:
    match layer.kind:
        case "dense":
            return seed @ layer.weights.T
        case "relu":
            return seed * (x > 0.0)
        case "tanh":
            return seed * (1.0 - np.tanh(x) ** 2)
        case "layer_norm":
            unit, deviation = _normalised(x, layer.epsilon)
            part = seed * layer.weights
            along = np.mean(part * unit, axis=1, keepdims=True)
            back: Floats = (part - part.mean(axis=1, keepdims=True) - unit * along) / deviation
            return back
        case "conv":
            return _convolved_back(layer, seed)
        case "pool":
            bins = seed.reshape(len(seed), layer.columns // layer.bin, 1, -1)
            return np.repeat(bins / layer.bin, layer.bin, axis=2).reshape(len(seed), -1)


def _normalised(x: Floats, epsilon: float) -> tuple[Floats, Floats]:
    centred = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + epsilon)
    return centred / deviation, deviation


def _convolved(layer: Layer, x: Floats) -> Floats:
    """Columns outside the window are 0."""
    taps, inputs, outputs = layer.weights.shape
    half = taps // 2
    padded = np.pad(x.reshape(len(x), layer.columns, inputs), ((0, 0), (half, half), (0, 0)))
    out = np.broadcast_to(layer.bias, (len(x), layer.columns, outputs)).copy()
    for tap in range(taps):
        out += padded[:, tap : tap + layer.columns] @ layer.weights[tap]
    return out.reshape(len(x), -1)


def _convolved_back(layer: Layer, seed: Floats) -> Floats:
    taps, inputs, outputs = layer.weights.shape
    half = taps // 2
    parts = seed.reshape(len(seed), layer.columns, outputs)
    padded = np.zeros((len(seed), layer.columns + 2 * half, inputs))
    for tap in range(taps):
        padded[:, tap : tap + layer.columns] += parts @ layer.weights[tap].T
    return padded[:, half : half + layer.columns].reshape(len(seed), -1)
