"""numba's PTX compiler on a machine without a GPU.

libnvvm and ptxas come from a wheel of the test extra, whatever else the machine has, so that what they make is the same
everywhere.
"""

import contextlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import pytest
from numba import cuda
from numba.cuda.cuda_paths import get_cuda_paths
from numba.cuda.cudadrv.nvvm import NVVM


def wheel_file(name: str, *distributions: str) -> Path:
    """Path of the file `name` in the first of these distributions that is installed."""
    for distribution in distributions:
        with contextlib.suppress(PackageNotFoundError):
            return next(Path(file.locate()) for file in files(distribution) if file.name == name)
    raise FileNotFoundError(f"{name}: the test extra is not installed (pip install -e '.[test]')")


@contextlib.contextmanager
def without_a_driver(toolkit: Path) -> Iterator[None]:
    """Let numba compile with the libnvvm of the test extra, laid out in the folder `toolkit`, and ask no driver."""
    # numba looks in the folders of a toolkit and for a version in the name.
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
        yield


def compile_ptx(kernel: Any, types: tuple[Any, ...], capability: tuple[int, int] = (9, 0)) -> str:
    """PTX of a kernel for arguments of these types; within `without_a_driver`."""
    ptx, _ = cuda.compile_ptx(kernel.py_func, types, cc=capability)
    return str(ptx)
