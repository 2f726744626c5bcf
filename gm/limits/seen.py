"""The newest set that ever stood, beside the folder of the sets: what was signed is not taken back.

Without it, who removes the newest file has the one before it stand again, without a signature.
Like the latch of the kill switch it only rises, is written whole and synced, and is doubt where it
cannot be read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from gm.config.run_dir import write_whole
from gm.errors import ConfigError
from gm.limits.sets import Hex64, SignedSet, set_name
from gm.models.bundle import read_bounded

_BYTES_MAX = 4096


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The highest set that enough people had signed."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    sequence: Annotated[int, msgspec.Meta(ge=1, le=9999)]
    sha256: Hex64


def seen_path(folder: Path) -> Path:
    """Where it lies: not in the folder, so that a copy of that does not bring an old one back."""
    return folder.with_name(folder.name + ".seen.json")


def read_seen(folder: Path) -> Seen | None:
    """Read it; None: no set has stood yet, or only before this was kept.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    path = seen_path(folder)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_bounded(path, _BYTES_MAX), type=Seen)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: which set of limits stood last is not to be read: {error}"
        ) from error


def check_rollback(folder: Path, sets: Sequence[SignedSet]) -> Seen | None:
    """Refuse a folder that lacks the newest set that ever stood.

    Returns
    -------
    Seen or None

    Raises
    ------
    ConfigError
        The set is gone, or another has its number.
    """
    seen = read_seen(folder)
    if seen is None:
        return None
    name = folder / set_name(seen.sequence)
    if len(sets) < seen.sequence:
        raise ConfigError(
            f"{name}: this set of limits has stood, and the newest now is {len(sets)}: a set is "
            "not taken back but replaced: put the file back, then gm limits sign a newer one"
        )
    if sets[seen.sequence - 1].set.sha256 != seen.sha256:
        raise ConfigError(f"{name}: another set of this number has stood: {seen.sha256}")
    return seen


def note_seen(folder: Path, found: SignedSet, before: Seen | None) -> None:
    """Keep the number of a set that enough people have signed, if it is a higher one.

    Raises
    ------
    ConfigError
        If it cannot be written: the next start could not tell whether a set was taken away.
    """
    if before is not None and before.sequence >= found.set.sequence:
        return
    made = Seen(sequence=found.set.sequence, sha256=found.set.sha256)
    path = seen_path(folder)
    try:
        write_whole(path, msgspec.json.encode(made) + b"\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}: gm limits sign or gm limits check, as somebody who may "
            "write there, keeps which set has stood"
        ) from error
