"""Learn the second law from a gas: simulate adiabatic processes, draw them, learn their order in time."""

from .errors import InputError, SimulationError
from .parameters import Settings, load_settings
from .process import Hold, Partition, Protocol, Stroke
from .simulate import Recording, simulate
from .state import ReplicaBatch

__version__ = "0.1.0"

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
    "load_settings",
    "simulate",
]
