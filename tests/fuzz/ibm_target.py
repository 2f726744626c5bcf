"""Lines of IBM-style trades, or of quotes where the first byte is odd."""

from gm.readers.ibm import decode_ibm
from tests.fuzz.tape_checks import check_decoder, is_thorough

# 2013-11-03 in New York: an hour comes twice.
MIDNIGHT_NS = 1_383_436_800 * 10**9


def check(data: bytes) -> None:
    is_quotes = data[:1] != b"" and data[0] % 2 == 1
    text = data[1:]
    zone = "America/New_York" if is_thorough(text) else "UTC"  # its table is most of the time
    check_decoder(
        lambda pieces: decode_ibm(pieces, is_quotes, 1_000_000, 10**9, MIDNIGHT_NS, zone), text
    )
