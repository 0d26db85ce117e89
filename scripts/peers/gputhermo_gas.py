"""Of gputhermo: `simulate` with the contact engine, replicas on the threads of one process."""

from typing import ClassVar

import numpy as np

from gputhermo import Hold, Protocol, ReplicaBatch, simulate
from gputhermo.backend import CpuBackend
from gputhermo.parameters import IntegratorSettings

from .gas import Gas, Model, Settings


class GputhermoGas(Gas):
    """Each advance is a call of `simulate`, with all that it sets up."""

    PACKAGES = ("gputhermo", "numba", "numpy")
    SETTINGS: ClassVar[tuple[Settings, ...]] = ({},)

    def __init__(self, model: Model, states: np.ndarray, n_threads: int):
        self._model, self._states = model, states
        self._backend = CpuBackend(n_threads)
        self._integrator = IntegratorSettings(timestep=model.timestep)

    def advance(self, n_steps: int) -> None:
        """See `Gas.advance`."""
        model = self._model
        batch = ReplicaBatch.from_arrays(self._states[:, :, :2], self._states[:, :, 2:], model.stiffness)
        protocol = Protocol(model.length, model.height, [Hold(n_steps * model.timestep)])
        recordings = simulate(batch, protocol, device=self._backend, integrator=self._integrator, frames=1)
        self._states = np.stack([recording.phase_points[-1] for recording in recordings])

    def phase_points(self) -> np.ndarray:
        """See `Gas.phase_points`."""
        return self._states
