"""YAML without its traps: no aliases, no duplicate keys, no tags, bounded size, exact decimals.

A plain scalar such as ``0.55`` stays text until a field asks for a ``Decimal``, so no number is
ever a float on its way in. ``${NAME}`` and ``${NAME:-default}`` are filled from the environment,
in values only, once: what comes out of the environment is not looked at again.
"""

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gm.errors import ConfigError

FILE_BYTES_MAX = 1 << 20
SCALAR_CHARS_MAX = 4096
DEPTH_MAX = 16
_VARIABLE = re.compile(r"\$\{(?P<name>[^}:]*)(?::-(?P<default>[^}]*))?\}")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,30})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Loader(yaml.SafeLoader):
    """SafeLoader less implicit floats, dates, merges and the many words for true."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise _Fault(f"aliases are not allowed: *{event.anchor}", event.start_mark)
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _Fault(f"anchors are not allowed: &{event.anchor}", event.start_mark)
        if getattr(event, "tag", None) not in (None, "!"):
            raise _Fault(f"tags are not allowed: {event.tag}", event.start_mark)
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise _Fault(f"nesting is deeper than {DEPTH_MAX}", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Fault("a key must be plain text", key.start_mark)
            if key.value in seen:
                raise _Fault(f"duplicate key: {key.value}", key.start_mark)
            seen.add(key.value)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


class _Fault(Exception):
    """A rule of ours was broken at a place in the file."""

    def __init__(self, text: str, mark: yaml.Mark | None) -> None:
        where = f"line {mark.line + 1}: " if mark is not None else ""
        super().__init__(where + text)


def _only(loader: type[yaml.SafeLoader], tags: Mapping[str, re.Pattern[str]]) -> None:
    loader.yaml_implicit_resolvers = {}
    for tag, pattern in tags.items():
        loader.add_implicit_resolver(tag, pattern, None)


_only(
    _Loader,
    {
        "tag:yaml.org,2002:bool": re.compile(r"^(?:true|false)$"),
        "tag:yaml.org,2002:int": re.compile(f"^{_INTEGER.pattern}$"),
        "tag:yaml.org,2002:null": re.compile(r"^(?:~|null|)$"),
    },
)


def load_tree(path: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read one YAML file into plain dicts, lists, texts, integers and booleans.

    Parameters
    ----------
    path : Path
        At most 1 MiB; its top level must be a mapping.
    environment : mapping of str to str, optional
        Where ``${NAME}`` is looked up; default ``os.environ``.

    Returns
    -------
    dict
        The tree. Decimals such as ``0.55`` are texts.

    Raises
    ------
    ConfigError
        Names the file and the line or key: unreadable, too large, malformed, an alias, a duplicate
        key, a tag, an unset variable.

    Source
    ------
    Ours.
    """
    values = os.environ if environment is None else environment
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
    try:
        tree = yaml.load(raw.decode(), _Loader)  # tidy: allow strict SafeLoader
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except _Fault as error:
        raise ConfigError(f"{path}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: malformed YAML: {_one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: the top level must be a mapping, not {type(tree).__name__}")
    return {key: _fill(value, key, path, values) for key, value in tree.items()}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _fill(value: Any, key: str, path: Path, values: Mapping[str, str]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {k: _fill(v, f"{key}.{k}", path, values) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, f"{key}[{i}]", path, values) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if len(value) > SCALAR_CHARS_MAX:
        raise ConfigError(
            f"{path}: {key}: text of {len(value)} characters, at most {SCALAR_CHARS_MAX} allowed"
        )
    filled = _VARIABLE.sub(lambda match: _lookup(match, key, path, values), value)
    if filled == value:
        return value
    if filled in ("true", "false"):
        return filled == "true"
    return int(filled) if _INTEGER.fullmatch(filled) else filled


def _lookup(match: re.Match[str], key: str, path: Path, values: Mapping[str, str]) -> str:
    name, default = match["name"], match["default"]
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{path}: {key}: not a variable name: {match[0]}")
    found = values.get(name, default)
    if found is None:
        raise ConfigError(f"{path}: {key}: ${{{name}}} is not set and has no default")
    return found
