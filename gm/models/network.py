"""One ONNX file: run by the core where its operators allow, else by onnxruntime."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gm._native.policy import Network as NativeNetwork
from gm.errors import UnsupportedNetwork
from gm.models.oracle import Run, oracle


class Network:
    """A policy network; see :meth:`load`."""

    def __init__(self, input_shape: tuple[int, ...], native: bool, run: Run) -> None:
        self._input_shape = input_shape
        self._native = native
        self._run = run

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a bare ONNX file.

        Parameters
        ----------
        path : path
            The file; at most 16 MiB for the native kernels.

        Returns
        -------
        Network
            With ``native`` True if the core runs it, False if onnxruntime does.

        Raises
        ------
        BadNetwork
            If the file is no ONNX model, or a weight is not finite.
        UnsupportedNetwork
            If neither the core nor onnxruntime can run it.
        FileNotFoundError
            If there is no such file.
        """
        return cls.from_bytes(Path(path).read_bytes())

    @classmethod
    def from_bytes(cls, onnx: bytes) -> Self:
        """Read an ONNX file that is already in memory; as :meth:`load`."""
        try:
            native = NativeNetwork(onnx)
        except UnsupportedNetwork as unsupported:
            try:
                shape, run = oracle(onnx)
            except UnsupportedNetwork as error:
                raise UnsupportedNetwork(f"{unsupported}; {error}") from error
            return cls(shape, False, run)
        width = int(np.prod(native.input_shape))
        return cls(native.input_shape, True, lambda x: native.run(x.reshape(len(x), width)))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch dimension."""
        return self._input_shape

    @property
    def native(self) -> bool:
        """Whether the core's own kernels run it; else onnxruntime does."""
        return self._native

    def run(self, x: ArrayLike) -> NDArray[np.float32]:
        """Compute logits.

        Parameters
        ----------
        x : array of shape input_shape, or (n, *input_shape)
            One sample or n; converted to float32.

        Returns
        -------
        ndarray of float32, shape (k,) or (n, k)
            A new array.

        Raises
        ------
        ValueError
            If the shape is neither.
        """
        samples = np.ascontiguousarray(x, np.float32)
        is_single = samples.shape == self._input_shape
        if is_single:
            samples = samples[None]
        if samples.shape[1:] != self._input_shape:
            raise ValueError(
                f"expected {self._input_shape} or (n, *{self._input_shape}), got {samples.shape}"
            )
        logits = self._run(samples)
        return logits[0] if is_single else logits
