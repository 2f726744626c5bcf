"""The table of the README: what of each hostile file is accepted, and what refused and why."""

from pathlib import Path

import pytest

from .adversarial_table import CORPUS, Line, adapted, markdown, raw
from .test_adversarial import RAW

pytestmark = pytest.mark.data

# Rows accepted and refused of the attack, once its prices are on the tick.
ADAPTED: dict[str, tuple[int, dict[str, int]]] = {
    "attack_bull_trap": (100, {}),
    "attack_coordinated": (100, {}),
    "attack_fake_breakout": (100, {}),
    "attack_whipsaw": (100, {}),
    "extreme_corrupted_timestamps": (
        86, {"backward_time": 4, "duplicate_time": 6, "future": 6},
    ),
    "extreme_extreme_volatility": (0, {"jump_band": 100}),
    "extreme_infinity_values": (87, {"not_finite": 13}),
    "extreme_mixed_chaos": (
        0,
        {
            "below_floor": 4, "future": 1, "jump_band": 13, "not_finite": 36, "off_grid": 2,
            "overflow": 44,
        },
    ),
    "extreme_nan_values": (47, {"not_finite": 53}),
    "extreme_precision_edge_cases": (70, {"below_floor": 10, "overflow": 20}),
    "extreme_zero_negative": (79, {"below_floor": 17, "contradiction": 1, "negative_volume": 3}),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_raw_rows_are_off_the_grid_or_worse(name: str) -> None:
    assert raw(name).refused == RAW[name]


@pytest.mark.parametrize("name", CORPUS)
def test_adapted_rows_are_taken_or_refused_for_their_reason(name: str, tmp_path: Path) -> None:
    line = adapted(name, tmp_path)
    assert (line.accepted, line.refused) == ADAPTED[name]
    assert line.accepted > 0 or not name.startswith("attack_")


def test_the_table_is_markdown() -> None:
    lines = [Line("a", 5, {"malformed": 1, "future": 2_000}), Line("b", 3, {})]
    assert markdown(lines).splitlines()[2:] == [
        "| a | 5 | 2,000 future, 1 malformed |",
        "| b | 3 | none |",
    ]
