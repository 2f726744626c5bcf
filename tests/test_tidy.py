"""House rules that no linter knows: floors of the core, sizes, banned words, the shape of the tree.

Each rule is a function from text to complaints; it is run over the tree and over a planted
violation. A false alarm is silenced on its own line with `tidy: allow` and a reason.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

# ARCHITECTURE 5, lower floors first. Rooms of one floor do not include each other.
FLOORS = (
    ("base",),
    ("wire", "ring"),
    ("journal",),
    ("market",),
    ("indicators",),
    ("features",),
    ("risk", "policy"),
    ("orders",),
    ("engine", "venue"),
    ("session",),
    ("runtime",),
    ("simulation",),
)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
HOT_ROOMS = {"ring", "market", "indicators", "features", "risk", "policy", "orders", "engine"}
HOT_ROOMS |= {"venue"}
CLOCK_ROOMS = {"journal", "runtime"}
FOLDERS = {"core", "bindings", "gm", "configs", "bench", "deploy", "tests", "docs", ".ci"}

# libm picks its variant per CPU at run time: only base/elementary gives the same bits everywhere.
LIBM = (
    "exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|"
    "erf|erfc|tgamma|lgamma|cbrt|hypot"
)
TRANSCENDENTAL = re.compile(rf"(?:\bstd::|(?<![\w>])::|__builtin_)(?:{LIBM})[fl]?\s*\(")
CLOCK = re.compile(
    r"\b(clock_gettime|gettimeofday|std::chrono|monotonic_ns|wall_ns|\w*rdtscp?)\b|<chrono>|<ctime>"
)
# Each of these can stall or unwind the hot thread.
STALLS = re.compile(
    r"\b(throw|malloc|calloc|realloc|std::function|shared_ptr|iostream|mutex|condition_variable|"
    r"s?n?printf|virtual|dynamic_cast)\b"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")  # tidy: allow the words

Rule = Callable[[str, str], Iterator[str]]


def tree(*suffixes: str, under: tuple[str, ...] = ("",)) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return sorted(
        {p for p in listed if p.endswith(suffixes) and p.startswith(under) and (ROOT / p).exists()}
    )


def code_of(text: str) -> str:
    """C++ without comments, literals and preprocessor lines; every line keeps its number.

    A line with the words that silence a rule comes out empty.
    """
    blank = lambda m: re.sub(r"[^\n]", " ", m[0])  # noqa: E731
    text = re.sub(r"(?m)^.*tidy: allow \S.*$", "", text)
    text = re.sub(
        r'R"(\w*)\((?:.|\n)*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'', '""', text
    )
    text = re.sub(r"//[^\n]*|/\*(?:.|\n)*?\*/", blank, text)
    return re.sub(r"(?m)^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text)


def room_of(path: str) -> str:
    match = re.match(r"core/(?:include/gm|src|tests)/(\w+)/", path)
    return match[1] if match else ""


def lines_with(pattern: re.Pattern[str], code: str) -> Iterator[str]:
    for number, line in enumerate(code.splitlines(), 1):
        if "tidy: allow" not in line and (match := pattern.search(line)):
            yield f"{number}: {match[0].strip()}"


def scopes(code: str) -> Iterator[tuple[str, str, int, int]]:
    """Every `head { ... }` outside functions, and every statement of a namespace.

    Yields (kind, head, first line, last line); kind is function, type, namespace or statement.
    """
    stack: list[tuple[str, str, int]] = []
    head, start, line = "", 1, 1
    for character in code:
        if character == "\n":
            line += 1
        inside = stack[-1][0] if stack else "namespace"
        if character == "{":
            kind = kind_of(head, inside)
            stack.append((kind, head.strip(), start))
        elif character == "}" and stack:
            kind, opened, first = stack.pop()
            if kind in ("function", "type"):
                yield kind, opened, first, line
            if kind == "value":  # the initialiser of a variable: its statement goes on
                head = opened + "{}"
                start = first
                continue
        elif character == ";" and inside == "namespace":
            yield "statement", head.strip(), start, line
        if character in "{};":
            head = ""
        else:
            if not head.strip():
                head, start = "", line
            head += character


def kind_of(head: str, inside: str) -> str:
    head = re.sub(r"\[\[.*?\]\]|alignas\(.*?\)|__attribute__\(\(.*?\)\)", "", head).strip()
    if inside in ("function", "block"):
        return "block"
    if re.match(r"(inline )?namespace\b|extern\s*$", head):
        return "namespace"
    if re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b[^()]*$", head, re.DOTALL):
        return "type"
    if "=" in re.sub(r"operator\s*[=<>!+\-*/&|]+|[<>=!]=", "", head.split("(")[0]):
        return "value"
    return "function" if "(" in head else "value"


def oversize(path: str, text: str) -> Iterator[str]:
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{len(lines)} lines, at most {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        columns = len(re.sub(r"  # (noqa|type: ignore|tidy: allow).*", "", line))
        if columns > COLUMNS_MAX and "tidy: allow" not in line:
            yield f"{number}: {columns} columns, at most {COLUMNS_MAX}"


def long_functions(path: str, text: str) -> Iterator[str]:
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _too_long(node.name, node.lineno, node.end_lineno or node.lineno)
    else:
        for kind, head, first, last in scopes(code_of(text)):
            if kind == "function":
                yield from _too_long(head.split("(")[0].split()[-1], first, last)


def _too_long(name: str, first: int, last: int) -> Iterator[str]:
    if last - first + 1 > FUNCTION_LINES_MAX:
        yield f"{first}: {name}: {last - first + 1} lines, at most {FUNCTION_LINES_MAX}"


def no_opening(path: str, text: str) -> Iterator[str]:
    # A source whose header says it need not repeat it.
    own = re.match(r'#include "gm/(\w+)/', text)
    if not re.match(r'//|#!|# |r?"""|/\*', text) and not (own and own[1] == room_of(path)):
        yield "1: a file opens with what it promises"


def unfinished(path: str, text: str) -> Iterator[str]:
    yield from lines_with(UNFINISHED, text)


def upward_includes(path: str, text: str) -> Iterator[str]:
    room = room_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*"gm/(\w+)/', line)
        if match is None or "tidy: allow" in line or match[1] == room:
            continue
        if match[1] not in HEIGHT or HEIGHT[match[1]] >= HEIGHT.get(room, -1):
            yield f"{number}: {room} must not include {match[1]}"


def mutable_state(path: str, text: str) -> Iterator[str]:
    code = code_of(text)
    for number, line in enumerate(code.splitlines(), 1):
        if re.search(r"\bthread_local\b", line):
            yield f"{number}: {line.strip()}"
        for match in re.finditer(r"\bstatic\s+([^;={(]*)([;={(])", line):
            if match[2] != "(" and not _is_constant(match[1]):
                yield f"{number}: {match[0]}"
    skip = r"(using|typedef|template|friend|class|struct|enum|union|static_assert|extern|concept)\b"
    for kind, head, first, _ in scopes(code):
        declaration = re.split(
            r"=(?!=)|\{", re.sub(r"\[\[.*?\]\]|__extension__", "", head).strip()
        )[0]
        if kind != "statement" or re.match(skip, declaration) or "static " in declaration:
            continue
        if re.fullmatch(r"[\w:<>,\s*&\[\]]+\s+[*&]*\w+(\[\w*\])*\s*", declaration) and not (
            _is_constant(declaration)
        ):
            yield f"{first}: {declaration.strip()}"


def _is_constant(declaration: str) -> bool:
    if re.search(r"\bconst(expr|eval)\b", declaration):
        return True
    return bool(re.search(r"\bconst\b", declaration)) and (
        "*" not in declaration or bool(re.search(r"\*\s*const\b", declaration))
    )


def libm_calls(path: str, text: str) -> Iterator[str]:
    yield from lines_with(TRANSCENDENTAL, code_of(text))


def clock_reads(path: str, text: str) -> Iterator[str]:
    if room_of(path) not in CLOCK_ROOMS and not re.search(r"/base/clock\.[hc]pp$", path):
        kept = "\n".join(line for line in text.splitlines() if line.startswith("#include"))
        yield from lines_with(CLOCK, code_of(text))
        yield from lines_with(re.compile("<chrono>|<ctime>|<time.h>"), kept)


def stalls(path: str, text: str) -> Iterator[str]:
    if room_of(path) in HOT_ROOMS:
        yield from lines_with(STALLS, code_of(text))
        yield from lines_with(re.compile(r"#include <(iostream|mutex|functional|thread)>"), text)


def unsafe_loading(path: str, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in {"pickle", "marshal", "shelve", "dill", "cloudpickle"}:
                yield f"{node.lineno}: import {name}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            unsafe = {"eval", "exec", "torch.load", "yaml.load", "yaml.unsafe_load"}
            if called in unsafe and "tidy: allow" not in text.splitlines()[node.lineno - 1]:
                yield f"{node.lineno}: {called}"


CORE = tree(".hpp", ".cpp", under=("core/include/", "core/src/"))
CORE_TESTS = tree(".hpp", ".cpp", under=("core/tests/",))
NATIVE = tree(".hpp", ".cpp", under=("core/", "bench/", "bindings/"))
PYTHON = tree(".py")
SOURCES = sorted({*NATIVE, *PYTHON, *tree(".pyx", ".pxd", ".pxi", ".pyi")})
PACKAGE = tree(".py", under=("gm/",))

RULES: dict[Rule, list[str]] = {
    oversize: SOURCES,
    long_functions: NATIVE + PYTHON,
    no_opening: [path for path in SOURCES if not path.endswith((".pyi", ".pxi"))],
    unfinished: SOURCES,
    upward_includes: [path for path in CORE + CORE_TESTS if room_of(path)],
    mutable_state: CORE,
    libm_calls: CORE,
    clock_reads: CORE,
    stalls: [path for path in CORE if path.endswith(".hpp")],
    unsafe_loading: PACKAGE,
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    complaints = [
        f"{path}:{complaint}"
        for path in RULES[rule]
        for complaint in rule(path, (ROOT / path).read_text())
    ]
    assert not complaints, "\n".join(complaints)


def test_top_level_folders_are_those_of_the_architecture() -> None:
    assert {path.split("/")[0] for path in tree() if "/" in path} <= FOLDERS


def test_every_room_of_the_core_has_a_floor() -> None:
    assert {room_of(path) for path in CORE} <= HEIGHT.keys()


HOT = "core/include/gm/engine/x.hpp"
PLANTED: list[tuple[Rule, str, str]] = [
    (oversize, HOT, "// x\n" * 501),
    (oversize, HOT, "// " + "x" * 98),
    (long_functions, HOT, "void f(int a) {\n" + "    g();\n" * 70 + "}\n"),
    (long_functions, HOT, "namespace gm {\nclass A {\n void f() {\n" + "g();\n" * 70 + "}\n};\n}"),
    (long_functions, "gm/x.py", "def f():\n" + "    g()\n" * 70),
    (no_opening, HOT, "#pragma once\n"),
    (unfinished, HOT, "// TODO: later\n"),  # tidy: allow a planted one
    (upward_includes, "core/include/gm/market/x.hpp", '#include "gm/engine/engine.hpp"\n'),
    (upward_includes, "core/src/risk/x.cpp", '#include "gm/policy/network.hpp"\n'),
    (upward_includes, "core/tests/base/x_test.cpp", '#include "gm/wire/record.hpp"\n'),
    (mutable_state, HOT, "namespace gm {\nint counter = 0;\n}\n"),
    (mutable_state, HOT, "namespace gm {\nstd::array<int, 3> table{};\n}\n"),
    (mutable_state, HOT, "namespace gm {\nconst char* name = nullptr;\n}\n"),
    (mutable_state, HOT, "void f() {\n    static int calls = 0;\n}\n"),
    (mutable_state, HOT, "void f() {\n    static bool once;\n}\n"),
    (mutable_state, HOT, "thread_local int depth = 0;\n"),
    (libm_calls, HOT, "double f(double x) { return std::exp(x); }\n"),
    (libm_calls, HOT, "double f(double x) { return ::tanhf (x); }\n"),
    (clock_reads, HOT, "auto f() { return std::chrono::steady_clock::now(); }\n"),
    (clock_reads, HOT, "auto f() { return monotonic_ns(); }\n"),
    (clock_reads, HOT, "#include <chrono>\n"),
    (stalls, HOT, "void f() { throw 1; }\n"),
    (stalls, HOT, "std::function<void()> call;\n"),
    (stalls, HOT, "#include <mutex>\n"),
    (stalls, HOT, "class A { virtual void f(); };\n"),
    (unsafe_loading, "gm/x.py", "import pickle\n"),
    (unsafe_loading, "gm/x.py", "x = eval('1')\n"),
    (unsafe_loading, "gm/x.py", "import yaml\nyaml.load(text)\n"),
    (unsafe_loading, "gm/x.py", "import torch\ntorch.load(path)\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_violation_is_caught(rule: Rule, path: str, text: str) -> None:
    assert list(rule(path, text))


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _, _ in PLANTED} == RULES.keys()


INNOCENT = """\
// A header like many.
#pragma once
#include "gm/wire/record.hpp"
#define GM_MACRO(x) \\
    static int x = 0;
namespace gm {
using Row = std::array<int, 3>;
inline constexpr int kLimit = 3;
const char* const kName = "throw // std::exp(";
[[nodiscard]] const char* describe(int status) noexcept;
[[nodiscard]] inline Row first() { return {1, 2, 3}; }
template <typename Slot>
class Ring {
 public:
    static constexpr int kSize = 4;
    static Ring make(int size);
    [[nodiscard]] bool operator==(const Ring&) const = default;

 private:
    int value_ = 0;  // a mutex would be wrong here
};
int twice(int x) {
    static const int kTwo = 2;
    return x * kTwo;
}
}  // namespace gm
"""


@pytest.mark.parametrize("rule", [r for r in RULES if r is not unsafe_loading])
def test_an_innocent_header_passes(rule: Rule) -> None:
    assert not list(rule(HOT, INNOCENT))


@pytest.mark.parametrize("rule", [mutable_state, libm_calls, clock_reads, stalls])
def test_a_reason_on_the_line_silences_a_rule(rule: Rule) -> None:
    text = next(text for planted, _, text in PLANTED if planted is rule)
    silenced = "\n".join(f"{line}  // tidy: allow (a reason)" for line in text.splitlines())
    assert not list(rule(HOT, silenced))
