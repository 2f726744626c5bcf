"""Bytes in pieces become numbered lines; one that is over-long is skipped, not kept."""

from collections.abc import Iterator

LINE_BYTES_MAX = 65_536  # SPEC §1; the core's reader of bars has the same bound


class Lines:
    """Lines of text that comes in pieces of any size. Holds at most one line of 64 KiB.

    Parameters
    ----------
    first_line : int
        Number of the first line.
    """

    def __init__(self, first_line: int = 1) -> None:
        self._number = first_line
        self._pending = b""
        self._is_over_long = False

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Yield (number, line) for each line that ends in the piece; None: it was over-long."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            yield self._take(chunk[start:end])
            start = end + 1
        self._keep(chunk[start:])

    def finish(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield what stands after the last line feed, if anything does."""
        if self._pending or self._is_over_long:
            yield self._take(b"")

    def _keep(self, piece: bytes) -> None:
        if len(self._pending) + len(piece) > LINE_BYTES_MAX:
            self._is_over_long, self._pending = True, b""
        elif not self._is_over_long:
            self._pending += piece

    def _take(self, piece: bytes) -> tuple[int, bytes | None]:
        self._keep(piece)
        line = None if self._is_over_long else self._pending
        number = self._number
        self._number, self._pending, self._is_over_long = number + 1, b"", False
        return number, line
