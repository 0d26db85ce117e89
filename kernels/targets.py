"""What differs between the targets: barriers, atomics, bits and vectors, one meaning on each.

=====================  ==========================  =========================  =====================
function               CUDA                        CPU (one thread a block)   CUDA simulator
=====================  ==========================  =========================  =====================
``barrier()``          ``__syncthreads``           nothing                    ``cuda.syncthreads``
``warp_barrier()``     ``__syncwarp``              nothing                    ``cuda.syncthreads``
``lanes_of(n)``        32, known when compiling    1                          the threads of the block
``fetch_add`` ...      atomic on device memory     read, then write           atomic under a lock
``lowest_set_bit``     ``__ffs``                   ``tzcnt``                  Python
``add_difference``     sixteen numbers, unrolled   LLVM vectors               Python
=====================  ==========================  =========================  =====================

A block has at least a warp on CUDA. The simulator has no warps: whoever launches there uses at most ``WARP`` threads a
block, so that the threads of the block and the lanes of its first warp are the same.

Block programs carry the decorator ``block_program``; on a real CUDA target it is ``numba.njit``, whose
dispatchers a kernel calls as they are. In the simulator it leaves the function alone. Kernels carry ``kernel``.
"""

from functools import partial
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llvmlite import ir
from numba import config, cuda, njit, types
from numba.extending import intrinsic, overload

SIMULATED = bool(config.ENABLE_CUDASIM)
WARP = 32
# Numbers that `add_difference` adds at once: one vector of AVX-512, or two of AVX2.
GROUP = 16

if SIMULATED:
    # The simulator lends a kernel's own module a stand-in for `cuda`; other modules have to ask it for theirs.
    from numba.cuda.simulator.kernel import _get_kernel_context as _cuda
else:

    def _cuda():
        return cuda


def barrier():
    """Wait until every thread of the block is here; their writes are then visible to each other."""
    _cuda().syncthreads()


def warp_barrier():
    """As ``barrier``, for the lanes of one warp."""
    _cuda().syncthreads()


def lanes_of(n_threads):
    """Lanes of a warp of a block; a compiler that knows the stride of a loop needs no division to count its turns."""
    return min(n_threads, WARP)


def fetch_add(array, index, value):
    """``array[index] += value`` in one indivisible step; returns what was there before."""
    return _cuda().atomic.add(array, index, value)


def fetch_min(array, index, value):
    """``array[index] = min(array[index], value)`` in one indivisible step; returns what was there before."""
    return _cuda().atomic.min(array, index, value)


def fetch_max(array, index, value):
    """``array[index] = max(array[index], value)`` in one indivisible step; returns what was there before."""
    return _cuda().atomic.max(array, index, value)


def fetch_or(array, index, value):
    """``array[index] |= value`` in one indivisible step; returns what was there before."""
    return _cuda().atomic.or_(array, index, value)


def exchange(array, index, value):
    """``array[index] = value`` in one indivisible step; returns what was there before."""
    return _cuda().atomic.exch(array, index, value)


def lowest_set_bit(word):
    """The number of zeros below the lowest set bit of a positive integer."""
    return (word & -word).bit_length() - 1


def add_difference(values, place, table, after, before):
    """``values[place + k] += table[after + k] - table[before + k]`` for k < GROUP; `values` is no part of `table`."""
    for k in range(GROUP):
        values[place + k] += table[after + k] - table[before + k]


if SIMULATED:

    def block_program(function):
        """In the simulator a block program is plain Python."""
        return function

    kernel = cuda.jit

else:

    def version_of(package):
        """The version of a package that is installed, or none."""
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    # numba keeps what it compiled beside the source and looks at the program's own file only to see whether that still
    # holds; a program is also made of those that it calls. So every file of the kernels counts, and so do the packages
    # that compile and load kernels.
    MADE_OF = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    MADE_BY = [f"{name} {version_of(name)}".encode() for name in ("numba-cuda", "cuda-bindings", "cuda-core")]
    STAMP = sha256(b"".join(MADE_OF + MADE_BY)).digest()

    def stamped(program):
        """A compiled function whose cache holds as long as none of these changes.

        Otherwise it is not read at all, as it may name modules that are gone: numba looks at the version first.
        """
        cached = program._cache._cache_file
        cached._source_stamp = STAMP
        cached._version += STAMP.hex()
        return program

    def block_program(function):
        """Compile for the CPU when called there, and for CUDA when a kernel calls it; without reference counts."""
        return stamped(njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)(function))

    if cuda.implementation == "NVIDIA":  # the numba-cuda package
        from numba.cuda.extending import overload as cuda_overload

        def kernel(function):
            """Compile a kernel for CUDA when it is launched; optimising it again when it is linked would take 13 s."""
            return stamped(cuda.jit(cache=True, lto=False)(function))

    else:  # the target that numba itself brings; keeping its kernels between runs has not been tried on a GPU
        cuda_overload = partial(overload, target="cuda")
        kernel = cuda.jit

    @overload(barrier, target="cpu")
    def _cpu_barrier():
        return lambda: None

    @overload(warp_barrier, target="cpu")
    def _cpu_warp_barrier():
        return lambda: None

    @overload(lanes_of, target="cpu")
    def _cpu_lanes_of(n_threads):
        return lambda n_threads: 1

    @overload(fetch_add, target="cpu")
    def _cpu_fetch_add(array, index, value):
        def implementation(array, index, value):
            before = array[index]
            array[index] = before + value
            return before

        return implementation

    @overload(fetch_min, target="cpu")
    def _cpu_fetch_min(array, index, value):
        def implementation(array, index, value):
            before = array[index]
            array[index] = min(before, value)
            return before

        return implementation

    @overload(fetch_max, target="cpu")
    def _cpu_fetch_max(array, index, value):
        def implementation(array, index, value):
            before = array[index]
            array[index] = max(before, value)
            return before

        return implementation

    @overload(fetch_or, target="cpu")
    def _cpu_fetch_or(array, index, value):
        def implementation(array, index, value):
            before = array[index]
            array[index] = before | value
            return before

        return implementation

    @overload(exchange, target="cpu")
    def _cpu_exchange(array, index, value):
        def implementation(array, index, value):
            before = array[index]
            array[index] = value
            return before

        return implementation

    @intrinsic
    def count_trailing_zeros(_typing_context, word):
        """LLVM's instruction for it, for a word that is not zero."""

        def generate(_context, builder, _signature, arguments):
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), True))

        return word(word), generate

    @overload(lowest_set_bit, target="cpu")
    def _cpu_lowest_set_bit(word):
        return lambda word: count_trailing_zeros(word)

    @intrinsic
    def add_vectors(_typing_context, values, place, table, after, before):
        """LLVM's vectors of GROUP float32: left to itself the compiler takes the numbers one by one."""
        if not values == table == types.float32[::1]:
            return None  # there is no such function: the pointers below know nothing else

        def generate(context, builder, signature, arguments):
            vector = ir.VectorType(ir.FloatType(), GROUP)

            def pointer(array, index):
                kind = signature.args[array]
                data = context.make_array(kind)(context, builder, arguments[array]).data
                return builder.bitcast(builder.gep(data, [arguments[index]]), vector.as_pointer())

            def load(address):
                return builder.load(address, align=4)

            sums, more, less = pointer(0, 1), pointer(2, 3), pointer(2, 4)
            builder.store(builder.fadd(load(sums), builder.fsub(load(more), load(less))), sums, align=4)
            return context.get_dummy_value()

        return types.void(values, types.intp, table, types.intp, types.intp), generate

    @overload(add_difference, target="cpu")
    def _cpu_add_difference(values, place, table, after, before):
        return lambda values, place, table, after, before: add_vectors(values, place, table, after, before)

    @cuda_overload(barrier)
    def _cuda_barrier():
        return lambda: cuda.syncthreads()

    @cuda_overload(warp_barrier)
    def _cuda_warp_barrier():
        return lambda: cuda.syncwarp()

    @cuda_overload(lanes_of)
    def _cuda_lanes_of(n_threads):
        return lambda n_threads: WARP

    @cuda_overload(fetch_add)
    def _cuda_fetch_add(array, index, value):
        return lambda array, index, value: cuda.atomic.add(array, index, value)

    @cuda_overload(fetch_min)
    def _cuda_fetch_min(array, index, value):
        return lambda array, index, value: cuda.atomic.min(array, index, value)

    @cuda_overload(fetch_max)
    def _cuda_fetch_max(array, index, value):
        return lambda array, index, value: cuda.atomic.max(array, index, value)

    @cuda_overload(fetch_or)
    def _cuda_fetch_or(array, index, value):
        return lambda array, index, value: cuda.atomic.or_(array, index, value)

    @cuda_overload(exchange)
    def _cuda_exchange(array, index, value):
        return lambda array, index, value: cuda.atomic.exch(array, index, value)

    @cuda_overload(add_difference)
    def _cuda_add_difference(values, place, table, after, before):
        def implementation(values, place, table, after, before):
            # All is read before anything is written, so that no load waits for a store.
            differences = cuda.local.array(GROUP, types.float32)
            for k in range(GROUP):
                differences[k] = table[after + k] - table[before + k]
            for k in range(GROUP):
                values[place + k] += differences[k]

        return implementation

    @cuda_overload(lowest_set_bit)
    def _cuda_lowest_set_bit(word):
        return lambda word: cuda.ffs(word) - 1


@block_program
def minimum(a, b):
    """The smaller of two scalars; numba's own CUDA target does not compile the builtin."""
    return a if a < b else b


@block_program
def maximum(a, b):
    """The larger of two scalars; numba's own CUDA target does not compile the builtin."""
    return a if a > b else b
