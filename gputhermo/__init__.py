"""Adiabatic processes of a two-dimensional gas, simulated by the hundred and drawn as images."""

from .errors import InputError, SimulationError
from .parameters import Settings, load_settings
from .pretrained import load_pretrained
from .process import Hold, Partition, Protocol, Stroke
from .simulate import Recording, simulate
from .state import ReplicaBatch
from .version import __version__

__all__ = [
    "Hold",
    "InputError",
    "Partition",
    "Protocol",
    "Recording",
    "ReplicaBatch",
    "Settings",
    "SimulationError",
    "Stroke",
    "__version__",
    "load_pretrained",
    "load_settings",
    "simulate",
]
