"""Each member of a class with an archive() is archived, or named there as left out."""

import re
from pathlib import Path

import pytest

INCLUDE = Path(__file__).parent.parent / "core" / "include" / "gm"
ARCHIVE = re.compile(r"void archive\(Archive& archive\) noexcept( \{|;)")
CLASS = re.compile(r"\b(?:class|struct) (\w+)(?: final)?(?: : [^{;]*)? \{")
MEMBER = re.compile(
    r"^(?!class|struct|using|static|friend|return|template|constexpr|enum|public|private|case|if)"
    r"(?!typedef|explicit)"
    r"(?:mutable )?[\w:<>,&* ]+?[>&*\w] (\w+)"
    r"(?:\[[^;]*\])?(?:\{[^;()]*\}| = [^;]*)?;",
    re.DOTALL,
)
# Models::archive() is in a source file.
ELSEWHERE = {"Models": Path(__file__).parent.parent / "core/src/engine/snapshot.cpp"}


def block_at(text: str, opening: int) -> str:
    """The text between the brace at `opening` and its partner."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[opening + 1 : at]
    raise AssertionError("braces do not match")


def own_text(body: str) -> str:
    """The body without those of functions and of classes inside it, and without initialisers."""
    out: list[str] = []
    at = 0
    while at < len(body):
        if body[at] == "{":
            at += len(block_at(body, at)) + 2
            out.append("{}")
        else:
            out.append(body[at])
            at += 1
    return "".join(out)


def members_of(body: str) -> list[str]:
    """Data members that a class declares itself."""
    text = re.sub(r"//[^\n]*", "", own_text(body))
    text = re.sub(r"^\s*#[^\n]*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\)[^;{}]*\{\}", ");", text)  # a function with a body ends like a declaration
    text = re.sub(r"\b(class|struct|enum class|union) \w+[^;{}]*\{\};?", "", text)
    text = re.sub(r"\b(public|private|protected):", "", text)
    found = []
    for statement in text.split(";"):
        line = " ".join(statement.split())
        match = MEMBER.match(line.replace("{}", "") + ";")
        if match and "(" not in line.split("=")[0]:
            found.append(match[1])
    return found


def archived_in(text: str, name: str, body: str) -> tuple[str, str]:
    """What the archive() of a class lists, and the comment before it."""
    own = re.search(r"((?:[ \t]*//[^\n]*\n)*)[ \t]*" + ARCHIVE.pattern, body)
    assert own is not None
    if own[2] == ";":
        text = ELSEWHERE[name].read_text()
        opening = text.index("{", text.index(f"void {name}::archive("))
        return block_at(text, opening), own[1]
    return block_at(body, body.index("{", own.end(1))), own[1]


def left_over(text: str) -> dict[str, list[str]]:
    """Members of each class with an archive() that it neither lists nor names."""
    out = {}
    for match in CLASS.finditer(text):
        body = block_at(text, match.end() - 1)
        if not ARCHIVE.search(without_classes(body)):
            continue
        listed, comment = archived_in(text, match[1], without_classes(body))
        known = set(re.findall(r"\w+", listed + comment))
        out[match[1]] = [name for name in members_of(body) if name not in known]
    return out


def without_classes(body: str) -> str:
    """The body without the classes inside it."""
    while match := CLASS.search(body):
        inner = block_at(body, match.end() - 1)
        body = body[: match.start()] + body[match.end() + len(inner) + 1 :]
    return body


HEADERS = sorted(path for path in INCLUDE.rglob("*.hpp") if ARCHIVE.search(path.read_text()))


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_every_member_is_archived_or_named_as_left_out(path: Path) -> None:
    found = left_over(path.read_text())
    assert found, path
    assert not {name: members for name, members in found.items() if members}


def test_the_headers_of_the_engine_are_among_them() -> None:
    found = {name for path in HEADERS for name in left_over(path.read_text())}
    expected = {"Engine", "Desk", "Market", "BarCheck", "BucketSide", "Book", "Half", "Order"}
    assert expected | {"OrderTable", "Gate", "Past", "Kernels", "Models", "Bracket"} <= found


# One of each kind of declaration, put before the last member of a class.
@pytest.mark.parametrize(
    "line",
    [
        "bool is_new_ = false;",
        "std::uint64_t new_;",
        "std::array<std::uint8_t, 32> new_{};  // why",
        "std::vector<Desk> new_;",
        "double new_[4] = {};",
        "const Model* new_ = nullptr;",
    ],
)
@pytest.mark.parametrize(
    ("header", "before", "name"),
    [
        ("engine/engine.hpp", "    bool is_gapped_ = false;\n", "Engine"),
        ("engine/desk.hpp", "    bool must_leave = false;\n", "Desk"),
        ("orders/order_table.hpp", "    bool is_tombstoned = false;\n", "Order"),
        ("market/market.hpp", "    bool is_in_session_ = false;\n", "Market"),
        ("engine/kernels.hpp", "        bool is_rule_warm = false;\n", "Desk"),
        ("risk/gate.hpp", "        std::uint8_t side;\n", "Past"),
        ("engine/models.hpp", "    std::uint32_t columns_ = 0;\n", "Models"),
    ],
)
def test_a_new_member_is_found(header: str, before: str, name: str, line: str) -> None:
    text = (INCLUDE / header).read_text()
    assert text.count(before) == 1
    assert len(left_over(text.replace(before, f"    {line}\n{before}"))[name]) == 1
