"""The stubs of gm._native, written by hand, name what the compiled modules have, and no more."""

import ast
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
STUBS = sorted(path.stem for path in (ROOT / "gm/_native").glob("*.pyi"))
MODULES = sorted(path.stem for path in (ROOT / "bindings").glob("*.pyx"))


def stub_names(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    names: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if ast.unparse(node.annotation) != "TypeAlias":
                names[node.target.id] = node
    return {name: node for name, node in names.items() if not name.startswith("_")}


def module_names(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
    }


def parameters_of(node: ast.FunctionDef) -> list[str]:
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def check_function(where: str, node: ast.stmt, value: object) -> None:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return  # compiled without a signature
    if isinstance(node, ast.FunctionDef) and "property" not in [
        ast.unparse(decorator) for decorator in node.decorator_list
    ]:
        compiled = [name for name in signature.parameters if name not in ("self", "cls")]
        assert parameters_of(node) == compiled, where


def test_every_module_has_a_stub() -> None:
    assert STUBS == MODULES


@pytest.mark.parametrize("name", STUBS)
def test_stub_and_module_have_the_same_names_and_parameters(name: str) -> None:
    module = importlib.import_module(f"gm._native.{name}")
    stub = stub_names(ast.parse((ROOT / f"gm/_native/{name}.pyi").read_text()).body)
    private_types = {
        n for n in stub if isinstance(stub[n], ast.ClassDef) and not hasattr(module, n)
    }
    assert all("TypedDict" in ast.unparse(stub[n]) for n in private_types)
    imported = {"BY_STATUS", *(n for n in vars(module) if n.isupper() and n not in stub)}
    assert module_names(module) - imported <= stub.keys()
    assert stub.keys() - private_types <= set(dir(module))
    for public, node in stub.items():
        if isinstance(node, ast.ClassDef) and public not in private_types:
            compiled = getattr(module, public)
            for method, definition in stub_names(node.body).items():
                assert hasattr(compiled, method), f"{public}.{method}"
                check_function(f"{public}.{method}", definition, getattr(compiled, method))
        elif isinstance(node, ast.FunctionDef):
            check_function(public, node, getattr(module, public))
