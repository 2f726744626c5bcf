"""The table of hostile files: what of each is accepted, and what refused for which reason.

``python -m tests.data.adversarial_table`` prints it for the README, from GM_DATA. The files of the
corpus stand in it as they are (raw: no price is on a tick) and as the test adapter makes them
(tests/adversary.py: rounded, between clean bars); then the cases that the corpus lacks.
"""

import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from gm.readers import read_bars

from ..adversary import INSTRUMENT, splice
from ..hostile import CASES, read
from ..runs import real_file

CORPUS = (
    "attack_bull_trap", "attack_coordinated", "attack_fake_breakout", "attack_whipsaw",
    "extreme_corrupted_timestamps", "extreme_extreme_volatility", "extreme_infinity_values",
    "extreme_mixed_chaos", "extreme_nan_values", "extreme_precision_edge_cases",
    "extreme_zero_negative",
)  # fmt: skip


class Line(NamedTuple):
    """One file: rows accepted, and refused by reason."""

    name: str
    accepted: int
    refused: dict[str, int]


def raw(name: str) -> Line:
    result = read_bars(real_file(f"adversarial/{name}.csv"), INSTRUMENT)
    return Line(name, len(result.bars), dict(Counter(reason for _, reason in result.quarantine)))


def adapted(name: str, folder: Path) -> Line:
    """Of the attack alone, a week later than in the file: on New Year's Day nothing trades."""
    spliced = splice(real_file(f"adversarial/{name}.csv"), folder / f"{name}.csv", weeks=1)
    quarantine = read_bars(spliced.path, INSTRUMENT).quarantine
    refused = Counter(reason for line, reason in quarantine if line in spliced.attack_lines)
    return Line(f"{name}, adapted", len(spliced.attack_lines) - refused.total(), dict(refused))


def table(folder: Path) -> list[Line]:
    lines = [line for name in CORPUS for line in (raw(name), adapted(name, folder))]
    return lines + [Line(name, *read(case, folder)) for name, case in CASES.items()]


def markdown(lines: list[Line]) -> str:
    shown = ["| File | Accepted | Refused |", "|---|---:|---|"]
    for name, accepted, refused in lines:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(refused.items()))
        shown.append(f"| {name} | {accepted} | {reasons or 'none'} |")
    return "\n".join(shown)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(markdown(table(Path(name))))
