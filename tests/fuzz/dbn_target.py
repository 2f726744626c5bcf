"""DBN of market by order; where the first byte is odd, a good header stands before the records."""

import struct

from gm.readers.dbn import decode_dbn, symbols_of_dbn
from tests.fuzz.tape_checks import check_decoder

HEADER = struct.pack("<3sBI", b"DBN", 2, 0)


def check(data: bytes) -> None:
    head = HEADER if data[:1] != b"" and data[0] % 2 == 1 else b""
    symbols = symbols_of_dbn(head + data[1:])
    assert all(isinstance(symbol, str) for symbol in symbols)
    check_decoder(lambda pieces: decode_dbn(pieces, 250_000_000, 10**9), head + data[1:])
