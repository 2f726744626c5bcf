"""Plain YAML comes out as written: decimals exact, variables filled once, nothing else."""

import pytest

from gm.config.strict_yaml import load_tree
from gm.errors import ConfigError


def tree(tmp_path, text, **environment):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load_tree(path, environment)


def test_scalars_are_text_integers_booleans_or_null(tmp_path) -> None:
    got = tree(tmp_path, "a: 0.1\nb: 7\nc: true\nd: ~\ne: on\nf: 2020-01-01\ng: 1e3\nh: -5\n")
    assert got == {
        "a": "0.1", "b": 7, "c": True, "d": None, "e": "on", "f": "2020-01-01", "g": "1e3", "h": -5,
    }  # fmt: skip


def test_variables_are_filled_and_typed(tmp_path) -> None:
    text = "a: ${PORT}\nb: x-${NAME:-y}-z\nc: ${FLAG}\nd: [ '${PORT}' ]\n"
    assert tree(tmp_path, text, PORT="80", FLAG="false") == {
        "a": 80, "b": "x-y-z", "c": False, "d": [80],
    }  # fmt: skip


def test_a_value_from_the_environment_is_not_looked_at_again(tmp_path) -> None:
    assert tree(tmp_path, "a: ${A}", A="${B}", B="secret") == {"a": "${B}"}


def test_keys_are_never_filled(tmp_path) -> None:
    assert tree(tmp_path, "${A}: 1", A="b") == {"${A}": 1}


def test_the_error_names_the_line(tmp_path) -> None:
    with pytest.raises(ConfigError, match="line 3: duplicate key: a"):
        tree(tmp_path, "a: 1\nb: 2\na: 3\n")
