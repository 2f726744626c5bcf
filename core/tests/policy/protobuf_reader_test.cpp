// Promise: protobuf fields are read as written, and malformed bytes end the reading, marked bad.
#include "gm/policy/protobuf_reader.hpp"

#include <doctest/doctest.h>

#include "policy/onnx_bytes.hpp"

namespace gm {

using test::Bytes;
using test::field;
using test::varint;
using test::operator+;

namespace {

bool is_refused(const Bytes& bytes) {
    ProtobufReader reader(bytes);
    ProtobufField out;
    for (std::size_t i = 0; i <= bytes.size() && reader.next(out); ++i) {
    }
    return reader.is_bad();
}

}  // namespace

TEST_CASE("fields of every wire type come back as written") {
    const Bytes bytes = field(1, 300) + field(2, std::string("abc")) + test::field_float(3, 1.5F) +
                        varint(4 << 3 | 1) + Bytes{1, 2, 3, 4, 5, 6, 7, 8};
    ProtobufReader reader(bytes);
    ProtobufField out;
    REQUIRE(reader.next(out));
    CHECK(out.is(1, WireType::kVarint));
    CHECK(out.value == 300);
    REQUIRE(reader.next(out));
    CHECK(out.is(2, WireType::kBytes));
    CHECK(out.text() == "abc");
    REQUIRE(reader.next(out));
    CHECK(out.is(3, WireType::kFixed32));
    CHECK(out.value == 0x3fc00000);
    REQUIRE(reader.next(out));
    CHECK(out.is(4, WireType::kFixed64));
    CHECK(out.value == 0x0807060504030201);
    CHECK_FALSE(reader.next(out));
    CHECK_FALSE(reader.is_bad());
}

TEST_CASE("the largest varint is read and one bit more is refused") {
    const Bytes largest(9, 0xff);
    ProtobufReader reader(largest);
    std::uint64_t out = 0;
    CHECK_FALSE(reader.next_varint(out));  // not ended
    const Bytes whole = largest + Bytes{1};
    ProtobufReader good(whole);
    REQUIRE(good.next_varint(out));
    CHECK(out == ~std::uint64_t{0});
    const Bytes wide = largest + Bytes{2};
    ProtobufReader bad(wide);
    CHECK_FALSE(bad.next_varint(out));
    CHECK(bad.is_bad());
    const Bytes endless(64, 0x80);
    CHECK(is_refused(endless));
}

TEST_CASE("malformed bytes are refused") {
    CHECK(is_refused({0x00}));                                   // field number 0
    CHECK(is_refused({0x0b}));                                   // group
    CHECK(is_refused({0x0c}));                                   // end of group
    CHECK(is_refused({0x0e, 0x00}));                             // wire type 6
    CHECK(is_refused({0x0a, 0x05, 'a'}));                        // length past the end
    CHECK(is_refused({0x0d, 1, 2, 3}));                          // three of four bytes
    CHECK(is_refused(varint(std::uint64_t{1} << 32)));           // tag over 32 bits
    CHECK(is_refused(Bytes{0x0a} + varint(~std::uint64_t{0})));  // length 2^64 - 1
}

TEST_CASE("an empty message is good and has no fields") {
    CHECK_FALSE(is_refused({}));
}

}  // namespace gm
