"""The CUDA entry points compile to PTX and to SASS, on machines without a GPU too, and spill no registers."""

import re
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
from numba import typeof
from ptx_compiler import compile_ptx, wheel_file

from gputhermo import Hold, Protocol, ReplicaBatch, simulate
from gputhermo.backend import CpuBackend
from gputhermo.kernels import launch
from gputhermo.parameters import ImageSettings, IntegratorSettings
from gputhermo.rasterize import render

pytestmark = pytest.mark.usefixtures("compiler")

KIB = 1024
STATIC_SHARED_LIMIT = 48 * KIB
# Shared memory of a block, static and dynamic, by compute capability (CUDA C++ Programming Guide, table of these).
BLOCK_SHARED_LIMIT = {(8, 0): 163 * KIB, (9, 0): 227 * KIB}
ENTRIES = sorted(name.removesuffix("_on_cuda") for name in vars(launch) if name.endswith("_on_cuda"))


@dataclass(frozen=True)
class Resources:
    """What a kernel uses: registers, bytes of stack and bytes spilled of a thread; bytes that the block shares."""

    registers: int
    stack: int
    spilled: int
    shared: int


class RecordingBackend(CpuBackend):
    """The CPU, with the arguments of each block program kept by its name."""

    def __init__(self):
        super().__init__(n_threads=1)
        self.arguments = {}

    def run(self, entry, order, *arguments):
        self.arguments[entry] = (np.asarray(order, dtype=np.int32), *arguments)
        super().run(entry, order, *arguments)


@pytest.fixture(scope="module")
def arguments():
    """What the package passes to each block program: here on the CPU, elsewhere in the same types to CUDA."""
    backend = RecordingBackend()
    protocol = Protocol(length=20.0, height=20.0, actions=[Hold(0.01)])
    batch = ReplicaBatch.draw(4, protocol, seed=1, device=backend)
    for engine in ("contact", "verlet"):
        integrator = IntegratorSettings(engine=engine)
        recording = simulate(batch, [protocol], integrator=integrator, frame_interval=0.001, device=backend)
    render(recording[0].positions, 4, ImageSettings(pixels=16, raster_pixels=64), 20.0, backend)
    return backend.arguments


@pytest.fixture
def assemble(tmp_path):
    """ptxas: PTX to SASS for one architecture, and the resources of the kernel in it."""

    def run(ptx: str, architecture: str) -> Resources:
        ptxas = wheel_file("ptxas", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")
        (tmp_path / "kernel.ptx").write_text(ptx)
        command = [ptxas, f"-arch={architecture}", "-v", "kernel.ptx", "-o", "kernel.cubin"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "kernel.cubin").stat().st_size > 0

        def number(unit: str) -> int:
            return sum(map(int, re.findall(rf"(\d+) {unit}", result.stderr)))

        return Resources(
            registers=number("registers"),
            stack=number("bytes stack frame"),
            spilled=number("bytes spill stores") + number("bytes spill loads"),
            shared=number("bytes smem"),
        )

    return run


def test_every_entry_point_is_compiled_below(arguments):
    assert set(arguments) == set(ENTRIES)


@pytest.mark.parametrize("capability", BLOCK_SHARED_LIMIT, ids="sm_{0[0]}{0[1]}".format)
@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_point_spills_nothing_and_its_shared_memory_fits(entry, capability, arguments, assemble, record_property):
    architecture = "sm_{}{}".format(*capability)
    types = tuple(map(typeof, arguments[entry]))
    used = assemble(compile_ptx(getattr(launch, f"{entry}_on_cuda"), types, capability), architecture)
    record_property(
        "figure",
        f"{entry:<8} {architecture}{used.registers:4d} registers, {used.spilled} bytes spilled, {used.stack} of stack, "
        f"{used.shared} shared of {STATIC_SHARED_LIMIT} static and {BLOCK_SHARED_LIMIT[capability]} in all",
    )
    assert used.registers > 0
    assert used.spilled == 0
    assert used.shared <= STATIC_SHARED_LIMIT
