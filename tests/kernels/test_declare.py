"""Promise: a decorator takes what a kernel can be, and refuses anything else by name."""

import numpy as np
import pytest

import gm
from gm.errors import KernelRefused


def two(first, second):
    return first[-1] - second[-1]


def test_a_decorated_function_keeps_its_declaration_and_can_be_called() -> None:
    kernel = gm.feature(inputs=("high", "low"), warmup=7, minutes=5, low=0, high=9)(two)
    assert (kernel.name, kernel.kind, kernel.inputs) == ("two", "feature", ("high", "low"))
    assert (kernel.warmup, kernel.minutes, kernel.low, kernel.high) == (7, 5, 0.0, 9.0)
    assert kernel(np.array([1.0, 5.0]), np.array([2.0, 3.0])) == 2.0


def test_without_bounds_a_feature_may_return_what_a_float32_holds() -> None:
    kernel = gm.feature(inputs=("high", "low"))(two)
    assert kernel.high == -kernel.low == float(np.finfo(np.float32).max)


def test_a_rule_is_bound_to_one_either_way() -> None:
    kernel = gm.rule(inputs=("high", "low"))(two)
    assert (kernel.kind, kernel.low, kernel.high) == ("rule", -1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"inputs": ("bid", "low")}, "two: inputs: 'bid' is not one of open, high, low, close"),
        ({"inputs": ("close",)}, "two: inputs names 1 windows, the function takes 2: first, sec"),
        ({"inputs": ("low", "low")}, "two: inputs: ('low', 'low'): a tuple of names, each once"),
        ({"inputs": "close"}, "two: inputs: 'close': a tuple of names"),
        ({"inputs": ()}, "two: inputs: (): a tuple of names"),
        ({"warmup": 0}, "two: warmup: 0 is not within [1, 1000] bars"),
        ({"warmup": 1001}, "two: warmup: 1001 is not within [1, 1000] bars"),
        ({"warmup": 2.5}, "two: warmup: 2.5 is not within [1, 1000] bars"),
        ({"minutes": 15}, "two: minutes: 15 is not 5 or 30"),
        ({"low": 2.0, "high": 1.0}, "two: low 2.0 and high 1.0: finite, low less than high"),
        ({"low": float("nan")}, "two: low nan"),
        ({"high": float("inf")}, "high inf"),
    ],
)
def test_what_no_kernel_can_be_is_refused_by_name(arguments: dict, said: str) -> None:
    with pytest.raises(KernelRefused) as refused:
        gm.feature(**({"inputs": ("high", "low")} | arguments))(two)
    assert said in str(refused.value)
    assert refused.value.exit_code == 3


def test_a_decorator_without_parentheses_says_so() -> None:
    with pytest.raises(KernelRefused, match=r"two: write @gm\.feature\(\), with parentheses"):
        gm.feature(two)


def test_a_name_that_is_no_name_is_refused() -> None:
    with pytest.raises(KernelRefused, match="<lambda>: a kernel is named by its function"):
        gm.feature()(lambda close: close[0])
