"""The CUDA entry points compile to PTX and to SASS, on machines without a GPU too, and spill no registers.

libnvvm and ptxas come from a wheel of the test extra, whatever else the machine has, so that the counts are the same
everywhere.
"""

import contextlib
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import pytest
from numba import cuda, typeof
from numba.cuda.cuda_paths import get_cuda_paths
from numba.cuda.cudadrv.nvvm import NVVM

from gputhermo.kernels import launch, replica

KIB = 1024
STATIC_SHARED_LIMIT = 48 * KIB
# Shared memory of a block, static and dynamic, by compute capability (CUDA C++ Programming Guide, table of these).
BLOCK_SHARED_LIMIT = {(8, 0): 163 * KIB, (9, 0): 227 * KIB}


def engine_arguments():
    """Arguments of the two engines for one replica; only their types matter here."""
    n, n_segments, n_snapshots = 4, 1, 1
    gas = replica.Gas(
        n_particles=np.ones(1, np.int64),
        height=np.ones(1),
        stiffness=np.ones(1),
        timestep=np.ones(1),
        partition_axis=np.zeros(1, np.int64),
        partition_position=np.zeros(1),
    )
    particles = replica.Particles(
        positions=np.zeros((1, n, 2)),
        velocities=np.zeros((1, n, 2)),
        accelerations=np.zeros((1, n, 2)),
        since=np.zeros((1, n), np.int64),
        contact=np.zeros((1, n), np.int32),
        work=np.zeros((1, n)),
        impulse=np.zeros((1, n, replica.N_WALLS)),
    )
    workspace = replica.Workspace(
        cell=np.zeros((1, n), np.int32),
        next_in_cell=np.zeros((1, n), np.int32),
        cell_head=np.zeros((1, 1), np.int32),
        start=np.zeros((1, n, 2)),
        touching=np.zeros((1, 2, n), np.uint32),
        neighbours=np.zeros((1, n, n), np.uint32),
        n_neighbours=np.zeros((1, n), np.int32),
        valid_until=np.zeros((1, n), np.int64),
        event_head=np.zeros((1, 1), np.int32),
        event_next=np.zeros((1, 1), np.int32),
        event=np.zeros((1, 1, 3), np.int32),
        partial=np.zeros((1, replica.N_LANES, replica.N_SUMS)),
        ints=np.zeros((1, replica.N_SHARED_INTS), np.int64),
        floats=np.zeros((1, replica.N_SHARED_FLOATS)),
    )
    schedules = replica.Schedules(
        segment_end=np.zeros((1, n_segments), np.int64),
        segment_piston=np.zeros((1, n_segments)),
        segment_speed=np.zeros((1, n_segments)),
        snapshot_step=np.zeros((1, n_snapshots), np.int64),
        frames=np.ones(1, np.int64),
        sample_interval=np.zeros(1, np.int64),
        n_segments=np.ones(1, np.int64),
        n_snapshots=np.ones(1, np.int64),
    )
    record = replica.Record(
        snapshots=np.zeros((1, n_snapshots, n, 2), np.float32),
        phase_points=np.zeros((1, 1, n, 4)),
        clips=np.zeros((1, 1, replica.N_SUMS)),
        samples=np.zeros((1, 1, replica.N_SUMS)),
    )
    progress = np.zeros((1, replica.N_PROGRESS), np.int64)
    return np.zeros(1, np.int32), 1, gas, particles, workspace, schedules, record, progress


# What makes the arguments of each entry point.
ARGUMENTS = {"contact_on_cuda": engine_arguments, "verlet_on_cuda": engine_arguments}


@dataclass(frozen=True)
class Resources:
    """What a kernel uses: registers, bytes of stack and bytes spilled of a thread; bytes that the block shares."""

    registers: int
    stack: int
    spilled: int
    shared: int


def wheel_file(name, *distributions):
    """Path of the file `name` in the first of these distributions that is installed."""
    for distribution in distributions:
        with contextlib.suppress(PackageNotFoundError):
            return next(Path(file.locate()) for file in files(distribution) if file.name == name)
    raise FileNotFoundError(f"{name}: the test extra is not installed (pip install -e '.[test]')")


@pytest.fixture(scope="module")
def compile_ptx(tmp_path_factory):
    """numba's PTX compiler, with the libnvvm of the test extra and no driver to ask."""
    # numba looks in the folders of a toolkit and for a version in the name.
    toolkit = tmp_path_factory.mktemp("toolkit")
    for folder, name, link in (
        ("lib64", "libnvvm.so", "libnvvm.so.4"),
        ("libdevice", "libdevice.10.bc", "libdevice.10.bc"),
    ):
        (toolkit / "nvvm" / folder).mkdir(parents=True)
        (toolkit / "nvvm" / folder / link).symlink_to(wheel_file(name, "nvidia-cuda-nvcc-cu12"))

    class NoDevice:
        compute_capability = (9, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_HOME", str(toolkit))
        # Whatever an earlier test found on this machine is forgotten.
        patch.delattr(get_cuda_paths, "_cached_result", raising=False)
        patch.setattr(NVVM, "_NVVM__INSTANCE", None, raising=False)
        patch.setattr("numba.cuda.dispatcher.get_current_device", NoDevice)
        yield cuda.compile_ptx


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


def test_every_entry_point_is_compiled_below():
    assert {name for name in vars(launch) if name.endswith("_on_cuda")} == set(ARGUMENTS)


@pytest.mark.parametrize("capability", BLOCK_SHARED_LIMIT, ids="sm_{0[0]}{0[1]}".format)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_entry_point_spills_nothing_and_its_shared_memory_fits(
    name, capability, compile_ptx, assemble, record_property
):
    architecture = "sm_{}{}".format(*capability)
    signature = tuple(typeof(argument) for argument in ARGUMENTS[name]())
    ptx, _ = compile_ptx(getattr(launch, name).py_func, signature, cc=capability)
    used = assemble(ptx, architecture)
    record_property(
        "figure",
        f"{name:<20} {architecture} {used.registers:4d} registers, {used.spilled} bytes spilled, {used.shared} of "
        f"{STATIC_SHARED_LIMIT} bytes of static shared memory ({BLOCK_SHARED_LIMIT[capability]} with dynamic)",
    )
    assert used.registers > 0
    assert used.spilled == 0
    assert used.stack == 0
    assert used.shared <= STATIC_SHARED_LIMIT
