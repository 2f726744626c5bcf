"""Arrays of records in and out of the core, for bindings."""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy


cdef inline object rows_of(array, dtype):
    """View an array of records as bytes, or raise TypeError before C++ can misread it."""
    import numpy as np
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        raise TypeError(f"expected a one-dimensional array of {dtype}")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise TypeError("expected a contiguous, aligned array")
    return array.view(np.uint8)


cdef inline object copied(const uint8_t* first, size_t count, dtype):
    """Copy records out of the core."""
    import numpy as np
    out = np.empty(count, dtype)
    cdef uint8_t[::1] target = out.view(np.uint8)
    if count:
        memcpy(&target[0], first, target.shape[0])
    return out
