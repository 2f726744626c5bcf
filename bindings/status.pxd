"""How a core function fails, and the one way in which a binding turns that into an exception."""

from libc.stdint cimport int32_t
from libcpp.string cimport string


cdef extern from "gm/base/status.hpp" namespace "gm" nogil:
    cdef enum class Status(int32_t):
        kOk

    cdef cppclass Failure:
        Failure()
        Status status
        string text

    const char* describe(Status status) noexcept


cdef inline int check(Status status) except -1:
    """Raise the exception of a hot function's status, or return 0."""
    if status == Status.kOk:
        return 0
    from gm.errors import BY_STATUS
    raise BY_STATUS[<int>status](describe(status).decode())


cdef inline int check_failure(const Failure& failure) except -1:
    """Raise the exception of a cold function's answer with its own text, or return 0."""
    if failure.status == Status.kOk:
        return 0
    from gm.errors import BY_STATUS
    text = failure.text if not failure.text.empty() else <string>describe(failure.status)
    raise BY_STATUS[<int>failure.status](text.decode("utf-8", "replace"))
