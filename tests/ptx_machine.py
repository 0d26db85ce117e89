"""A machine that runs PTX: the code that numba makes for a GPU, translated to LLVM and run on the CPU.

The threads of a block take turns: each runs until it comes to a barrier, in an order that is drawn anew every time.
Found is what a GPU keeps to itself: the faults of `watched_memory`, and a barrier that only some threads of a block, or
some lanes of a warp, come to.

Registers of a thread are in memory, so that a thread that waits is a row of an array and the number of its barrier.
"""

import ctypes
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from ptx_translation import DONE, LOST, UNKNOWN, Translation
from watched_memory import BLOCK, BLOCK_EPOCH, N_WARPS, THREAD, WARP, WARP_EPOCH, Fault, Memory, note_access


class Machine:
    """An entry point, compiled, and its memory."""

    def __init__(self, ptx: str, capacity: int, granule: int):
        """Arrays and shared memory have `capacity` bytes in all; accesses are followed in cells of `granule` bytes."""
        signature, body = re.search(r"\.entry \w+\((.*?)\)\s*\{(.*?)\n\}", ptx, re.DOTALL).groups()
        self.memory = Memory(capacity, granule)
        symbols = {
            name: self.memory.add(name, np.zeros(int(size), dtype=np.uint8))
            for name, size in re.findall(r"\.shared .*? (\w+)\[(\d+)\];", ptx)
        }
        self.memory.share()
        for name, numbers in re.findall(r"\.global \.align \d+ \.b8 (\w+)\[\d+\] = \{(.*?)\};", ptx, re.DOTALL):
            symbols[name] = self.memory.add(name, np.array(numbers.split(","), dtype=np.uint8))
        # A call, of what no argument here is large enough for, is an instruction of many lines.
        body = re.sub(r"\{ // callseq.*?\} // callseq \d+", "call;", body, flags=re.DOTALL)
        self._body = body.split("\n")
        # All that these kernels are given has 8 bytes.
        parameters = {name: 8 * k for k, name in enumerate(re.findall(r"\.param \.[uf]64 (\w+)", signature))}
        self._n_parameters = len(parameters)
        translation = Translation(self._body, parameters, symbols)
        self._barriers = ["", *translation.barriers]
        self._n_registers = len(translation.slots)
        self._code, self._run = compile_llvm(translation.llvm)

    def launch(self, order: Sequence[int], n_threads: int, arguments: Sequence[Any], seed: int) -> list[Fault]:
        """Run one block of `n_threads` after the other, on `order` and the arguments as numba would get them.

        What is written is in the arrays afterwards. Returns the first fault at each instruction. Raises RuntimeError if
        a thread leaves memory or comes to what is not translated, or if threads wait for each other without end.
        """
        rng = np.random.default_rng(seed)
        given = list(leaves("order", np.asarray(order, dtype=np.int32)))
        for k, argument in enumerate(arguments, 1):
            given += leaves(f"argument {k}", argument)
        words: list[int] = []
        for name, value in given:
            if isinstance(value, np.ndarray):
                words += [0, 0, value.size, value.itemsize, self.memory.add(name, value), *value.shape, *value.strides]
            else:
                words.append(as_word(value))
        assert len(words) == self._n_parameters
        assert n_threads <= N_WARPS * WARP
        for block in range(len(order)):
            self._run_block(block, n_threads, np.array(words), rng)
        faults = self.memory.take_faults(self._body)
        for name, value in reversed(given):
            if isinstance(value, np.ndarray):
                content = self.memory.remove(name)
                if value.flags.writeable:
                    value[...] = content.view(value.dtype).reshape(value.shape)
        return faults

    def _run_block(self, block: int, n_threads: int, parameters: np.ndarray, rng: np.random.Generator) -> None:
        state = self.memory.state
        registers = np.zeros((n_threads, self._n_registers), dtype=np.int64)
        stops = np.zeros(n_threads, dtype=np.int64)
        warp_epochs = [0] * -(-n_threads // WARP)
        state[BLOCK] = block + 1
        state[BLOCK_EPOCH] += 1
        self.memory.scramble(rng)
        ready = np.arange(n_threads)
        while len(ready):
            for thread in rng.permutation(ready):
                state[THREAD], state[WARP_EPOCH] = thread, warp_epochs[thread // WARP]
                addresses = (each.ctypes.data for each in (registers[thread], parameters, state, self.memory.cells))
                stops[thread] = self._run(*addresses, thread, n_threads, block, stops[thread])
                if stops[thread] in (LOST, UNKNOWN):
                    what = "leaves memory" if stops[thread] == LOST else "comes to what is not translated"
                    raise RuntimeError(f"thread {thread} {what}: {self.memory.take_faults(self._body)}")
            ready = self._released(stops, warp_epochs)
        if (stops != DONE).any():
            raise RuntimeError(f"threads wait for each other, at barriers {stops.tolist()}")

    def _released(self, stops: np.ndarray, warp_epochs: list[int]) -> np.ndarray:
        """The threads that may go on: those of a block, or of a warp, that have all come to the same barrier."""
        threads = np.arange(len(stops))
        if self._wait_together(stops, "block"):
            self.memory.state[BLOCK_EPOCH] += 1
            return threads
        released = np.zeros(len(stops), dtype=bool)
        for warp in range(len(warp_epochs)):
            lanes = slice(WARP * warp, WARP * (warp + 1))
            if self._wait_together(stops[lanes], "warp"):
                warp_epochs[warp] += 1
                released[lanes] = True
        return threads[released]

    def _wait_together(self, stops: np.ndarray, kind: str) -> bool:
        """Whether all these threads wait at one barrier of that kind."""
        return bool((stops == stops[0]).all()) and self._barriers[stops[0]] == kind


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The arrays and numbers of an argument, by name."""
    if isinstance(value, tuple):
        for field, part in zip(value._fields, value, strict=True):
            yield from leaves(f"{type(value).__name__.lower()}.{field}", part)
    else:
        yield name, value


def as_word(number: float) -> int:
    """The 8 bytes of a number, as an integer."""
    return int(struct.unpack("<q", struct.pack("<d" if isinstance(number, float) else "<q", number))[0])


def compile_llvm(text: str) -> tuple[Any, Any]:
    """The machine code of the function `run`, and what calls it; the first must live as long as the second."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.add_symbol("note_access", note_access.address)
    target = llvm.Target.from_default_triple().create_target_machine(
        opt=1, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
    )
    module = llvm.parse_assembly(text)
    module.verify()
    code = llvm.create_mcjit_compiler(module, target)
    code.finalize_object()
    pointers, numbers = [ctypes.c_void_p] * 4, [ctypes.c_int32] * 3
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *pointers, *numbers, ctypes.c_int64)
    return code, function(code.get_function_address("run"))
