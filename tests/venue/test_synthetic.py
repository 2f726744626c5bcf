"""Promise: a file that says of itself that it is synthetic is heard; any other says nothing."""

import gzip
from pathlib import Path

import pytest

from gm.venue.synthetic import says_synthetic


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Timestamp,Open,High,Low,Close,Volume,Synthetic\n1,2,3,4,5,6,1\n", True),
        (b'\xef\xbb\xbf\r\n"time";"open";"SYNTHETIC"\r\n', True),
        (gzip.compress(b"time\tsynthetic\topen", mtime=0), True),
        (b"time,open,high,low,close\nsynthetic,1,1,1,1\n", False),
        (b"time,synthetic open\n", False),
        (b"\x1f\x8bno gzip", False),
        (bytes(range(256)), False),
        (b"", False),
    ],
)
def test_the_column_is_heard(tmp_path: Path, content: bytes, says: bool) -> None:
    file = tmp_path / "bars.csv"
    file.write_bytes(content)
    assert says_synthetic(file) is says
