"""The compiler's own account of structs and enums: bindings/layout_table.hpp."""

from libc.stdint cimport int64_t


cdef extern from "layout_table.hpp" namespace "gm::layout_table" nogil:
    cdef cppclass StructRow:
        const char* name
        size_t size

    cdef cppclass FieldRow:
        const char* structure
        const char* name
        size_t offset
        size_t size
        size_t element_size
        char kind

    cdef cppclass EnumeratorRow:
        const char* enumeration
        const char* name
        int64_t value

    const StructRow* kStructs
    const FieldRow* kFields
    const EnumeratorRow* kEnumerators
    const size_t kStructCount
    const size_t kFieldCount
    const size_t kEnumeratorCount
