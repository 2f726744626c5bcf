"""Promise: a file of kernels becomes a library that computes what the functions compute, or is
refused with file, line and reason; what would need the interpreter or memory never gets in.
"""

import ctypes
import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gm._native.runtime import check_kernel_object
from gm.errors import BadSettings, KernelRefused
from gm.kernels.build import _link, build_library
from gm.kernels.library import manifest_path, read_library

WARMUP = 6
DOUBLES = ctypes.POINTER(ctypes.c_double)
HEAD = "import math\nimport numpy as np\nimport gm\n"
SOUND = f"""{HEAD}
@gm.feature(inputs=("close", "volume"), warmup={WARMUP})
def weighted(close, volume):
    total = 0.0
    for i in range(len(close)):
        total += close[i] * volume[i]
    return total / volume.sum()

@gm.feature(inputs=("high", "low"), warmup={WARMUP})
def spread(high, low):
    return math.log(high[1:].max() / low.min()) + np.std(high) + np.mean(low[::2])

@gm.rule(warmup={WARMUP})
def up(close):
    if close[0] < 0.0:
        raise ValueError("a price below zero")
    return 1 if close[-1] > close[0] else -1
"""


def call(library: ctypes.CDLL, name: str, *windows: np.ndarray) -> tuple[int, float]:
    arrays = [np.ascontiguousarray(window, np.float64) for window in windows]
    pointers = (DOUBLES * len(arrays))(*(array.ctypes.data_as(DOUBLES) for array in arrays))
    value = ctypes.c_double(math.nan)
    raised = getattr(library, f"gm_kernel_{name}")(pointers, ctypes.byref(value))
    return raised, value.value


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.py").write_text(SOUND)
    build_library(folder / "kernels.py", folder / "kernels.so")
    return folder / "kernels.so"


@pytest.fixture(scope="module")
def library(built: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(built))


def test_a_compiled_kernel_gives_the_value_worked_by_hand(library: ctypes.CDLL) -> None:
    close, volume = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert call(library, "weighted", close, volume) == (0, 3.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1.0, 1e6), min_size=2 * WARMUP, max_size=2 * WARMUP))
def test_a_compiled_kernel_gives_what_its_function_gives(
    library: ctypes.CDLL, values: list[float]
) -> None:
    high, low = np.array(values[:WARMUP]), np.array(values[WARMUP:])
    raised, value = call(library, "spread", high, low)
    wanted = math.log(high[1:].max() / low.min()) + np.std(high) + np.mean(low[::2])
    assert raised == 0
    assert value == pytest.approx(wanted, rel=1e-12, abs=1e-9)


def test_an_exception_is_said_and_leaves_no_value(library: ctypes.CDLL) -> None:
    assert call(library, "up", [1, 0, 0, 0, 0, 2]) == (0, 1.0)
    assert call(library, "up", [-1, 0, 0, 0, 0, 2]) == (1, 0.0)


def test_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gm", "kernels", "build", built.with_suffix(".py"), "--output"]
    for name in ("a.so", "b.so"):
        subprocess.run([*command, tmp_path / name], check=True, capture_output=True, timeout=120)
    assert (tmp_path / "a.so").read_bytes() == (tmp_path / "b.so").read_bytes()
    assert (tmp_path / "a.so").read_bytes() == built.read_bytes()


def test_a_kernel_keeps_its_hash_when_another_one_changes(built: Path, tmp_path: Path) -> None:
    source = tmp_path / "kernels.py"
    changed = SOUND.replace("volume.sum()", "volume.sum() + 1.0")
    source.write_text(f"{changed}\n\n\ndef unused():\n    return 0\n")
    before = {row.name: row.sha256 for row in read_library(built).manifest.kernels}
    rows = build_library(source, tmp_path / "kernels.so").kernels
    after = {row.name: row.sha256 for row in rows}
    assert after["spread"] == before["spread"]
    assert after["up"] == before["up"]
    assert after["weighted"] != before["weighted"]


@pytest.mark.parametrize("place", ["kernels.py", "sizes.py"])
def test_a_function_that_a_kernel_calls_is_part_of_its_hash(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    size = "from numba import njit\n@njit\ndef size(x):\n    return x * 2.0\n"
    kernel = "@gm.feature(warmup=2)\ndef twice(close):\n    return size(close[0])\n"
    hashes = []
    for factor in ("2.0", "3.0"):
        helper = tmp_path / "sizes.py"
        if place == helper.name:
            helper.write_text(size.replace("2.0", factor))
            os.utime(helper, (1, 1))  # an edit within the same second, of the same size
        head = "from sizes import size\n" if place == helper.name else size.replace("2.0", factor)
        source = tmp_path / "kernels.py"
        source.write_text(f"import gm\n{head}{kernel}")
        os.utime(source, (1, 1))
        hashes.append(build_library(source, tmp_path / "kernels.so").kernels[0].sha256)
    assert hashes[0] != hashes[1]


BODIES = [
    ("print(close[0])\n    return 1.0", "needs ", "it needs the Python interpreter"),
    ("return (close[1:] - close[:-1]).mean()", "needs NRT_", "no memory of its own"),
    ("return sum([x for x in close])", "needs NRT_", "no memory of its own"),
    ("close[0] = 1.0\n    return 1.0", "kernels.py:7: bad", "readonly"),
    ("return missing(close)", "kernels.py:5: bad", "NameError: name 'missing' is not defined"),
    ("return 'text'", "kernels.py:5: bad", "returns unicode_type, must return a float"),
    ("pass", "kernels.py:5: bad", "returns none, must return a float"),
    ("return 1", "kernels.py:5: bad", "returns int64, must return a float"),
    ("return close", "kernels.py:5: bad", "must return a float"),
    ("return {}['x']", "kernels.py:", "bad"),
    ("return open('/etc/passwd').read()", "kernels.py:7: bad", "without the interpreter"),
]


@pytest.mark.parametrize(("body", "where", "why"), BODIES, ids=[body[0][:20] for body in BODIES])
def test_what_cannot_be_compiled_is_refused_with_its_reason(
    tmp_path: Path, body: str, where: str, why: str
) -> None:
    source = tmp_path / "kernels.py"
    source.write_text(f"{HEAD}\n@gm.feature(warmup=4)\ndef bad(close):\n    {body}\n")
    with pytest.raises(KernelRefused) as refused:
        build_library(source, tmp_path / "kernels.so")
    text = str(refused.value)
    assert where in text
    assert why.lower() in text.lower()
    assert "\n" not in text
    assert not (tmp_path / "kernels.so").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "no function is decorated"),
        ("import nothing_such\n", "kernels.py:1: ModuleNotFoundError"),
        ("def broken(:\n", "kernels.py:1: SyntaxError"),
        ("1 / 0\n", "kernels.py:1: ZeroDivisionError"),
        (
            "import sys\nsys.exit()\n",
            "kernels.py:2: SystemExit: the file ends the process with code None",
        ),
        (
            "raise SystemExit(3)\n",
            "kernels.py:1: SystemExit: the file ends the process with code 3",
        ),
        ("import gm\n@gm.feature(warmup=0)\ndef f(close):\n    return 1.0\n", "warmup: 0"),
    ],
)
def test_a_file_that_is_no_file_of_kernels_is_refused(tmp_path: Path, text: str, said: str) -> None:
    source = tmp_path / "kernels.py"
    source.write_text(text)
    with pytest.raises(KernelRefused, match=r"kernels\.py") as refused:
        build_library(source, tmp_path / "kernels.so")
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelRefused, match="no such Python file"):
        build_library(tmp_path / "absent.py", tmp_path / "kernels.so")


def test_a_library_that_needs_the_interpreter_is_refused_when_it_is_read(
    built: Path, tmp_path: Path
) -> None:
    """As if somebody had linked it himself: the name is changed in the symbol table."""
    content = built.read_bytes()
    assert content.count(b"\0log\0") == 1
    bad = content.replace(b"\0log\0", b"\0Py_\0")
    with pytest.raises(BadSettings, match=r"needs Py_$"):
        check_kernel_object(bad)
    other = tmp_path / "kernels.so"
    other.write_bytes(bad)
    manifest = manifest_path(built).read_text()
    manifest_path(other).write_text(manifest)
    with pytest.raises(KernelRefused, match="its manifest says"):
        read_library(other)
    digest = read_library(built).manifest.sha256
    manifest_path(other).write_text(manifest.replace(digest, hashlib.sha256(bad).hexdigest()))
    with pytest.raises(KernelRefused, match="needs Py_"):
        read_library(other)


def test_a_damaged_manifest_or_library_is_refused(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "kernels.so"
    copy.write_bytes(built.read_bytes())
    with pytest.raises(KernelRefused, match="gm kernels build"):
        read_library(copy)
    manifest_path(copy).write_text("{}")
    with pytest.raises(KernelRefused, match=r"kernels\.so\.json"):
        read_library(copy)


def test_a_library_is_linked_without_a_way_to_write_code(built: Path) -> None:
    """What systemd's MemoryDenyWriteExecute asks: the kernel refuses to gain execution."""
    script = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(65, 1, 0, 0, 0) == 0, "PR_SET_MDWE"  # Linux 6.3
import mmap
try:
    mmap.mmap(-1, 4096, prot=7)
except OSError:
    pass
else:
    raise SystemExit("memory may be written and executed")
library = ctypes.CDLL({str(built)!r})
windows = (ctypes.POINTER(ctypes.c_double) * 1)((ctypes.c_double * 6)(1, 0, 0, 0, 0, 2))
value = ctypes.c_double()
assert library.gm_kernel_up(windows, ctypes.byref(value)) == 0 and value.value == 1.0
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_without_a_linker_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KernelRefused, match="install binutils"):
        _link([b""])
