"""A dataset file without physics: noise whose mean grey level grows with the hold, an order that can be learned."""

from pathlib import Path

import numpy as np

from gputhermo.dataset import CHUNKED, FORMAT, FORMAT_VERSION, GUARDS, PROCESSES, SPLITS, STATES
from gputhermo.hdf5 import new_file
from gputhermo.parameters import ImageSettings, PlanSettings, ProtocolSettings, Settings, to_toml

FRAMES, PIXELS, N_PARTICLES = 2, 32, 10


def plant(path: Path, n_train: int = 12, n_validation: int = 3, n_test: int = 6, pixels: int = PIXELS) -> Path:
    """Write such a file, with 4 to 7 states a process; returns the path."""
    random = np.random.default_rng(3)
    n_processes = n_train + n_validation + n_test
    n_states = random.integers(4, 8, n_processes)
    levels = np.concatenate([random.uniform(20, 60) + 20 * np.arange(n) for n in n_states])
    noise = random.integers(-15, 16, (len(levels), FRAMES, pixels, pixels))
    settings = Settings(
        protocol=ProtocolSettings(frames=FRAMES),
        plan=PlanSettings(n_particles=(N_PARTICLES,)),
        image=ImageSettings(pixels=pixels, raster_pixels=pixels),
    )
    widths = {"frames": FRAMES, "N": N_PARTICLES, "pixels": pixels}
    given = {
        "states/images": np.clip(levels[:, None, None, None] + noise, 0, 255),
        "states/process": np.repeat(np.arange(n_processes), n_states),
        "processes/n_particles": np.full(n_processes, N_PARTICLES),
        "processes/first_state": np.cumsum(n_states) - n_states,
        "processes/n_states": n_states,
        "processes/split": np.repeat(list(SPLITS.values()), (n_train, n_validation, n_test)),
    }
    with new_file(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["settings"] = to_toml(settings)
        file.attrs["package_version"], file.attrs["device"] = "0", "cpu"
        tables = ("states", CHUNKED | STATES, len(levels)), ("processes", PROCESSES | GUARDS, n_processes)
        for group, fields, n_rows in tables:
            for name, field in fields.items():
                shape = n_rows, *(widths.get(side) or int(side) for side in field.shape)
                values = given.get(f"{group}/{name}", np.zeros(shape))
                file[f"{group}/{name}"] = values.astype(field.dtype)
    return path
