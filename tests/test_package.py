"""`import gm` does no work, and every public name leads where the table says."""

import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

import gm


def test_import_loads_nothing_but_the_package_itself() -> None:
    code = "import sys, gm; print([m for m in sys.modules if m.startswith(('gm.', 'numpy'))])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", gm.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(gm, name) is not None


def test_a_name_of_a_later_issue_says_which() -> None:
    with pytest.raises(AttributeError, match=r"gm\.risk does not exist yet: .* issue \(6\)"):
        gm.risk  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gm.nonsense  # noqa: B018


def test_a_module_of_the_same_name_does_not_hide_a_public_function() -> None:
    code = "import gm.replay, gm; assert callable(gm.replay); from gm.replay import replay"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_installation_brings_the_settings_that_ship() -> None:
    installed = {str(path) for path in files("grandmodel") or ()}
    shipped = {f"gm/configs/{path.name}" for path in Path("configs").glob("*.yaml")}
    assert len(shipped) >= 4
    assert shipped <= installed
