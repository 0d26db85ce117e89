"""The machine that runs PTX finds what it is there to find."""

from typing import Any

import numpy as np
import pytest
from numba import cuda, int64, typeof
from ptx_compiler import compile_ptx
from ptx_machine import Machine

pytestmark = pytest.mark.usefixtures("compiler")

NONE, WARP, BLOCK = range(3)


@cuda.jit
def reversed_on_cuda(order, values, barrier):
    """Reverse the values of a block, by way of shared memory; with a barrier of the block, of each warp, or none."""
    shared = cuda.shared.array(64, int64)
    shared[cuda.threadIdx.x] = values[cuda.threadIdx.x]
    if barrier == BLOCK:
        cuda.syncthreads()
    elif barrier == WARP:
        cuda.syncwarp()
    values[cuda.threadIdx.x] = shared[cuda.blockDim.x - 1 - cuda.threadIdx.x]


@cuda.jit
def shifted_on_cuda(order, values, by):
    """Add one to the values of a warp, from number `by` on."""
    values[cuda.threadIdx.x + by] += 1


@cuda.jit
def counted_on_cuda(order, values, n_threads):
    """Count the first threads of a block, which wait for their warp; then all wait for all."""
    if cuda.threadIdx.x < n_threads:
        cuda.atomic.add(values, 0, 1)
        cuda.syncwarp()
    cuda.syncthreads()
    values[1 + cuda.threadIdx.x] = values[0]


def launch(
    kernel: Any, n_values: int, argument: int, n_threads: int, n_blocks: int = 1
) -> tuple[np.ndarray, list[Any]]:
    """What a kernel makes of the numbers from 0 on, and its faults."""
    values, order = np.arange(n_values), np.arange(n_blocks, dtype=np.int32)
    ptx = compile_ptx(kernel, tuple(map(typeof, (order, values, argument))))
    return values, Machine(ptx, 2**14, 4).launch(order, n_threads, (values, argument), seed=1)


@pytest.mark.parametrize(("n_threads", "barrier"), [(32, WARP), (32, BLOCK), (64, BLOCK)])
def test_a_barrier_puts_accesses_in_order(n_threads: int, barrier: int):
    values, faults = launch(reversed_on_cuda, n_threads, barrier, n_threads)
    assert values.tolist() == list(range(n_threads - 1, -1, -1))
    assert faults == []


@pytest.mark.parametrize(("n_threads", "barrier"), [(32, NONE), (64, NONE), (64, WARP)])
def test_a_missing_barrier_is_found(n_threads: int, barrier: int):
    """That of a warp does not reach another one."""
    _, faults = launch(reversed_on_cuda, n_threads, barrier, n_threads)
    assert {fault.what for fault in faults} & {"a read beside a write", "a write beside another access"}
    assert all(fault.place.startswith("_cudapy_smem") for fault in faults)


def test_memory_beyond_an_array_is_found():
    values, faults = launch(shifted_on_cuda, 40, 8, 32)
    assert values[8:].tolist() == list(range(9, 41))
    assert faults == []
    with pytest.raises(RuntimeError, match=r"leaves memory.*no such memory"):
        launch(shifted_on_cuda, 40, 9, 32)


def test_a_barrier_that_some_lanes_do_not_come_to_is_found():
    values, faults = launch(counted_on_cuda, 65, 32, 64)
    assert values.tolist() == [32] * 65
    assert faults == []
    with pytest.raises(RuntimeError, match="wait for each other"):
        launch(counted_on_cuda, 65, 31, 64)


def test_memory_of_another_block_is_found():
    _, faults = launch(shifted_on_cuda, 40, 8, 32, n_blocks=2)
    assert {fault.what for fault in faults} == {"another block's memory"}


@cuda.jit
def told_on_cuda(order, values, by):
    """Tell a number, all threads of it the same one, or each its own."""
    values[0] = by * cuda.threadIdx.x + 5


def test_threads_may_write_the_same_number():
    values, faults = launch(told_on_cuda, 1, 0, 64)
    assert values.tolist() == [5]
    assert faults == []
    _, faults = launch(told_on_cuda, 1, 1, 64)
    assert {fault.what for fault in faults} == {"a write beside another access"}


@cuda.jit
def summed_on_cuda(order, values, first):
    """Add up the threads in shared memory; thread 0 sets the sum to zero at first, or nobody does."""
    shared = cuda.shared.array(1, int64)
    if cuda.threadIdx.x == 0 and first > 0:
        shared[0] = 0
    cuda.syncthreads()
    cuda.atomic.add(shared, 0, cuda.threadIdx.x)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        values[0] = shared[0]


def test_shared_memory_holds_anything_at_first():
    assert launch(summed_on_cuda, 1, 1, 64)[0].tolist() == [64 * 63 // 2]
    assert launch(summed_on_cuda, 1, 0, 64)[0].tolist() != [64 * 63 // 2]
