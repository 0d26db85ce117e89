"""The report as tables."""

from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def show(report: Row, console: Console) -> None:
    """Print all tables."""
    console.print(new_table(f"One core of {report['machine']['cpu']}", STATE_COLUMNS, report["states"]))
    console.print("M/s: million particle-steps a second; ms: for one unit of time; spread: the largest of the row.")
    for peer in ("verlet", "lammps"):
        if f"geometric_mean_times_{peer}" in report:
            mean = report[f"geometric_mean_times_{peer}"]
            console.print(f"The contact engine is {mean:.1f} times as fast as {peer} (geometric mean).")
    console.print(new_table("Sizes at one density, one core", SIZE_COLUMNS, report["sizes"]))
    console.print(new_table("Temperatures, 1000 particles, one core", TEMPERATURE_COLUMNS, report["temperatures"]))
    console.print(new_table("Replicas of 500 particles, time on the wall", REPLICA_COLUMNS, report["replicas"]))
    console.print(new_table("Training beside products of matrices", LEARNING_COLUMNS, report["learning"]))
    for name, value in report["pipeline"].items():
        for what, number in value.items() if isinstance(value, dict) else (("", value),):
            console.print(f"{name.replace('_', ' ')} {what}: {number:,.0f}".replace(" :", ":"))
    compiled = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["first_call_seconds"].items())
    console.print(f"Apart from all this, the first call compiles or loads: {compiled}.")


def new_table(title: str, columns: dict[str, Callable[[Row], str]], rows: list[Row]) -> Table:
    """A table of the columns for which the rows have figures."""
    table = Table(title=title, box=box.SIMPLE, padding=0)
    shown = {name: cell for name, cell in columns.items() if cell(rows[0])}
    for name in shown:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for cell in shown.values()))
    return table


def figure(key: str, form: str = "{:.0f}", unit: float = 1.0) -> Callable[[Row], str]:
    """The cell of one figure; empty if a row has none."""
    return lambda row: form.format(row[key] / unit) if key in row else ""


def spread(row: Row) -> str:
    """The largest spread of a row."""
    return f"{100 * max(value for name, value in row.items() if name.endswith('spread')):.0f}%"


RATES = {
    "equiv.\nM/s": figure("equivalent_particle_steps_per_second", unit=1e6),
    "exec.\nM/s": figure("executed_particle_steps_per_second", "{:.1f}", 1e6),
    "contacts\nk/s": figure("contacts_per_second", unit=1e3),
}
STATE_COLUMNS = {
    "N": figure("n_particles"),
    "Lx": figure("length", "{:g}"),
    **RATES,
    "contact\nms": figure("contact_ms_per_time_unit", "{:.3f}"),
    "verlet\nms": figure("verlet_ms_per_time_unit", "{:.2f}"),
    "LAMMPS\nms": figure("lammps_ms_per_time_unit", "{:.1f}"),
    "times\nLAMMPS": figure("times_lammps"),
    "frames\n/s": figure("frames_per_second"),
    "spread": spread,
}
SIZE_COLUMNS = {
    "N": figure("n_particles"),
    **RATES,
    "ns a particle\nand unit of time": figure("ns_per_particle_and_time_unit"),
    "spread": spread,
}
TEMPERATURE_COLUMNS = {
    "kT": figure("temperature", "{:g}"),
    **RATES,
    "ms": figure("contact_ms_per_time_unit", "{:.3f}"),
    "spread": spread,
}
LEARNING_COLUMNS = {
    "network": lambda row: row["network"],
    "precision": lambda row: row["precision"],
    "clips\n/s": figure("clips_per_second"),
    "GFLOP\na clip": figure("operations_of_a_clip", "{:.3f}", 1e9),
    "GFLOP/s": figure("operations_per_second", unit=1e9),
    "of products\nGFLOP/s": figure("operations_per_second_of_products", unit=1e9),
    "share": figure("share", "{:.0%}"),
    "spread": spread,
}
REPLICA_COLUMNS = {
    "device": lambda row: row["device"],
    "replicas": figure("n_replicas"),
    "equiv.\nM/s": RATES["equiv.\nM/s"],
    "spread": spread,
}
