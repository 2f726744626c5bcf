"""One Python target under atheris: ``python -m tests.fuzz.python_target csv [options]``.

Options are libFuzzer's. Two words in front of the name fuzz nothing but run the corpora named:
``--lines`` prints the lines of the target's modules that ran, ``--keep`` the inputs that are
enough to go every way between two lines; both as JSON.
"""

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import atheris
from atheris.instrument_bytecode import patch_code

from tests.fuzz.targets import PYTHON

# File, line before (0: a function begins) and line.
Way = tuple[str, int, int]


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("error")  # an overflow in NumPy is a finding
    if arguments[0] == "--lines":
        print(json.dumps(lines_run(arguments[1], arguments[2:])))
    elif arguments[0] == "--keep":
        print(json.dumps(enough(arguments[1], arguments[2:])))
    else:
        fuzz(arguments[0], arguments[1:])


def fuzz(name: str, options: Sequence[str]) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}_target")
    instrument(importlib.import_module(PYTHON[name][0]))
    atheris.Setup([f"{name}_target", *options], target.check)
    atheris.Fuzz()


def instrument(module: ModuleType) -> None:
    """Make the functions of one module tell atheris where they go.

    atheris.instrument_imports() does not see through the loader of an editable installation.
    """
    own = [value for value in vars(module).values() if is_own(value, module)]
    own += [method for cls in own if isinstance(cls, type) for method in vars(cls).values()]
    for function in own:
        if isinstance(function, FunctionType):
            # Not its data flow: that part of atheris 3.0 keeps some bytes of every comparison.
            function.__code__ = patch_code(function.__code__, trace_dataflow=False, nested=True)


def is_own(value: object, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def files_of(name: str) -> list[str]:
    return [str(importlib.import_module(module).__file__) for module in PYTHON[name]]


def inputs_of(folders: Sequence[str]) -> list[Path]:
    """All inputs, the short ones first."""
    paths = [path for folder in folders for path in Path(folder).iterdir()]
    return sorted(paths, key=lambda path: (path.stat().st_size, path.name))


def lines_run(name: str, folders: Sequence[str]) -> dict[str, tuple[list[int], list[int]]]:
    """Of each module under test: the lines inside functions that ran, and all there are."""
    ways: set[Way] = set()
    for path in inputs_of(folders):
        ways |= ways_of(name, path.read_bytes())
    found = {}
    for file in files_of(name):
        known = lines_of(Path(file))
        found[file] = (sorted({line for of, _, line in ways if of == file} & known), sorted(known))
    return found


def enough(name: str, folders: Sequence[str]) -> list[str]:
    """Inputs that together go every way that all of them go."""
    seen: set[Way] = set()
    kept = []
    for path in inputs_of(folders):
        ways = ways_of(name, path.read_bytes())
        if not ways <= seen:
            seen |= ways
            kept.append(str(path))
    return kept


def ways_of(name: str, content: bytes) -> set[Way]:
    """Run one input; the steps between lines that it took in the modules under test."""
    target = importlib.import_module(f"tests.fuzz.{name}_target")
    ways: set[Way] = set()
    sys.settrace(tracer(set(files_of(name)), ways))
    try:
        target.check(content)
    finally:
        sys.settrace(None)
    return ways


def tracer(files: set[str], ways: set[Way]) -> Callable[[FrameType, str, Any], Any]:
    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in files:
            return None
        before = 0

        def local(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal before
            if event == "line":
                ways.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return local

        return local

    return enter


def lines_of(file: Path) -> set[int]:
    """Lines of function bodies: what an import runs is not the decoder's."""
    found: set[int] = set()
    queue = [compile(file.read_text(), str(file), "exec")]
    while queue:  # each code object once
        code = queue.pop()
        queue += [const for const in code.co_consts if isinstance(const, CodeType)]
        if code.co_flags & 0x1:  # CO_OPTIMIZED: a function, not a module or a class
            found |= {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
