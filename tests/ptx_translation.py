"""PTX, as numba makes it for a GPU, translated to LLVM for the CPU.

What no kernel of this package does is not translated; a thread that comes there returns UNKNOWN.
"""

import re
import struct
from collections.abc import Sequence

from watched_memory import ATOMIC, NOTHING, READ, SAME, WRITE

DONE, LOST, UNKNOWN = 0, -1, -2
"""What a thread returns, if not the number of a barrier: it has ended, has left memory, does what is not translated."""
REGISTER = {"p": "i1", "rs": "i16", "r": "i32", "rd": "i64", "f": "float", "fd": "double", "temp": "i32"}
"""LLVM's type of a register, by the letters of its name."""
ARGUMENTS = {"%tid.x": "%thread", "%ntid.x": "%n_threads", "%ctaid.x": "%block"}
INTEGER = {"add": "add", "sub": "sub", "mul.lo": "mul", "and": "and", "or": "or", "xor": "xor"}
SIGNED = {"div": "sdiv", "rem": "srem", "min": "llvm.smin", "max": "llvm.smax"}
UNSIGNED = {"div": "udiv", "rem": "urem", "min": "llvm.umin", "max": "llvm.umax"}
FLOATING = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "min": "llvm.minnum", "max": "llvm.maxnum"}
ROUNDED = {"rmi": "llvm.floor", "rpi": "llvm.ceil", "rni": "llvm.rint", "rzi": "llvm.trunc"}
HEADER = (
    "declare i64 @note_access(ptr, ptr, i64, i64, i64, i64)\n"
    "define i64 @run(ptr noalias %registers, ptr noalias %parameters, ptr %state, ptr %cells, "
    "i32 %thread, i32 %n_threads, i32 %block, i64 %barrier) {"
)


def type_of(name: str) -> str:
    """LLVM's type for one of PTX."""
    return {"pred": "i1", "f32": "float", "f64": "double"}.get(name) or f"i{name[1:]}"


def bits_of(kind: str) -> int:
    """Bits of a type of LLVM."""
    return {"float": 32, "double": 64}.get(kind) or int(kind[1:])


class Translation:
    """The body of an entry point, line by line, as the text of a function of LLVM.

    Registers are 8 bytes each in memory. The function goes on after the barrier of that number, 0 for the start, and
    returns the number of the next one, or how it ended.
    """

    def __init__(self, body: Sequence[str], parameters: dict[str, int], symbols: dict[str, int]):
        """`parameters` are offsets, `symbols` addresses, by name."""
        self.parameters = parameters
        self.symbols = symbols
        self.slots: dict[str, int] = {}
        self.barriers: list[str] = []
        self._text: list[str] = []
        self._n_values = 0
        self._line = 0
        for line in body:
            self._translate(line.split("//")[0].strip())
            self._line += 1
        places = " ".join(f"i64 {k}, label %barrier_{k}" for k in range(1, len(self.barriers) + 1))
        start = f"switch i64 %barrier, label %start [ {places} ]"
        self.llvm = "\n".join([HEADER, start, "start:", *self._text, "unreachable", "}"])

    def _emit(self, text: str) -> str:
        """A new value."""
        self._n_values += 1
        self._text.append(f"%v{self._n_values} = {text}")
        return f"%v{self._n_values}"

    def _begin_block(self, name: str) -> None:
        self._text += [f"br label %{name}", f"{name}:"]

    def _end_block(self, instruction: str) -> None:
        self._n_values += 1
        self._text += [instruction, f"after_{self._n_values}:"]

    def _stop(self, reason: int) -> None:
        self._end_block(f"ret i64 {reason}")

    def _translate(self, line: str) -> None:
        """One line: a label, an instruction with its predicate, or what needs no translation."""
        if label := re.fullmatch(r"\$(\w+):", line):
            self._begin_block(label[1])
        elif parts := re.fullmatch(r"(?:@(!?)(%p\d+) )?([a-z][\w.]*)\s*(.*?);", line):
            negated, predicate, name, operands = parts.groups()
            after = f"skip_{self._line}"
            if predicate:
                holds = self._read(predicate, "i1")
                targets = f"label %do_{self._line}, label %{after}"
                if negated:
                    targets = f"label %{after}, label %do_{self._line}"
                self._text += [f"br i1 {holds}, {targets}", f"do_{self._line}:"]
            self._instruction(name, re.findall(r"\{.*?\}|\[.*?\]|[^,\s]+", operands))
            if predicate:
                self._begin_block(after)
        elif line not in ("", "{", "}") and line[0] != ".":
            self._stop(UNKNOWN)

    # Operands

    def _slot(self, register: str) -> str:
        offset = 8 * self.slots.setdefault(register, len(self.slots))
        return self._emit(f"getelementptr i8, ptr %registers, i64 {offset}")

    def _read(self, operand: str, kind: str) -> str:
        """The value of a register, a number or an address, in the lowest bits if it has more of them than `kind`."""
        if operand in ARGUMENTS:
            return ARGUMENTS[operand]
        if operand.startswith("%"):
            return self._emit(f"load {kind}, ptr {self._slot(operand)}")
        if operand in self.symbols:
            return str(self.symbols[operand])
        if operand.startswith("0d"):
            return f"0x{operand[2:]}"
        if operand.startswith("0f"):
            (number,) = struct.unpack(">f", bytes.fromhex(operand[2:]))
            return f"0x{struct.pack('>d', number).hex()}"
        return str(int(int(operand) != 0)) if kind == "i1" else operand

    def _write(self, register: str, value: str, kind: str, signed: bool = False) -> None:
        """Set a register, extended if it has more bits than `kind`."""
        whole = REGISTER[register.strip("%0123456789")]
        if bits_of(whole) > bits_of(kind):
            value, kind = self._emit(f"{'sext' if signed else 'zext'} {kind} {value} to {whole}"), whole
        elif bits_of(whole) == bits_of(kind) != 1 and whole != kind:
            value, kind = self._emit(f"bitcast {kind} {value} to {whole}"), whole
        self._text.append(f"store {kind} {value}, ptr {self._slot(register)}")

    def _call(self, function: str, kind: str, *values: str) -> str:
        """A function of LLVM for values of one type."""
        arguments = ", ".join(f"{kind} {value}" for value in values)
        suffix = {"float": "f32", "double": "f64"}.get(kind, kind)
        extra = ", i1 false" if function == "llvm.ctlz" else ""
        return self._emit(f"call {kind} @{function}.{suffix}({arguments}{extra})")

    def _apply(self, operation: str, kind: str, *values: str) -> str:
        if operation.startswith("llvm."):
            return self._call(operation, kind, *values)
        return self._emit(f"{operation} {kind} {', '.join(values)}")

    # Memory

    def _address(self, operand: str) -> str:
        base, offset = re.fullmatch(r"\[([^+]*)\+?(-?\d*)\]", operand).groups()
        return self._emit(f"add i64 {self._read(base, 'i64')}, {offset or 0}")

    def _note(self, address: str, n_bytes: int, access: int | str) -> str:
        """Tell the machine who goes there; whether there is such memory."""
        numbers = ", ".join(f"i64 {number}" for number in (address, n_bytes, access, self._line))
        return self._emit(f"call i64 @note_access(ptr %state, ptr %cells, {numbers})")

    def _access(self, address: str, n_bytes: int, access: int) -> str:
        """A pointer to memory, once the machine has noted who goes there."""
        lost = self._emit(f"icmp eq i64 {self._note(address, n_bytes, access)}, 0")
        n = self._n_values
        self._text += [f"br i1 {lost}, label %lost_{n}, label %go_{n}", f"lost_{n}:", f"ret i64 {LOST}", f"go_{n}:"]
        return self._emit(f"inttoptr i64 {address} to ptr")

    def _load(self, parts: list[str], operands: list[str]) -> None:
        kind, signed = type_of(parts[-1]), parts[-1][0] == "s"
        if "param" in parts:
            offset = self.parameters[operands[1].strip("[]")]
            place = self._emit(f"getelementptr i8, ptr %parameters, i64 {offset}")
            self._write(operands[0], self._emit(f"load {kind}, ptr {place}"), kind, signed)
            return
        address = self._address(operands[1])
        # The reads of a loop around a compare-and-swap.
        access = ATOMIC if "volatile" in parts else READ
        for k, register in enumerate(re.findall(r"%\w+", operands[0])):
            there = self._emit(f"add i64 {address}, {k * bits_of(kind) // 8}")
            value = self._emit(f"load {kind}, ptr {self._access(there, bits_of(kind) // 8, access)}, align 1")
            self._write(register, value, kind, signed)

    def _store(self, parts: list[str], operands: list[str]) -> None:
        kind = type_of(parts[-1])
        whole = f"i{bits_of(kind)}"
        address, n_bytes = self._address(operands[0]), bits_of(kind) // 8
        place = self._access(address, n_bytes, NOTHING)
        value = self._emit(f"bitcast {kind} {self._read(operands[1], kind)} to {whole}")
        same = self._emit(f"icmp eq {whole} {value}, {self._emit(f'load {whole}, ptr {place}, align 1')}")
        self._note(address, n_bytes, self._emit(f"select i1 {same}, i64 {SAME}, i64 {WRITE}"))
        self._text.append(f"store {whole} {value}, ptr {place}, align 1")

    def _atomic(self, parts: list[str], operands: list[str]) -> None:
        """Read, then write: nobody else runs in between."""
        operation, kind = parts[-2], type_of(parts[-1])
        place = self._access(self._address(operands[1]), bits_of(kind) // 8, ATOMIC)
        before = self._emit(f"load {kind}, ptr {place}, align 1")
        value = self._read(operands[2], kind)
        if operation == "cas":
            same = self._emit(f"icmp eq {kind} {before}, {value}")
            value = self._emit(f"select i1 {same}, {kind} {self._read(operands[3], kind)}, {kind} {before}")
        elif operation != "exch":
            table = {**INTEGER, **(SIGNED if parts[-1][0] == "s" else UNSIGNED)}
            value = self._apply(table[operation], kind, before, value)
        self._text.append(f"store {kind} {value}, ptr {place}, align 1")
        self._write(operands[0], before, kind)

    # Instructions

    def _instruction(self, name: str, operands: list[str]) -> None:
        match name.split("."):
            case ["bra", *_]:
                self._end_block(f"br label %{operands[0].strip('$')}")
            case ["call"]:
                self._stop(UNKNOWN)
            case ["ret"]:
                self._stop(DONE)
            case ["bar", *warp, "sync"]:
                self.barriers.append("warp" if warp else "block")
                number = len(self.barriers)
                self._text += [f"ret i64 {number}", f"barrier_{number}:"]
            case ["ld", *parts]:
                self._load(parts, operands)
            case ["st", *parts]:
                self._store(parts, operands)
            case ["atom", *parts]:
                self._atomic(parts, operands)
            case ["mov", _] if "{" in operands[1]:
                low, high = (
                    self._emit(f"zext i32 {self._read(r, 'i32')} to i64") for r in operands[1][1:-1].split(", ")
                )
                high = self._emit(f"shl i64 {high}, 32")
                self._write(operands[0], self._emit(f"or i64 {low}, {high}"), "i64")
            case ["mov", _] if "{" in operands[0]:
                low, high = operands[0][1:-1].split(", ")
                whole = self._read(operands[1], "i64")
                self._write(low, self._emit(f"trunc i64 {whole} to i32"), "i32")
                self._write(high, self._emit(f"trunc i64 {self._emit(f'lshr i64 {whole}, 32')} to i32"), "i32")
            case ["mov", kind]:
                self._write(operands[0], self._read(operands[1], type_of(kind)), type_of(kind))
            case ["cvta", "to", "global", _]:
                self._write(operands[0], self._read(operands[1], "i64"), "i64")
            case ["setp", comparison, kind]:
                self._compare(comparison, kind, operands)
            case ["selp", kind]:
                kind = type_of(kind)
                yes, no = (self._read(operand, kind) for operand in operands[1:3])
                which = self._read(operands[3], "i1")
                self._write(operands[0], self._emit(f"select i1 {which}, {kind} {yes}, {kind} {no}"), kind)
            case [*parts] if "sat" in parts or "cc" in parts:
                self._stop(UNKNOWN)
            case ["cvt", *parts]:
                self._convert(parts, operands)
            case parts:
                self._compute(parts, operands)

    def _compare(self, comparison: str, kind: str, operands: list[str]) -> None:
        values = f"{type_of(kind)} {self._read(operands[1], type_of(kind))}, {self._read(operands[2], type_of(kind))}"
        if kind[0] == "f":
            unordered = len(comparison) == 3
            how = f"fcmp {'u' if unordered else 'o'}{comparison[:2]}"
        elif comparison in ("eq", "ne"):
            how = f"icmp {comparison}"
        else:
            how = f"icmp {'s' if kind[0] == 's' else 'u'}{comparison}"
        self._write(operands[0], self._emit(f"{how} {values}"), "i1")

    def _convert(self, parts: list[str], operands: list[str]) -> None:
        """Integers are cut or extended; a float that no integer holds becomes the nearest one, NaN the sign bit."""
        rounding, (to, of) = parts[0], parts[-2:]
        kind, target = type_of(of), type_of(to)
        value = self._read(operands[1], kind)
        if of[0] == "f" and rounding in ROUNDED:
            value = self._call(ROUNDED[rounding], kind, value)
        if of[0] == to[0] == "f":
            if kind != target:
                value = self._emit(
                    f"{'fptrunc' if bits_of(target) < bits_of(kind) else 'fpext'} {kind} {value} to {target}"
                )
        elif of[0] == "f":
            number = self._emit(f"fcmp ord {kind} {value}, 0.0")
            signed = "s" if to[0] == "s" else "u"
            near = self._emit(f"call {target} @llvm.fpto{signed}i.sat.{target}.{of}({kind} {value})")
            value = self._emit(f"select i1 {number}, {target} {near}, {target} {-(1 << bits_of(target) - 1)}")
        elif to[0] == "f":
            value = self._emit(f"{'sitofp' if of[0] == 's' else 'uitofp'} {kind} {value} to {target}")
        elif bits_of(target) < bits_of(kind):
            value = self._emit(f"trunc {kind} {value} to {target}")
        else:
            self._write(operands[0], value, kind, of[0] == "s")
            return
        self._write(operands[0], value, target, to[0] == "s")

    def _compute(self, parts: list[str], operands: list[str]) -> None:
        """Arithmetic of one type."""
        name, of = parts[0], parts[-1]
        kind = type_of(of)
        if name == "mul" and parts[1] in ("lo", "wide", "hi"):
            self._multiply(parts[1], of, operands)
            return
        values = [
            self._read(operand, kind if k == 0 or name not in ("shl", "shr") else "i32")
            for k, operand in enumerate(operands[1:])
        ]
        table = FLOATING if of[0] == "f" else {**INTEGER, **(SIGNED if of[0] == "s" else UNSIGNED)}
        match name:
            case "shl" | "shr":
                value = self._shift(name, of, *values)
            case "neg":
                value = (
                    self._emit(f"fneg {kind} {values[0]}") if of[0] == "f" else self._apply("sub", kind, "0", values[0])
                )
            case "not":
                value = self._apply("xor", kind, values[0], "-1")
            case "abs":
                value = self._call("llvm.fabs", kind, values[0])
            case "sqrt":
                value = self._call("llvm.sqrt", kind, values[0])
            case "rcp":
                value = self._apply("fdiv", kind, "1.0", values[0])
            case "fma":
                value = self._call("llvm.fma", kind, *values)
            case "clz":
                value = self._call("llvm.ctlz", kind, values[0])
                if kind == "i64":
                    value, kind = self._emit(f"trunc i64 {value} to i32"), "i32"
            case "bfi":
                value = self._insert(kind, values)
            case _ if name in table:
                value = self._apply(table[name], kind, *values)
            case _:
                self._stop(UNKNOWN)
                return
        self._write(operands[0], value, kind)

    def _multiply(self, which: str, of: str, operands: list[str]) -> None:
        """The low half of a product, the high half, or both."""
        kind = type_of(of)
        n, extend = bits_of(kind), "sext" if of[0] == "s" else "zext"
        if which == "lo":
            self._write(
                operands[0], self._apply("mul", kind, *(self._read(operand, kind) for operand in operands[1:])), kind
            )
            return
        wide = f"i{2 * n}"
        factors = [self._emit(f"{extend} {kind} {self._read(operand, kind)} to {wide}") for operand in operands[1:]]
        value = self._apply("mul", wide, *factors)
        if which == "hi":
            value, wide = self._emit(f"trunc {wide} {self._emit(f'lshr {wide} {value}, {n}')} to {kind}"), kind
        self._write(operands[0], value, wide)

    def _shift(self, name: str, of: str, value: str, distance: str) -> str:
        """Whoever is shifted too far is gone, but for its sign."""
        kind = type_of(of)
        n = bits_of(kind)
        near = self._call("llvm.umin", "i32", distance, str(n - 1))
        if n != 32:
            near = self._emit(f"{'zext' if n > 32 else 'trunc'} i32 {near} to {kind}")
        if of[0] == "s":
            return self._emit(f"ashr {kind} {value}, {near}")
        shifted = self._emit(f"{'shl' if name == 'shl' else 'lshr'} {kind} {value}, {near}")
        within = self._emit(f"icmp ult i32 {distance}, {n}")
        return self._emit(f"select i1 {within}, {kind} {shifted}, {kind} 0")

    def _insert(self, kind: str, values: Sequence[str]) -> str:
        """The lowest bits of the first value in place of some bits of the second; which ones are numbers."""
        source, base, place, length = values
        mask = (1 << int(length)) - 1 << int(place)
        moved = self._emit(f"and {kind} {self._emit(f'shl {kind} {source}, {place}')}, {mask}")
        return self._emit(f"or {kind} {moved}, {self._emit(f'and {kind} {base}, {~mask}')}")
