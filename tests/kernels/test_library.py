"""Promise: a library is built once for each source, kept with its run, and its rows say what the
engine needs; a kernel that hung is remembered by its hash.
"""

import os
from pathlib import Path

import pytest

from gm.errors import KernelRefused
from gm.kernels import find_library, hung_kernels, keep_library, kernel_rows
from gm.kernels.library import QUARANTINED_FILE, Library, read_library
from gm.layout import KernelKind, KernelPolicy

FEATURE = """@gm.feature(inputs=("close", "open"), warmup=9, minutes=5, low=-2)
def {}(close, begin):
    return close[0] - begin[0]
"""
RULE = "@gm.rule(warmup=3)\ndef {}(close):\n    return 1\n"


def write(folder: Path, *parts: str) -> Path:
    source = folder / "kernels.py"
    source.write_text("import gm\n" + "\n".join(parts))
    return source


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    source = write(folder, RULE.format("turn"), FEATURE.format("gap"))
    return find_library(source, folder / "cache")


def test_rows_hold_the_features_first_and_the_rule_where_it_decides(library: Library) -> None:
    (feature,) = kernel_rows(library, profile="strategic_only", on_failure="halt")
    assert feature["name"] == b"gap"
    assert feature["kind"] == KernelKind.FEATURE
    assert (feature["minutes"], feature["warmup"], feature["low"]) == (5, 9, -2.0)
    assert feature["input_count"] == 2
    assert list(feature["inputs"][:2]) == [3, 0]
    both = kernel_rows(library, profile="rule", on_failure="skip")
    assert list(both["name"]) == [b"gap", b"turn"]
    assert both["policy"][1] == KernelPolicy.SKIP
    assert bytes(both["library_sha256"][1]).hex() == library.manifest.sha256


def test_no_library_gives_no_rows() -> None:
    assert len(kernel_rows(None, profile="strategic_only", on_failure="halt")) == 0


def test_a_profile_without_its_rule_and_a_fourth_feature_are_refused(
    tmp_path: Path, library: Library
) -> None:
    with pytest.raises(KernelRefused, match=r"wants exactly one @gm\.rule, has none"):
        kernel_rows(None, profile="rule", on_failure="halt")
    source = write(
        tmp_path,
        *(FEATURE.format(name) for name in "abcd"),
        *(RULE.format(name) for name in ("r", "s")),
    )
    many = find_library(source, tmp_path / "cache")
    with pytest.raises(KernelRefused, match="4 features, at most 3"):
        kernel_rows(many, profile="strategic_only", on_failure="halt")


def test_a_source_is_built_once_and_again_when_something_it_imports_changes(tmp_path: Path) -> None:
    (tmp_path / "numbers_of_mine.py").write_text("FACTOR = 2.0\n")
    source = tmp_path / "kernels.py"
    source.write_text(
        "import gm\nfrom numbers_of_mine import FACTOR\n"
        "@gm.feature(warmup=2)\ndef scaled(close):\n    return FACTOR * close[0]\n"
    )
    first = find_library(source, tmp_path / "cache")
    stamp = os.stat(first.path).st_mtime_ns
    again = find_library(source, tmp_path / "cache")
    assert os.stat(again.path).st_mtime_ns == stamp
    (tmp_path / "numbers_of_mine.py").write_text("FACTOR = 3.0\n")
    other = find_library(source, tmp_path / "cache")
    assert other.manifest.kernels[0].sha256 != first.manifest.kernels[0].sha256


def test_a_run_keeps_its_library_and_needs_no_compiler_again(
    tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, RULE.format("turn"), FEATURE.format("gap"))
    kept = tmp_path / "run.so"
    keep_library(find_library(source, tmp_path / "cache"), kept)
    monkeypatch.setattr("gm.kernels.library._build_apart", None)
    found = find_library(source, tmp_path / "empty cache", kept)
    assert found == read_library(kept)
    write(tmp_path, RULE.format("turned"))
    with pytest.raises(TypeError):  # the source is another: it would be built
        find_library(source, tmp_path / "empty cache", kept)


def test_a_source_that_cannot_be_built_says_why_in_one_line(tmp_path: Path) -> None:
    source = write(tmp_path, "@gm.feature()\ndef bad(close):\n    return nothing\n")
    with pytest.raises(KernelRefused, match=r"^kernels\.py:2: bad: .*NameError") as refused:
        find_library(source, tmp_path / "cache")
    assert "\n" not in str(refused.value)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelRefused, match="No such file"):
        find_library(tmp_path / "absent.py", tmp_path)
    with pytest.raises(KernelRefused, match="make it with: gm kernels build"):
        find_library(tmp_path / "absent.so", tmp_path)


def test_hashes_of_hung_kernels_are_read_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    assert hung_kernels(tmp_path) == b""
    file = tmp_path / QUARANTINED_FILE
    file.write_text('[{"sha256":"%s","name":"a","reason":"hung"}]' % ("ab" * 32))
    assert hung_kernels(tmp_path) == b"\xab" * 32
    file.write_text('[{"sha256":"ab"')
    with pytest.raises(KernelRefused, match=QUARANTINED_FILE):
        hung_kernels(tmp_path)
