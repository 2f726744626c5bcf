"""The kernel regression gives what SPEC §2 gives by hand."""

import numpy as np

from gm.training import reference


def test_kernel_weighs_the_newest_bar_with_one() -> None:
    x = np.zeros(27)
    x[25] = 1.0
    estimate = reference.kernel_regression(x)
    weights = (1 + np.arange(27) ** 2 / 1024) ** -8.0
    assert np.isnan(estimate[:25]).all()
    np.testing.assert_allclose(
        estimate[25:], [1 / weights[:26].sum(), weights[1] / weights.sum()], rtol=1e-14
    )


def test_kernel_forgets_after_two_hundred_bars() -> None:
    x = np.zeros(201)
    x[0] = 1e6
    estimate = reference.kernel_regression(x)
    assert estimate[199] > 0
    assert estimate[200] == 0


def test_a_line_turns_where_its_middle_is_strictly_outside() -> None:
    line = np.array([np.nan, 5.0, 3.0, 4.0, 4.0, 2.0, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(reference.turns(line), [0, 0, 0, 1, 0, 0, 0, 1, -1])
