"""torch on the device of a run: which one, arrays there as tensors, in which precision, with which global switches."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from .backend import Backend
from .errors import InputError


def choose_device(name: str) -> torch.device:
    """torch's device for "auto" (a GPU if torch sees one), "cpu", "cuda" or "cuda:N"; InputError for any other."""
    # A card is counted although torch's CUDA may be too new for its driver.
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    allowed = ["cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{number}" for number in range(n_gpus))]
    if name == "auto":
        return torch.device("cuda" if n_gpus else "cpu")
    if name not in allowed:
        raise InputError(f"device = {name!r} is not allowed: torch sees auto, {', '.join(allowed)}")
    return torch.device(name)


def as_tensor(array: Any) -> torch.Tensor:
    """View an array of NumPy or CuPy as a tensor, by DLPack: no copy, unless it is on a GPU and torch has no CUDA."""
    return torch.from_dlpack(array if torch.cuda.is_available() else Backend.to_host(array))


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the convolutions' numbers: "float32", "bfloat16", or "auto" for bfloat16 where it is in hardware."""
    if name == "auto":
        name = "bfloat16" if multiplies_bfloat16(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Older versions of torch cannot tell.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def torch_state(device: torch.device) -> Iterator[torch.device]:
    """torch's random numbers, threads and choice of algorithms for a run; afterwards they are as they were before.

    An operation uses one thread: `Encoder` runs several operations side by side. float32 is float32: cuDNN would round
    it to TF32, 10 bits, unasked.
    """
    n_threads = torch.get_num_threads()
    gpus = [device] if device.type == "cuda" else []
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.random.fork_rng(gpus), exact:
        torch.set_num_threads(1)
        try:
            yield device
        finally:
            torch.set_num_threads(n_threads)


@contextmanager
def tiny_is_zero() -> Iterator[None]:
    """Numbers below 1e-38 count as zero in this thread and those that it starts; afterwards it is as it was before.

    Arithmetic with them is a hundred times slower on a CPU, and Adam's moments of idle weights come to be such.
    """
    before = float(torch.tensor(1e-20) * 1e-20) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
