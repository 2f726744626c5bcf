"""How a mirror of a C++ struct is written down."""

from typing import Any

import numpy as np


def struct(**fields: Any) -> np.dtype[np.void]:  # noqa: ANN401
    """A structured type of these fields, in their order, without padding."""
    return np.dtype(list(fields.items()))
