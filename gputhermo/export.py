"""Write states for OVITO: extended XYZ, which any text editor reads, and GSD, the format of HOOMD-blue.

Every snapshot is a frame. The cell is the container at that time, so its right edge is the piston. Velocities are known
for the last snapshot of each clip only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from .errors import InputError
from .outfile import replaced
from .reader import ProcessReader

THICKNESS = 2.0
"""Extent of the exported cell along z: the diameter of a particle."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One frame: positions [n_particles, 2], velocities likewise or None, and what the frame is called by."""

    positions: np.ndarray
    velocities: np.ndarray | None
    hold: int
    time: float
    piston_position: float


def snapshots(reader: ProcessReader, holds: Iterable[int]) -> Iterator[Snapshot]:
    """The frames of the holds; the last one of each clip from its phase point, in float64."""
    interval = reader.settings.protocol.frame_interval
    for hold in holds:
        points = reader.phase_points(hold)
        clip: list[np.ndarray] = [*reader.positions(hold)[:-1], points[:, :2]]
        for frame, positions in enumerate(clip):
            last = frame == len(clip) - 1
            yield Snapshot(
                positions=positions,
                velocities=points[:, 2:] if last else None,
                hold=hold,
                time=float(reader.table["time"][hold]) - (len(clip) - 1 - frame) * interval,
                piston_position=float(reader.table["piston_position"][hold]),
            )


def export(reader: ProcessReader, holds: Iterable[int], out: Path) -> None:
    """Write the snapshots of `holds` to `out`, an extended XYZ or GSD file by its suffix.

    Raises InputError for another suffix, or if the package gsd is needed and not installed.
    """
    if out.suffix not in (".xyz", ".gsd"):
        raise InputError(f"out = {str(out)!r} is not allowed: the name must end in .xyz or .gsd")
    with replaced(out) as new:
        if out.suffix == ".xyz":
            with new.open("w", encoding="utf-8") as file:
                for snapshot in snapshots(reader, holds):
                    write_xyz(file, snapshot, reader.process.index, reader.process.box_length)
        else:
            write_gsd(new, reader, holds)


def write_xyz(file: IO[str], snapshot: Snapshot, process: int, height: float) -> None:
    """Append one frame of extended XYZ (libAtoms): number of particles, comment with keys, one line a particle."""
    n = len(snapshot.positions)
    columns = [snapshot.positions, np.zeros((n, 1)), np.ones((n, 1))]
    properties = "species:S:1:pos:R:3:radius:R:1"
    if snapshot.velocities is not None:
        columns += [snapshot.velocities, np.zeros((n, 1))]
        properties += ":velo:R:3"
    file.write(
        f"{n}\n"
        f'Lattice="{snapshot.piston_position:.17g} 0 0 0 {height:.17g} 0 0 0 {THICKNESS:g}" '
        f'Origin="0 0 {-0.5 * THICKNESS:g}" pbc="F F F" Properties={properties} '
        f"Time={snapshot.time:.17g} process={process} hold={snapshot.hold} "
        f"piston_position={snapshot.piston_position:.17g}\n"
    )
    # 9 digits are what float32 needs to come back as it was, 17 what float64 needs.
    number = "%.9g" if snapshot.positions.dtype == np.float32 else "%.17g"
    np.savetxt(file, np.concatenate(columns, axis=1), fmt="A " + " ".join([number] * sum(c.shape[1] for c in columns)))


def write_gsd(path: Path, reader: ProcessReader, holds: Iterable[int]) -> None:
    """Write a GSD file (schema hoomd, two dimensions); its cell is centred on the origin, and numbers are float32."""
    try:
        import gsd.hoomd
    except ImportError:
        raise InputError("export to .gsd needs the package gsd: pip install 'gputhermo[export]'") from None
    height = reader.process.box_length
    with gsd.hoomd.open(str(path), "w") as file:
        for snapshot in snapshots(reader, holds):
            n = len(snapshot.positions)
            frame = gsd.hoomd.Frame()
            frame.configuration.step = round(snapshot.time / reader.timetable.grid_step)
            frame.configuration.dimensions = 2
            frame.configuration.box = [snapshot.piston_position, height, 0, 0, 0, 0]
            frame.particles.N = n
            frame.particles.types = ["A"]
            frame.particles.diameter = np.full(n, 2.0)
            centre = 0.5 * np.array([snapshot.piston_position, height])
            frame.particles.position = np.pad(snapshot.positions - centre, ((0, 0), (0, 1)))
            if snapshot.velocities is not None:
                frame.particles.velocity = np.pad(snapshot.velocities, ((0, 0), (0, 1)))
            frame.log = {
                "time": np.array([snapshot.time]),
                "hold": np.array([snapshot.hold]),
                "piston_position": np.array([snapshot.piston_position]),
            }
            file.append(frame)
