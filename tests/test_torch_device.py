"""Device and precision of a run, and that torch's switches are as before once it has ended."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import numpy as np
import pytest
import torch

from gputhermo import torch_device
from gputhermo.errors import InputError
from gputhermo.torch_device import as_tensor, choose_device, choose_precision, tiny_is_zero, torch_state

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def usual_state() -> Iterator[None]:
    usual = torch.get_num_threads()
    yield
    torch.set_num_threads(usual)
    torch.set_flush_denormal(False)


def tiny() -> float:
    """A product that float32 has a number for, below the smallest one of full precision."""
    return float(torch.tensor(1e-20) * 1e-20)


class OnGpu:
    """An array of CuPy, as far as a torch without CUDA comes to know it."""

    __cuda_array_interface__: ClassVar[dict[str, int]] = {"version": 3}

    def get(self) -> np.ndarray:
        return np.arange(3)


def test_arrays_are_tensors_without_a_copy_unless_torch_cannot_reach_them(monkeypatch: pytest.MonkeyPatch):
    array = np.zeros(3)
    as_tensor(array)[1] = 5.0
    assert array[1] == 5.0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert as_tensor(OnGpu()).tolist() == [0, 1, 2]


def test_auto_takes_what_torch_has():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_card_that_torch_cannot_use_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """It is counted even if its driver is too old for torch's CUDA."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(InputError, match="device = 'cuda' is not allowed"):
        choose_device("cuda")


def test_devices_that_are_not_there():
    for name in ("tpu", "cuda:99", ""):
        with pytest.raises(InputError, match=f"device = '{name}' .* cpu"):
            choose_device(name)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (lambda: {"avx512_bf16": True}, torch.bfloat16),
        (lambda: {"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        (lambda: {"bf16": True}, torch.bfloat16),
        (lambda: {"avx512_bf16": False, "avx2": True}, torch.float32),
        (None, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: Callable[[], dict[str, bool]] | None, expected: torch.dtype
):
    if capabilities is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", capabilities, raising=False)
    assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize(("generation", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_auto_is_bfloat16_on_gpus_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, generation: tuple[int, int], expected: torch.dtype
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: generation)
    assert choose_precision("auto", torch.device("cuda")) == expected


def test_a_precision_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch):
    for here in (True, False):
        monkeypatch.setattr(torch_device, "multiplies_bfloat16", lambda device, here=here: here)
        assert choose_precision("float32", CPU) == torch.float32
        assert choose_precision("bfloat16", CPU) == torch.bfloat16


def test_random_numbers_and_threads_are_as_before():
    torch.set_num_threads(3)
    before = torch.get_rng_state()
    with suppress(KeyError), torch_state(CPU) as device:
        assert device == CPU
        assert torch.get_num_threads() == 1
        torch.manual_seed(5)
        torch.rand(3)
        raise KeyError
    assert torch.get_num_threads() == 3
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("before", [False, True])
def test_tiny_numbers_are_zero_within_the_block_and_in_its_threads(before: bool):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor always keeps tiny numbers")
    with suppress(KeyError), tiny_is_zero():
        assert tiny() == 0.0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(tiny).result() == 0.0
        raise KeyError
    assert (tiny() == 0.0) == before
