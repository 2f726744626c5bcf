"""From a decorated function to an object file: Numba types it, LLVM writes it, nothing runs it.

The entry of a kernel is ``int32 gm_kernel_NAME(const double* const* windows, double* value)``; not
0 means that the function raised an exception. Windows are read-only arrays of the declared length,
indices are checked, a division by zero gives what IEEE 754 says. There is no memory to allocate and
no interpreter: whatever needs one leaves an undefined symbol, which the build refuses.
"""

import hashlib
import json
import platform
import re
from importlib.metadata import version
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import compiler, errors, registry, types
from numba.core.compiler_lock import global_compiler_lock
from numba.np.arrayobj import populate_array

from gm.errors import KernelRefused
from gm.kernels.declare import Function, Kernel
from gm.kernels.library import ABI

# The build machine's own instructions would be faster and would crash on an older one.
_CPU = {"x86_64": "x86-64-v2"}.get(platform.machine(), "generic")
_COUNTED = re.compile(r"_ZN[\w.$]*|\.const\.[\w.$]*")
_WINDOW = types.Array(types.float64, 1, "C", readonly=True)
# What Numba's array code refers to. Nothing is ever freed: windows and their slices own no memory.
# `max` and its like look at a single value as an array of one: the shapes that a kernel can have
# are a value or values side by side, and those keep their place.
_RUNTIME = """
define void @NRT_MemInfo_call_dtor(ptr %unused) { ret void }

define i32 @numba_attempt_nocopy_reshape(i64 %nd, ptr %dims, ptr %strides, i64 %new_nd,
                                         ptr %new_dims, ptr %new_strides, i64 %size, i32 %fortran) {
entry:
  %is_value = icmp eq i64 %nd, 0
  br i1 %is_value, label %check_new, label %check_line
check_line:
  %is_line = icmp eq i64 %nd, 1
  br i1 %is_line, label %check_stride, label %refuse
check_stride:
  %stride = load i64, ptr %strides
  %is_dense = icmp eq i64 %stride, %size
  br i1 %is_dense, label %check_new, label %refuse
check_new:
  %is_new_line = icmp eq i64 %new_nd, 1
  br i1 %is_new_line, label %accept, label %refuse
accept:
  store i64 %size, ptr %new_strides
  ret i32 1
refuse:
  ret i32 0
}
"""


def versions() -> dict[str, str]:
    """What the machine code of a kernel depends on beside its source."""
    found = {name: version(name) for name in ("numba", "llvmlite", "numpy")}
    return {"abi": str(ABI), "python": platform.python_version(), "cpu": _CPU, **found}


def compile_kernel(kernel: Kernel) -> tuple[bytes, str]:
    """Compile one kernel.

    Parameters
    ----------
    kernel : Kernel
        As the decorators make it.

    Returns
    -------
    tuple
        The object file, and the SHA-256 of code and declaration in hex: equal for equal functions,
        whatever else is in their file.

    Raises
    ------
    KernelRefused
        If Numba cannot compile it without the interpreter, or it returns no number. The text has
        file, line and reason.

    Source
    ------
    Ours; Numba's calling convention (numba/core/callconv.py).
    """
    with global_compiler_lock:
        target = registry.cpu_target.target_context.with_aot_codegen("gm", cpu_name=_CPU)
        compiled = _compile(kernel, target)
        library = target.codegen().create_library(kernel.name)
        library.add_linking_library(compiled.library)
        library.add_ir_module(_entry(kernel, target, compiled))
        library.add_llvm_module(llvm.parse_assembly(_RUNTIME))
        library.finalize()
        digest = _digest(kernel, library.get_llvm_str())
        module = llvm.parse_assembly(library.get_llvm_str())
        _hide_all_but(module, f"gm_kernel_{kernel.name}")
        return _emit(module), digest


def hash_object(hashes: dict[str, str]) -> bytes:
    """Object file that holds each kernel's hash as ``gm_sha256_NAME``: the loader compares it."""
    module = ir.Module("hashes")
    module.triple = llvm.get_process_triple()
    for name, digest in hashes.items():
        value = ir.Constant(ir.ArrayType(ir.IntType(8), 32), bytearray(bytes.fromhex(digest)))
        variable = ir.GlobalVariable(module, value.type, f"gm_sha256_{name}")
        variable.global_constant = True
        variable.initializer = value
    return _emit(llvm.parse_assembly(str(module)))


def _compile(kernel: Kernel, target: Any) -> Any:  # noqa: ANN401
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    flags.enable_pyobject = False
    flags.nrt = True
    flags.boundscheck = True
    flags.error_model = "numpy"
    try:
        compiled = compiler.compile_extra(
            registry.cpu_target.typing_context,
            target,
            _at_home(kernel.function),
            (_WINDOW,) * len(kernel.inputs),
            None,
            flags,
            {},
        )
    except errors.NumbaError as error:
        raise KernelRefused(f"{_where(kernel, error)}: {_reason(error)}") from error
    returned = types.misc.unliteral(compiled.signature.return_type)
    is_number = isinstance(returned, types.Float)
    if kernel.kind == "rule":
        is_number = isinstance(returned, types.Float | types.Integer)
    if not is_number:
        wanted = "a float" if kernel.kind == "feature" else "-1, 0 or 1"
        raise KernelRefused(f"{_where(kernel, None)}: returns {returned}, must return {wanted}")
    return compiled


def _at_home(function: Function) -> Function:
    """The same function without its folder: what Numba keeps of the place goes into the code."""
    code = function.__code__
    code = code.replace(co_filename=code.co_filename.rpartition("/")[2])
    return FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


def _entry(kernel: Kernel, target: Any, compiled: Any) -> ir.Module:  # noqa: ANN401
    """The C function around Numba's: pointers become arrays, an exception becomes a 1."""
    module = target.create_module(f"{kernel.name}.entry")
    double = ir.DoubleType()
    pointer = double.as_pointer()
    kind = ir.FunctionType(ir.IntType(32), [pointer.as_pointer(), pointer])
    function = ir.Function(module, kind, f"gm_kernel_{kernel.name}")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    size = target.get_constant(types.intp, 8)
    length = target.get_constant(types.intp, kernel.warmup)
    windows = []
    for index in range(len(kernel.inputs)):
        at = builder.gep(function.args[0], [target.get_constant(types.intp, index)])
        window = target.make_array(_WINDOW)(target, builder)
        data = builder.bitcast(builder.load(at), window.data.type)
        populate_array(window, data, [length], [size], size, meminfo=None)
        windows.append(window._getvalue())
    inner = target.declare_function(module, compiled.fndesc)
    returned = compiled.signature.return_type
    status, value = target.call_conv.call_function(
        builder, inner, returned, (_WINDOW,) * len(windows), windows
    )
    number = target.cast(builder, value, returned, types.float64)
    zero = ir.Constant(double, 0.0)
    builder.store(builder.select(status.is_ok, number, zero), function.args[1])
    builder.ret(builder.zext(builder.not_(status.is_ok), ir.IntType(32)))
    return module


def _hide_all_but(module: llvm.ModuleRef, name: str) -> None:
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration and value.name != name:
            value.linkage = "internal"


def _emit(module: llvm.ModuleRef) -> bytes:
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(cpu=_CPU, opt=3, reloc="pic", codemodel="small")
    return bytes(machine.emit_object(module))


def _digest(kernel: Kernel, code: str) -> str:
    """What the function computes: not where it stands, nor what was compiled before it.

    Names of Numba carry counters, so they are numbered by their first appearance. What an exception
    would say holds file and line; nobody reads it.
    """
    names: dict[str, str] = {}
    lines = [
        _COUNTED.sub(lambda name: names.setdefault(name[0], f"#{len(names)}"), line)
        for line in code.splitlines()
        if "picklebuf" not in line and not line.startswith((";", "source_filename"))
    ]
    declared = [kernel.kind, kernel.inputs, kernel.warmup, kernel.minutes, kernel.low, kernel.high]
    text = json.dumps([ABI, kernel.name, declared, lines])
    return hashlib.sha256(text.encode()).hexdigest()


def _where(kernel: Kernel, error: errors.NumbaError | None) -> str:
    code = kernel.function.__code__
    found = re.findall(r'File "([^"]+)", line (\d+)', str(error)) if error else []
    name = code.co_filename.rsplit("/", 1)[-1]
    own = [line for file, line in found if file.rsplit("/", 1)[-1] == name]
    return f"{name}:{own[-1] if own else code.co_firstlineno}: {kernel.name}"


def _reason(error: errors.NumbaError) -> str:
    """The line of Numba's long answer that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if re.match(r"\w*(Error|Unsupported)\w*: .", line)]
    unknown = [line for line in lines if line.startswith(("Unknown attribute", "Use of unsupp"))]
    chosen = named[-1:] or unknown[:1] or [line for line in lines if line][1:2] or lines[:1]
    return f"cannot be compiled without the interpreter: {chosen[0]}"
