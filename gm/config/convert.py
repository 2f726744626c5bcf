"""A plain tree becomes frozen structs, or an error that names file, key and value."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gm.errors import ConfigError

T = TypeVar("T")


def convert(path: Path, tree: Any, kind: type[T], prefix: str = "") -> T:  # noqa: ANN401
    """Turn a plain tree into a struct, or say which key of which file is wrong and how.

    Parameters
    ----------
    path : Path
        The file, for the error text.
    tree : dict
        From ``strict_yaml.load_tree``.
    kind : type
        The struct.
    prefix : str
        Put before the key in the error text.

    Returns
    -------
    An object of ``kind``.

    Raises
    ------
    ConfigError
        With file, key, value and the allowed range.

    Source
    ------
    Ours.
    """
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `")
        key = at.rstrip("`").removeprefix("$").lstrip(".")
        shown = _value_at(tree, key)
        where = f"{prefix}{key}" or "top level"
        raise ConfigError(f"{path}: {where.rstrip('.')}: {reason}{shown}") from error


def convert_entries(path: Path, tree: Any, keys: tuple[str, ...], kind: type[Any]) -> None:  # noqa: ANN401
    """Check the entries of a mapping one by one: msgspec alone would not name the entry.

    Parameters
    ----------
    path : Path
        The file, for the error text.
    tree : dict
        The whole tree.
    keys : tuple of str
        The way to the mapping; nothing is done if it leads nowhere.
    kind : type
        What each entry must be.

    Raises
    ------
    ConfigError
        As ``convert``, with the name of the entry.

    Source
    ------
    Ours.
    """
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    if isinstance(tree, dict):
        for name, entry in tree.items():
            # A list where a mapping belongs has no key of its own to name.
            at = ".".join((*keys, str(name)))
            convert(path, entry, kind, f"{at}." if isinstance(entry, dict) else at)


def _value_at(tree: Any, key: str) -> str:  # noqa: ANN401
    value = tree
    for part in key.replace("[", ".[").split("."):
        if part.startswith("[") and part != "[...]" and isinstance(value, list):
            value = value[int(part.strip("[]"))]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif part:
            return ""
    if isinstance(value, dict | list):
        return f", got a {type(value).__name__}"
    return f", got {str(value)[:80]!r}"
