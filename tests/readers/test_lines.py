"""Lines come out whole and numbered however the bytes come in; one over 64 KiB is never kept."""

import tracemalloc

from hypothesis import given, strategies as st

from gm._native.market import LINE_BYTES_MAX as CORE_LINE_BYTES_MAX
from gm.readers.lines import LINE_BYTES_MAX, Lines


def lines_of(chunks, first_line=1):
    lines = Lines(first_line)
    found = [pair for chunk in chunks for pair in lines.feed(chunk)]
    return found + list(lines.finish())


def test_lines_are_numbered_and_the_last_needs_no_line_feed() -> None:
    assert lines_of([b"a\n\nb"]) == [(1, b"a"), (2, b""), (3, b"b")]
    assert lines_of([b"a\n"], first_line=7) == [(7, b"a")]
    assert lines_of([b""]) == []


def test_the_bound_is_that_of_the_core() -> None:
    assert LINE_BYTES_MAX == CORE_LINE_BYTES_MAX
    longest, over = b"x" * LINE_BYTES_MAX, b"x" * (LINE_BYTES_MAX + 1)
    assert lines_of([longest + b"\n" + over + b"\nz"]) == [(1, longest), (2, None), (3, b"z")]
    assert lines_of([over]) == [(1, None)]


def test_a_line_of_100_mb_is_refused_and_never_held() -> None:
    lines, chunk = Lines(), b"x" * (1 << 20)
    tracemalloc.start()
    found = [pair for _ in range(100) for pair in lines.feed(chunk)]
    found += list(lines.feed(b"\nnext\n"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(1, None), (2, b"next")]
    assert peak < 4 << 20


@given(st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")), max_size=9), st.data())
def test_any_cut_of_the_bytes_gives_the_same_lines(texts, data) -> None:
    whole = b"\n".join(texts) + b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert lines_of(pieces) == lines_of([whole])
    assert [line for _, line in lines_of([whole])] == whole.split(b"\n")[:-1]
