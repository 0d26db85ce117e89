"""What an NVIDIA GPU computes is what the CPU computes, and it stays there."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gases import random_gas
from motions import MOTIONS, L, assert_alike, run

from gputhermo import clips as clips_module
from gputhermo.backend import Backend, CpuBackend, CudaBackend
from gputhermo.network_file import NETWORKS
from gputhermo.parameters import ImageSettings, TrainSettings, validate
from gputhermo.rasterize import lanczos_tables, render
from gputhermo.train import train_live, train_on_simulation

pytestmark = pytest.mark.gpu

SMALL = validate(
    {
        "gas": {"box_length": 120.0},
        "protocol": {"hold_time": 10.0, "n_cycles": 1},
        "plan": {"n_particles": [90], "push_speeds": [1.0], "pull_speeds": [1.0], "strokes": [60.0, 30.0]},
        "image": {"pixels": 64, "raster_pixels": 390},
        "split": {"train": 0.5, "validation": 0.25},
    }
)


@pytest.fixture(scope="module")
def cuda() -> Backend:
    return CudaBackend()


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("n_particles", [500, 1000, 2000])
def test_trajectories_are_those_of_the_cpu(n_particles: int, motion: str, cuda: Backend):
    (ours,), (theirs,) = run(n_particles, motion, cuda), run(n_particles, motion, CpuBackend())
    assert_alike(ours, theirs)


def test_a_trajectory_is_the_same_bits_in_every_run_and_company(cuda: Backend):
    (alone,) = run(1000, "push", cuda)
    for n_replicas in (1, 300):
        first = run(1000, "push", cuda, n_replicas)[0]
        assert (first.phase_points == alone.phase_points).all()
        assert (first.work == alone.work).all()


@pytest.mark.parametrize("n_particles", [500, 2000])
def test_images_are_those_of_the_cpu_within_a_grey_level_and_the_same_every_time(n_particles: int, cuda: Backend):
    positions = np.stack([random_gas(n_particles, length, L, seed=1)[0] for length in (L, 0.5 * L)])
    first, again = (render(cuda.adopt(positions), n_particles, ImageSettings(), L, cuda) for _ in range(2))
    assert (first == again).all()
    difference = cuda.to_host(first).astype(int) - render(positions, n_particles, ImageSettings(), L, CpuBackend())
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 1e-4


SMALL_RUN = """
from gputhermo import Hold, Protocol, ReplicaBatch, Stroke, simulate
from gputhermo.clips import draw_clips
from gputhermo.parameters import IntegratorSettings
protocol = Protocol(40.0, 40.0, [Hold(0.1), Stroke(to=39.8, speed=1.0, record=True)])
batch = ReplicaBatch.draw([100] * 4, protocol, seed=1, device="cuda")
for engine in ("contact", "verlet"):
    integrator = IntegratorSettings(engine=engine)
    recordings = simulate(batch, protocol, device="cuda", integrator=integrator, frames=1, series_interval=0.1)
print(draw_clips(recordings[0], 40.0).float().mean())
"""


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_compute_sanitizer_finds_nothing(tool: str):
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", SMALL_RUN]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600.0, check=False)
    if "Device not supported" in result.stdout:
        pytest.skip("compute-sanitizer does not reach this device")
    assert result.returncode == 0, result.stdout + result.stderr


def test_clips_are_the_memory_that_they_were_drawn_to(cuda: Backend, monkeypatch: pytest.MonkeyPatch):
    drawn = []

    def noted(*arguments: Any) -> Any:
        drawn.append(render(*arguments))
        return drawn[-1]

    monkeypatch.setattr(clips_module, "render", noted)
    (recording,) = run(500, "still", cuda)
    clips = clips_module.draw_clips(recording, L)
    assert clips.is_cuda
    assert clips.data_ptr() == drawn[0].data.ptr


def copies(trace: Path) -> Iterator[tuple[str, int]]:
    """Direction and bytes of each copy between host and device that torch's profiler saw."""
    for event in json.loads(trace.read_text())["traceEvents"]:
        if event.get("cat") == "gpu_memcpy" and ("HtoD" in event["name"] or "DtoH" in event["name"]):
            yield event["name"], int(event["args"]["bytes"])


def test_images_of_live_simulations_never_touch_the_host(tmp_path: Path):
    """In epochs of training on them no array is copied that is as large as the table of the Lanczos filter, but for it.

    It is smaller than a clip, and the weights, which are copied, are smaller still. One clip is copied on purpose, so
    that a profiler that sees nothing is found out.
    """
    from torch.profiler import ProfilerActivity, profile

    dataset = SMALL.model_copy(update={"image": ImageSettings()})
    learning = TrainSettings(network="pooled", epochs=2)
    train_live(dataset, tmp_path / "compiles", learning, device="cuda")
    clip = torch.zeros((dataset.protocol.frames, dataset.image.pixels, dataset.image.pixels), dtype=torch.uint8)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        train_live(dataset, tmp_path / "run", learning, device="cuda")
        clip.cuda()
        torch.cuda.synchronize()
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    sizes = [n_bytes for _, n_bytes in copies(tmp_path / "trace.json")]
    table = lanczos_tables(dataset.image).edges
    assert sorted(size for size in sizes if size >= table.nbytes) == [table.nbytes, clip.nbytes]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("train", [train_on_simulation, train_live])
def test_training_on_simulations_is_the_same_bits_in_every_run(network: str, train: Any, tmp_path: Path):
    settings = TrainSettings(network=network, epochs=2)
    for name in "ab":
        train(SMALL, tmp_path / name, settings, device="cuda")
    assert (tmp_path / "a/last.safetensors").read_bytes() == (tmp_path / "b/last.safetensors").read_bytes()
