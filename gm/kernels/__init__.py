"""User kernels: Python functions of closed bars that run inside the engine, compiled by Numba.

``@gm.feature`` makes a column beside the thirteen, ``@gm.rule`` decides in place of the ensemble.
Importing this loads no compiler: that happens in `gm kernels build`, a process of its own.
"""

from gm.kernels.declare import Kernel, feature, rule
from gm.kernels.library import (
    KernelManifest,
    Library,
    LibraryManifest,
    find_library,
    hung_kernels,
    keep_library,
    kernel_rows,
)

__all__ = [
    "Kernel",
    "KernelManifest",
    "Library",
    "LibraryManifest",
    "feature",
    "find_library",
    "hung_kernels",
    "keep_library",
    "kernel_rows",
    "rule",
]
