"""YAML files: any bytes are a tree of plain values, or a ConfigError that names the file.

A byte 1, which YAML does not have, stands for a text that is longer than a scalar may be.
"""

from gm.config import strict_yaml
from gm.errors import ConfigError
from tests.fuzz.memory import MemoryFile

ENVIRONMENT = {"NAME": "value", "COUNT": "12", "YES": "true", "RAW": "${NAME}"}
LONG = b"x" * (strict_yaml.SCALAR_CHARS_MAX + 1)


def check(data: bytes) -> None:
    try:
        tree = strict_yaml.load_tree(MemoryFile(data.replace(b"\x01", LONG, 2)), ENVIRONMENT)
    except ConfigError as error:
        refusal = str(error)
    else:
        refusal = ""
        check_value(tree)
    assert not refusal or refusal.startswith("memory: "), refusal


def check_value(value: object, depth: int = 0) -> None:
    assert depth <= strict_yaml.DEPTH_MAX
    if isinstance(value, dict):
        for key, inner in value.items():
            assert isinstance(key, str)
            check_value(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_value(inner, depth + 1)
    else:
        assert value is None or isinstance(value, (str, int)), value
