"""A recorder's clock is put on the exchange's by the line under all delays, whatever is noise."""

import numpy as np
import pytest

from gm.readers.clock import correct, estimate_offset

SECOND = 10**9
START = 1_700_000_000 * SECOND


def messages(count=5_000, span_s=300, offset_ns=-1_270_000_000, drift_ppb=-4_500.0, seed=1):
    """Stamps of both clocks; delays from 0 up, most of them short, every thousandth none."""
    random = np.random.default_rng(seed)
    sent = START + np.sort(random.integers(0, span_s * SECOND, count))
    delay = random.lognormal(14, 1.2, count).astype(np.int64)
    delay[:: max(count // 1_000, 1)] //= 1_000
    true = sent + delay
    off = offset_ns + ((true - START) * (drift_ppb / 1e9)).astype(np.int64)
    return true + off, sent, delay


@pytest.mark.parametrize("drift_ppb", [0.0, -4_500.0, 60_000.0])
@pytest.mark.parametrize("offset_ns", [0, -1_270_000_000, 3_600 * SECOND])
def test_offset_and_drift_are_found(offset_ns, drift_ppb) -> None:
    received, sent, delay = messages(offset_ns=offset_ns, drift_ppb=drift_ppb)
    found = estimate_offset(received, sent)
    error = (correct(received, sent, found) - sent) - delay
    assert np.abs(error).max() < 400_000  # of delays up to 100 ms
    assert found.drift_ppb == pytest.approx(drift_ppb, abs=1_500)
    assert found.disbelieved == 0


def test_a_stamp_from_nowhere_moves_nothing() -> None:
    received, sent, _ = messages()
    plain = estimate_offset(received, sent)
    received[[700, 3_000]] -= 5 * SECOND
    found = estimate_offset(received, sent)
    assert abs(found.offset_ns - plain.offset_ns) < 100_000
    assert found.disbelieved == 2
    assert (correct(received, sent, found) >= sent).all()


def test_nothing_comes_in_before_it_was_sent() -> None:
    received, sent, _ = messages(offset_ns=-9 * SECOND)
    assert (received < sent).all()
    assert (correct(received, sent, estimate_offset(received, sent)) >= sent).all()


def test_few_messages_and_absurd_ones_still_give_a_line() -> None:
    one = np.array([START], np.int64)
    assert estimate_offset(one, one - 5).offset_ns == 5
    two = np.array([START, START + 10], np.int64)
    found = estimate_offset(two, np.array([START, START - 10**12], np.int64))
    assert found.drift_ppb == 0.0  # no clock runs away so fast
    assert found.offset_ns == 0
    wild = np.array([0, 2**62 - 1, 5, 2**61], np.int64)
    with np.errstate(all="raise"):
        found = estimate_offset(wild, wild[::-1].copy())
        assert (correct(wild, wild[::-1].copy(), found) >= wild[::-1]).all()
