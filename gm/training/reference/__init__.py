"""Slow, plain NumPy versions of the native features. They exist only to check the core.

Written from SPEC §2 to §4 and not from the C++, one function an indicator, whole arrays in and out.
NaN says "not defined yet" in here; the matrices hold 0 there, as SPEC demands. Prices are ticks:
every value is free of scale but those of the profile and of the gaps.
"""

from gm.training.reference.discrepancy import (
    bar_features as bar_features,
    discrepancies as discrepancies,
    discrepancy_score as discrepancy_score,
    ranks as ranks,
)
from gm.training.reference.gaps import fair_value_gaps as fair_value_gaps
from gm.training.reference.matrices import (
    COLUMNS as COLUMNS,
    NO_VOLUME as NO_VOLUME,
    OUT_OF_SESSION as OUT_OF_SESSION,
    ROWS as ROWS,
    SYNTHETIC as SYNTHETIC,
    TACTICAL_COLUMNS as TACTICAL_COLUMNS,
    TACTICAL_ROWS as TACTICAL_ROWS,
    Strategic as Strategic,
    Tactical as Tactical,
    hour_circle as hour_circle,
    stack_rows as stack_rows,
    strategic_columns as strategic_columns,
    strategic_matrices as strategic_matrices,
    strategic_rows as strategic_rows,
    tactical_columns as tactical_columns,
    tactical_matrices as tactical_matrices,
)
from gm.training.reference.mlmi import Mlmi as Mlmi, momentum_index as momentum_index
from gm.training.reference.profile import (
    Profile as Profile,
    profile_columns as profile_columns,
    volume_profile as volume_profile,
)
from gm.training.reference.regression import kernel_regression as kernel_regression, turns as turns
from gm.training.reference.smoothing import (
    average_true_range as average_true_range,
    clip as clip,
    exponential_mean as exponential_mean,
    heiken_ashi as heiken_ashi,
    relative_strength as relative_strength,
    run_lengths as run_lengths,
    weighted_mean as weighted_mean,
)
from gm.training.reference.synergy import (
    Signal as Signal,
    Synergy as Synergy,
    find_synergies as find_synergies,
    strategic_signals as strategic_signals,
    tactical_signals as tactical_signals,
)
from gm.training.reference.volatility import (
    log_return_deviation as log_return_deviation,
    momentum as momentum,
    rolling_score as rolling_score,
    unbroken_momentum as unbroken_momentum,
)
