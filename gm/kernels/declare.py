"""The decorators: what a kernel is given, and what it may return."""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from gm.errors import KernelRefused

INPUTS = ("open", "high", "low", "close", "volume")
WARMUP_MAX = 1000
# Features become float32: what does not fit in one is out of range even where no bound is written.
FLOAT32_MAX = 3.4028234663852886e38
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

Function = Callable[..., Any]


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """A decorated function. Calling it calls the function, in Python: for tests and notebooks."""

    name: str
    kind: Literal["feature", "rule"]
    inputs: tuple[str, ...]
    warmup: int
    minutes: Literal[5, 30]
    low: float
    high: float
    function: Function

    def __call__(self, *windows: Any) -> Any:  # noqa: ANN401
        """Call the function itself, not its compiled form."""
        return self.function(*windows)


def feature(
    inputs: Sequence[str] = ("close",),
    warmup: int = 20,
    minutes: Literal[5, 30] = 30,
    low: float | None = None,
    high: float | None = None,
) -> Callable[[Function], Kernel]:
    """Make a column of the strategic matrix out of a function of closed bars.

    Parameters
    ----------
    inputs : sequence of str
        Of open, high, low, close, volume: one parameter each, a float64 window of ``warmup``
        values, oldest first, in price units. The windows are read-only.
    warmup : int
        Bars in a window, 1 to 1000; the function is not called before there are as many.
    minutes : int
        Size of the bars, 30 or 5. The row of a 30-minute bar holds what the function returned for
        that bar or, on 5-minute bars, for the last of them inside it.
    low, high : float, optional
        The range of what it may return. Outside of it, as for what is no number, the kernel is
        quarantined.

    Returns
    -------
    callable
        The decorator. The function must return a float.

    Raises
    ------
    KernelRefused
        Names the function, the argument and what is allowed.

    Source
    ------
    Ours.
    """
    bounds = (-FLOAT32_MAX if low is None else low, FLOAT32_MAX if high is None else high)
    return _decorator("feature", inputs, warmup, minutes, bounds)


def rule(
    inputs: Sequence[str] = ("close",), warmup: int = 20, minutes: Literal[5, 30] = 30
) -> Callable[[Function], Kernel]:
    """Let a function decide: 1 long, -1 short, 0 hold what is there.

    It takes the ensemble's place where the configuration says ``policy: {profile: rule}``, at every
    close of its bars; size, exits and the risk gate are as ever.

    Parameters
    ----------
    inputs, warmup, minutes
        As for ``feature``.

    Returns
    -------
    callable
        The decorator. The function must return -1, 0 or 1.

    Raises
    ------
    KernelRefused
        Names the function, the argument and what is allowed.

    Source
    ------
    Ours.
    """
    return _decorator("rule", inputs, warmup, minutes, (-1.0, 1.0))


def _decorator(
    kind: Literal["feature", "rule"],
    inputs: Sequence[str],
    warmup: int,
    minutes: Literal[5, 30],
    bounds: tuple[float, float],
) -> Callable[[Function], Kernel]:
    if callable(inputs):
        raise KernelRefused(f"{_name(inputs)}: write @gm.{kind}(), with parentheses")

    def decorate(function: Function) -> Kernel:
        name = _name(function)
        _check_name(name)
        _check_inputs(name, inputs, function)
        _check_window(name, warmup, minutes)
        low, high = bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise KernelRefused(f"{name}: low {low} and high {high}: finite, low less than high")
        return Kernel(
            name=name,
            kind=kind,
            inputs=tuple(inputs),
            warmup=warmup,
            minutes=minutes,
            low=float(low),
            high=float(high),
            function=function,
        )

    return decorate


def _name(function: Function) -> str:
    return getattr(function, "__name__", repr(function))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise KernelRefused(
            f"{name}: a kernel is named by its function: a lower-case letter, then letters, digits "
            "and _, at most 31 in all"
        )


def _check_inputs(name: str, inputs: Sequence[str], function: Function) -> None:
    if isinstance(inputs, str) or not inputs or len(set(inputs)) != len(inputs):
        raise KernelRefused(f"{name}: inputs: {inputs!r}: a tuple of names, each once")
    for value in inputs:
        if value not in INPUTS:
            raise KernelRefused(f"{name}: inputs: {value!r} is not one of {', '.join(INPUTS)}")
    parameters = inspect.signature(function).parameters
    if len(parameters) != len(inputs):
        raise KernelRefused(
            f"{name}: inputs names {len(inputs)} windows, the function takes {len(parameters)}: "
            f"{', '.join(parameters) or 'none'}"
        )


def _check_window(name: str, warmup: int, minutes: int) -> None:
    if not isinstance(warmup, int) or not 1 <= warmup <= WARMUP_MAX:
        raise KernelRefused(f"{name}: warmup: {warmup} is not within [1, {WARMUP_MAX}] bars")
    if minutes not in (5, 30):
        raise KernelRefused(f"{name}: minutes: {minutes} is not 5 or 30")
