"""gm.layout and the compiler agree about every struct and enum that crosses the boundary."""

import re
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest

from gm import errors, layout
from gm._native import layout as native

ROOT = Path(__file__).parents[1]
ENUMS = {
    name: value
    for name, value in vars(layout).items()
    if isinstance(value, type) and issubclass(value, IntEnum) and value is not IntEnum
}
STRUCTS = sorted(native.structs())


def upper(camel: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).upper()


def mirror(struct: str) -> np.dtype:
    return getattr(layout, upper(struct))


def numpy_rows(dtype: np.dtype) -> list[tuple]:
    rows = []
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        element, _ = field.subdtype or (field, ())
        # A text field's element is one char for the compiler, the whole field for NumPy.
        element_size = 1 if element.kind == "S" else element.itemsize
        rows.append((name, offset, field.itemsize, element_size, element.kind))
    return rows


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_field_has_the_offset_size_and_kind_that_the_compiler_gives_it(struct: str) -> None:
    compiled = [row[1:] for row in native.fields() if row[0] == struct]
    assert numpy_rows(mirror(struct)) == compiled


@pytest.mark.parametrize("struct", STRUCTS)
def test_named_fields_fill_the_struct_without_a_hole(struct: str) -> None:
    dtype = mirror(struct)
    assert dtype.itemsize == native.structs()[struct]
    assert sum(dtype.fields[name][0].itemsize for name in dtype.names) == dtype.itemsize


def test_no_mirror_is_left_unchecked() -> None:
    mirrors = {name for name, value in vars(layout).items() if isinstance(value, np.dtype)}
    assert mirrors == {upper(struct) for struct in STRUCTS}
    checked = {enumeration for enumeration, _, _ in native.enumerators()}
    assert set(ENUMS) == checked - {"Status"}


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_enum_members_have_the_names_and_numbers_of_the_core(name: str) -> None:
    compiled = {upper(k[1:]): value for enum, k, value in native.enumerators() if enum == name}
    assert {member.name: member.value for member in ENUMS[name]} == compiled


def test_no_enumerator_of_a_header_is_forgotten() -> None:
    text = "\n".join(
        re.sub(r"//.*", "", header.read_text())
        for header in sorted((ROOT / "core/include/gm").rglob("*.hpp"))
    )
    for name in {enumeration for enumeration, _, _ in native.enumerators()}:
        body = re.search(rf"enum class {name} : [\w:]+ \{{(.*?)\}};", text, re.DOTALL)
        assert body is not None, name
        declared = re.findall(r"\b(k[A-Z]\w*)\b(?=\s*[=,}\n])", body[1])
        assert declared == [k for enum, k, _ in native.enumerators() if enum == name]


def test_every_status_is_an_exception_of_the_same_name_and_has_a_sentence() -> None:
    statuses = {k[1:]: value for enum, k, value in native.enumerators() if enum == "Status"}
    assert statuses.pop("Ok") == 0
    assert {error.__name__: status for status, error in errors.BY_STATUS.items()} == statuses
    sentences = [native.describe(status) for status in statuses.values()]
    assert len(set(sentences)) == len(sentences)
    assert "unknown status" not in sentences


def test_a_refusal_of_the_core_is_raised_as_the_exception_of_its_status() -> None:
    native.raise_status(0)
    with pytest.raises(errors.OffGrid, match="not a whole number of units"):
        native.raise_status(5)


def test_every_record_type_has_a_payload_of_64_bytes() -> None:
    assert set(layout.PAYLOADS) == set(layout.RecordType) - {layout.RecordType.NONE}
    assert {dtype.itemsize for dtype in layout.PAYLOADS.values()} == {layout.PAYLOAD_SIZE}


def test_golden_bytes_of_schema_1() -> None:
    slot = np.zeros(1, layout.SLOT)
    slot["header"] = (layout.MAGIC, 1, layout.RecordType.FILL, 1, 2, 7, 8, 9, 10)
    fill = np.zeros(1, layout.FILL)
    fill[0] = ((1, 2, 3), 4, -5, 6, 7, 8, 9, layout.Side.SELL, 0)
    slot["payload"] = fill.view("u1")
    slot["trailer"] = (11, 12, 0xDEADBEEF, 12)
    assert slot.tobytes().hex(" ", 8) == (
        "474d303101002b00 0100020007000000 0800000000000000 0900000000000000 0a00000000000000 "
        "0100000002000000 0300000000000000 0400000000000000 fbffffffffffffff 0600000000000000 "
        "0700000000000000 0800000000000000 0900000001000000 0b00000000000000 0c00000000000000 "
        "efbeadde0c000000"
    )
