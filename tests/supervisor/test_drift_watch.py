"""Promise: live rows are held against the training slice, none twice, and a restart goes on."""

import numpy as np
import pytest

from gm._native.features import feature_schema_digest
from gm.features import STRATEGIC_COLUMNS
from gm.models.drift import stability_index
from gm.supervisor.drift_watch import ROWS_FILE, ROWS_MAX, ROWS_MIN, DriftWatch

from ..models.make import training_slice

SHA = "a" * 64
WIDTH = len(STRATEGIC_COLUMNS)


def page(bars: int, values: np.ndarray, *, ready: bool = True) -> list[dict[str, object]]:
    """One instrument of a status page."""
    row = [*values.tolist(), 0.0, 0.0, 0.0]
    return [{"symbol": "NQ", "bars_30m": bars, "is_ready": int(ready), "newest_row": row}]


def watch_of(run_dir, columns=range(WIDTH)) -> DriftWatch:
    watch = DriftWatch(run_dir)
    watch.compare_with(SHA, training_slice(), columns)
    return watch


def feed(watch: DriftWatch, rows: np.ndarray, first: int = 1) -> None:
    watch.look(page(first - 1, rows[0]), 0.0)
    for bar, row in enumerate(rows, first):
        watch.look(page(bar, row), 0.0)
        watch.look(page(bar, row), 0.0)  # the same page again


@pytest.fixture
def rows() -> np.ndarray:
    random = np.random.default_rng(1)
    found: np.ndarray = random.uniform(-1, 1, (400, WIDTH)).astype(np.float32)
    found[:, 3] = np.abs(found[:, 3])  # in training it was negative half of the time
    return found


def test_scores_are_the_index_of_the_rows_that_were_seen(tmp_path, rows) -> None:
    watch = watch_of(tmp_path)
    feed(watch, rows)
    assert watch.rows == len(rows)
    assert watch.scores == stability_index(training_slice(), rows)
    moved = STRATEGIC_COLUMNS[3]
    assert watch.scores[moved] > 0.5
    assert max(score for name, score in watch.scores.items() if name != moved) < 0.1


def test_too_few_rows_say_nothing(tmp_path, rows) -> None:
    watch = watch_of(tmp_path)
    feed(watch, rows[: ROWS_MIN - 1])
    assert watch.scores == {}
    feed(watch, rows[: ROWS_MIN + 4], first=ROWS_MIN)
    assert set(watch.scores) == set(STRATEGIC_COLUMNS)


def test_only_columns_that_the_model_looks_at_are_scored(tmp_path, rows) -> None:
    watch = watch_of(tmp_path, columns=(0, 3, 14))
    feed(watch, rows)
    assert set(watch.scores) == {STRATEGIC_COLUMNS[0], STRATEGIC_COLUMNS[3]}


def test_rows_of_a_matrix_that_is_not_ready_or_not_finite_do_not_count(tmp_path, rows) -> None:
    watch = watch_of(tmp_path)
    watch.look(page(1, rows[0]), 0.0)
    watch.look(page(2, rows[1], ready=False), 0.0)
    watch.look(page(3, np.full(WIDTH, np.nan)), 0.0)
    assert watch.rows == 0


def test_a_restart_goes_on_with_the_rows_and_another_model_with_its_own_slice(
    tmp_path, rows
) -> None:
    first = watch_of(tmp_path)
    feed(first, rows)
    first.save()
    again = watch_of(tmp_path)
    assert again.rows == len(rows)
    again.look(page(9, rows[0]), 0.0)
    assert again.scores == first.scores
    again.compare_with("b" * 64, None, ())
    assert again.scores == {}
    assert again.is_of("b" * 64)


def test_memory_is_bounded_and_a_torn_file_costs_one_row(tmp_path, rows) -> None:
    watch = watch_of(tmp_path)
    feed(watch, np.tile(rows, (3, 1)))
    assert watch.rows == ROWS_MAX
    watch.save()
    path = tmp_path / ROWS_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert watch_of(tmp_path).rows == ROWS_MAX - 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_value_in_the_file_costs_its_row_and_no_start(tmp_path, rows, bad) -> None:
    first = watch_of(tmp_path)
    feed(first, rows)
    first.save()
    path = tmp_path / ROWS_FILE
    values = np.fromfile(path, "<f4")
    values[7 * WIDTH + 3] = bad
    values.tofile(path)
    again = watch_of(tmp_path)
    assert again.rows == len(rows) - 1
    again.look(page(9, rows[0]), 0.0)
    assert again.scores == stability_index(training_slice(), np.delete(rows, 7, axis=0))


def test_rows_of_other_columns_are_not_read(tmp_path, rows) -> None:
    (tmp_path / "models").mkdir()
    rows.astype("<f4").tofile(tmp_path / "models" / "rows.f32")
    assert DriftWatch(tmp_path).rows == 0
    assert feature_schema_digest().hex()[:12] in ROWS_FILE.name
