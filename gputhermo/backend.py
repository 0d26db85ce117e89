"""Where arrays live and block programs run: the CPU, or a CUDA device.

The only module that knows whether arrays are NumPy or CuPy, and the only importer of the kernels. Every block program
has two entry points, `NAME_on_cpu(item, *arguments)` and `NAME_on_cuda(order, *arguments)`; `Backend.run` hides which
of them runs. No result depends on the backend's number of threads.
"""

import math
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from numba import cuda

from .errors import InputError
from .kernels import launch
from .kernels import place as placement
from .kernels import raster as raster_layout
from .kernels import replica as layout
from .kernels.targets import SIMULATED

__all__ = ["Backend", "CpuBackend", "CudaBackend", "layout", "placement", "raster_layout", "select"]

THREADS = {"contact": 64, "verlet": 128, "place": 128, "raster": 128}
"""Threads of a block on a CUDA device. With the registers that the contact engine takes, four such blocks fit on a
multiprocessor, and all slots run at once; the first warp of a block steps, both open windows."""
SIMULATED_THREADS = 2
"""Threads of a block in numba's simulator, which are Python's."""
CACHE_LINE = 64
"""Bytes of a line of the cache, and of the widest vector."""


class Backend(ABC):
    """A device: its name, its array module and the way to run a block program on it."""

    name: str
    xp: Any
    launch_turns: int
    """Turns of a lane that a replica gets in one launch: a tenth of a second or so, and Ctrl-C waits no longer."""
    n_slots: int
    """Replicas that it is worth having in flight at once."""
    slot_memory: int
    """Bytes that they may take."""
    memory: int
    """Bytes that there are."""

    @abstractmethod
    def run(self, entry: str, order: Sequence[int] | np.ndarray, *arguments: Any) -> None:
        """Run the block program `entry` once for each item of `order`; returns when all are done."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An uninitialised array on this device; on hardware it begins with a line of the cache, as vectors like it."""

    @abstractmethod
    def adopt(self, array: Any) -> Any:
        """The array on this device, wherever it was; itself if it was here."""

    @abstractmethod
    def own_stream(self) -> AbstractContextManager[None]:
        """Within the block, the work of this thread waits for no other's on the device; at its end it is done."""

    @staticmethod
    def to_host(array: Any) -> np.ndarray:
        """The array as NumPy, wherever it was; itself if it is NumPy's."""
        return as_numpy(array)

    def to_pinned_host(self, array: Any) -> np.ndarray:
        """As `to_host`, to memory that a GPU reaches at full speed; it is kept for the next array of that size."""
        return as_numpy(array)


class CpuBackend(Backend):
    """The CPU: one thread of a pool runs a block, as compiled by numba, with the lock of the interpreter released."""

    def __init__(self, n_threads: int | None = None):
        check_threads(n_threads)
        self.name = "cpu"
        self.xp = np
        self.n_threads = n_threads or available_cores()
        # Of some 16 ns each (measured).
        self.launch_turns = 6_000_000
        self.n_slots = 2 * self.n_threads
        self.slot_memory = 2**29
        self.memory = host_memory()
        self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="gputhermo")

    def run(self, entry: str, order: Sequence[int] | np.ndarray, *arguments: Any) -> None:
        """See `Backend.run`."""
        program = getattr(launch, f"{entry}_on_cpu")
        if self.n_threads == 1 or len(order) == 1:
            for item in order:
                program(int(item), *arguments)
        else:
            for future in [self._pool.submit(program, int(item), *arguments) for item in order]:
                future.result()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """See `Backend.empty`. NumPy's own begin anywhere, and a vector across two lines takes two loads."""
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        memory = np.empty(n_bytes + CACHE_LINE, dtype=np.uint8)
        start = -memory.ctypes.data % CACHE_LINE
        return memory[start : start + n_bytes].view(dtype).reshape(shape)

    def adopt(self, array: Any) -> np.ndarray:
        """See `Backend.adopt`."""
        return as_numpy(array)

    def own_stream(self) -> AbstractContextManager[None]:
        """See `Backend.own_stream`; threads of a CPU wait for none."""
        return nullcontext()


class CudaBackend(Backend):
    """A CUDA device: one thread block an item. In numba's simulator, NumPy arrays and a few Python threads a block."""

    def __init__(self, device: int = 0, simulated_threads: int = SIMULATED_THREADS):
        self.name = f"cuda:{device}"
        # Taken for a microsecond each, by the count of their instructions; not measured.
        self.launch_turns = 100_000
        self._own_stream: Any = None
        if SIMULATED:
            self.xp = np
            self.n_slots = 2
            self.slot_memory = 2**29
            self.memory = host_memory()
            self.threads = dict.fromkeys(THREADS, simulated_threads)
            return
        if not cuda.is_available():
            raise InputError(f"device = {self.name!r} is not allowed: no CUDA device is here; allowed: cpu, auto")
        if device >= len(cuda.gpus):
            raise InputError(f"device = {self.name!r} is not allowed: devices here are 0 to {len(cuda.gpus) - 1}")
        try:
            import cupy
        except ImportError:
            raise InputError(
                f"device = {self.name!r} needs CuPy: install gputhermo[cuda13] (or gputhermo[cuda12] for CUDA 12)"
            ) from None
        # numba warns of every launch of few blocks; here a block is a replica, and there may be one.
        warnings.filterwarnings("ignore", message="Grid size")
        cuda.select_device(device)
        cupy.cuda.Device(device).use()
        self.xp = cupy
        self.threads = THREADS
        self.n_slots = 4 * cuda.get_current_device().MULTIPROCESSOR_COUNT
        free, self.memory = cupy.cuda.Device(device).mem_info
        self.slot_memory = free // 2

    def run(self, entry: str, order: Sequence[int] | np.ndarray, *arguments: Any) -> None:
        """See `Backend.run`."""
        program = getattr(launch, f"{entry}_on_cuda")
        items = self.xp.asarray(order, dtype=np.int32)
        shape = len(order), self.threads[entry]
        if SIMULATED:
            program[shape](items, *arguments)
            return
        # That of CuPy, so that launches and what CuPy does to the same arrays come one after the other.
        stream = cuda.external_stream(self.xp.cuda.get_current_stream().ptr)
        program[*shape, stream](*(as_argument(each) for each in (items, *arguments)))
        stream.synchronize()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """See `Backend.empty`; CuPy aligns all that it gives."""
        return self.xp.empty(shape, dtype=dtype)

    def adopt(self, array: Any) -> Any:
        """See `Backend.adopt`."""
        return self.xp.asarray(array)

    def to_pinned_host(self, array: Any) -> np.ndarray:
        """See `Backend.to_pinned_host`."""
        if SIMULATED:
            return as_numpy(array)
        import cupyx

        host: np.ndarray = cupyx.empty_pinned(array.shape, array.dtype)
        array.get(out=host)
        return host

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        """See `Backend.own_stream`."""
        if SIMULATED:
            yield
            return
        if self._own_stream is None:
            # One for all times: CuPy keeps freed memory for the stream that it was used on.
            self._own_stream = self.xp.cuda.Stream(non_blocking=True)
        with self._own_stream:
            yield
            self._own_stream.synchronize()


def as_argument(argument: Any) -> Any:
    """A kernel argument; numba recognises CuPy arrays by themselves but not inside a named tuple."""
    if isinstance(argument, tuple):
        return type(argument)(*(as_argument(field) for field in argument))
    # Kernels run on CuPy's stream, after what was done to the array there: nothing is to be waited for.
    return cuda.as_cuda_array(argument, sync=False) if cuda.is_cuda_array(argument) else argument


def as_numpy(array: Any) -> np.ndarray:
    """A NumPy or CuPy array, or a sequence, as NumPy."""
    return array.get() if hasattr(array, "__cuda_array_interface__") else np.asarray(array)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_threads(n_threads: int | None) -> None:
    """Raise InputError unless that many threads can do something; None stands for a number that fits the machine."""
    if n_threads is not None and n_threads < 1:
        raise InputError(f"threads = {n_threads} is not allowed: at least 1 is needed")


def select(device: str = "auto", n_threads: int | None = None) -> Backend:
    """The backend for "auto" (a CUDA device if one is usable), "cpu", "cuda" or "cuda:N".

    Raises InputError for any other word, or if CUDA is asked for and is not there.
    """
    check_threads(n_threads)
    if device == "cpu":
        return CpuBackend(n_threads)
    if device == "auto":
        try:
            return CudaBackend()
        except InputError:
            return CpuBackend(n_threads)
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise InputError(f"device = {device!r} is not allowed; allowed: auto, cpu, cuda, cuda:N")
    return CudaBackend(int(number or 0))
