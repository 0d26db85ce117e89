"""What every program is given, and what it must be able to do."""

import importlib.metadata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

Settings = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Model:
    """The laws: discs of radius 1 and mass 1 in 0 <= x <= length, 0 <= y <= height, by velocity Verlet.

    Energy stiffness/2 (2 - r)^2 of a pair at r < 2, and stiffness/2 (1 - d)^2 of a particle at d < 1 from a wall.
    """

    length: float
    height: float
    stiffness: float
    timestep: float


class Gas(ABC):
    """Replicas of one gas in one process.

    PACKAGES           names on PyPI of what it needs
    SETTINGS           what may make one replica faster, one dictionary a trial
    FOR_MANY_REPLICAS  what, beside that, may make several in one process faster, likewise
    """

    PACKAGES: ClassVar[tuple[str, ...]]
    SETTINGS: ClassVar[tuple[Settings, ...]]
    FOR_MANY_REPLICAS: ClassVar[tuple[Settings, ...]] = ({},)

    @classmethod
    def missing(cls) -> str | None:
        """Why the program cannot run here, or None."""
        absent = [package for package in cls.PACKAGES if version(package) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    @classmethod
    def double_precision(cls, settings: Settings) -> Settings:
        """The given settings with all arithmetic in double precision: themselves, unless a program says otherwise."""
        return settings

    @abstractmethod
    def __init__(self, model: Model, states: np.ndarray, n_threads: int, **settings: Any):
        """Take up `states`, float64 [n_replicas, n_particles, 4]: x, y, vx, vy."""

    @abstractmethod
    def advance(self, n_steps: int) -> None:
        """Do `n_steps` of every replica; returns when they are done."""

    @abstractmethod
    def phase_points(self) -> np.ndarray:
        """States now, float64 [n_replicas, n_particles, 4]."""


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
