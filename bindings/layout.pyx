"""What the compiler knows about the structs of gm.layout, for the test that compares the two."""

from status cimport describe as describe_status

include "status.pxi"


def structs() -> dict:
    """Size in bytes of every struct, by its C++ name."""
    return {kStructs[i].name.decode(): kStructs[i].size for i in range(kStructCount)}


def fields() -> list:
    """Rows (struct, field, offset, size, size of an element, kind) in the order of the header.

    kind is NumPy's: i, u, f, S for text, V for a struct.
    """
    return [
        (
            kFields[i].structure.decode(),
            kFields[i].name.decode(),
            kFields[i].offset,
            kFields[i].size,
            kFields[i].element_size,
            chr(kFields[i].kind),
        )
        for i in range(kFieldCount)
    ]


def enumerators() -> list:
    """Rows (enum, enumerator, value) in the order of the header."""
    return [
        (kEnumerators[i].enumeration.decode(), kEnumerators[i].name.decode(), kEnumerators[i].value)
        for i in range(kEnumeratorCount)
    ]


def describe(int status) -> str:
    """The core's sentence for a Status."""
    return describe_status(<Status>status).decode()


def raise_status(int status) -> None:
    """Raise what a core function's answer `status` raises; 0 raises nothing."""
    check(<Status>status)
