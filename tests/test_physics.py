"""Statistical mechanics: the studies of scripts/validation, with few replicas, and their closed forms.

`scripts/validate_physics.py` runs the same studies at full length. Seeds are fixed: a test that passes passes
always.
"""

import dataclasses
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import validate_physics
from scipy import integrate, stats
from validation import (
    adiabat,
    check,
    energy_error,
    equation_of_state,
    excluded,
    heating,
    heating_share,
    irreversibility,
    momentum,
    piston_pressure,
    relaxation,
    velocities,
    work_distribution,
)

from gputhermo.backend import CpuBackend
from gputhermo.parameters import validate
from gputhermo.process import plan_processes

SMALL_GASES = (
    adiabat.Gas(ideal=True, n_particles=40, length=352.0, speeds=(0.008, 0.016), settle=1000.0, resolution=0.05),
    adiabat.Gas(ideal=False, n_particles=150, length=98.0, speeds=(0.01, 0.04), settle=100.0, resolution=0.02),
)
SHORT_GAS = dataclasses.replace(
    relaxation.GENTLE, n_particles=300, length=64.0, pushed=60.0, speed=0.16, interval=2.0, n_samples=75
)
SMALL_PLAN = validate(
    {
        "gas": {"box_length": 60.0},
        "protocol": {"hold_time": 20.0, "n_cycles": 2},
        "plan": {"n_particles": [100, 150], "push_speeds": [0.5, 1.0], "pull_speeds": [0.5, 1.0], "strokes": [30.0]},
    }
)
STUDIES: list[tuple[ModuleType, dict[str, Any]]] = [
    (energy_error, {"n_replicas": 32, "timesteps": energy_error.WORST}),
    (heating, {"n_replicas": 16}),
    (heating_share, {"processes": plan_processes(SMALL_PLAN), "settings": SMALL_PLAN}),
    (momentum, {"n_replicas": 4}),
    (velocities, {"n_replicas": 32}),
    (equation_of_state, {"n_replicas": 8, "packing_fractions": (0.1, 0.3)}),
    (adiabat, {"n_replicas": 12, "gases_compressed": SMALL_GASES}),
    (work_distribution, {"n_replicas": 16, "n_gases": 64}),
    (piston_pressure, {"n_replicas": 64, "speeds": (-0.3, 0.0, 1.5)}),
    (irreversibility, {"n_replicas": 16, "speeds": (0.4, 0.8, 1.6)}),
    (relaxation, {"pushed": ((SHORT_GAS, 320),)}),
]


@pytest.mark.physics
@pytest.mark.parametrize(("study", "sizes"), STUDIES, ids=lambda value: getattr(value, "__name__", ""))
def test_study(study: ModuleType, sizes: dict[str, Any]):
    found = study.checks(study.measure(CpuBackend(), **sizes))
    assert found
    assert [each for each in found if not each.passed] == []


# closed forms


@pytest.mark.physics
def test_virial_sum_of_hard_discs():
    """Where it is published: packing fraction 0.1 and 0.3 of hard discs, which soft ones are when they are cold."""
    assert equation_of_state.compressibility(0.1 / math.pi, 1e-12) == pytest.approx(1.236144, abs=2e-6)
    assert equation_of_state.compressibility(0.3 / math.pi, 1e-12) == pytest.approx(2.0632, abs=1e-3)


@pytest.mark.parametrize("speed", piston_pressure.SPEEDS)
def test_law_of_the_moving_piston(speed: float):
    """Twice the momentum of all that meets it: the integral of 2 (v + u)^2 over Maxwell's velocities, v > -u."""
    momentum_given = integrate.quad(lambda v: 2.0 * (v + speed) ** 2 * stats.norm.pdf(v), -speed, 12.0)[0]
    assert piston_pressure.law(speed) == pytest.approx(momentum_given, rel=1e-7)


def test_shares_of_pairs_and_triples_that_overlap():
    """By random places, in a container so small that walls matter."""
    n = 400_000
    x, y = np.random.default_rng(1).uniform(0.0, [[[6.0]], [[9.0]]], (2, 3, n))
    pair, other, third = ((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 < 4.0 for i, j in ((0, 1), (0, 2), (1, 2)))
    chances = excluded.pair_fraction(6.0, 9.0, 2.0), *excluded.triple_fractions(6.0, 9.0, 2.0)
    for overlap, chance in zip((pair, pair & other, pair & other & third), chances, strict=True):
        assert abs(overlap.mean() - chance) < 4.0 * math.sqrt(chance / n)
    assert chances[0] < 0.85 * math.pi * 4.0 / 54.0, "walls matter"


def test_energy_error_of_a_contact():
    """The closed form against velocity Verlet of one contact at all phases of the grid."""
    frequency, dt = energy_error.PAIR_FREQUENCY, 0.001
    phase = np.linspace(0.0, 1.0, 2000, endpoint=False)
    x, v = -phase * dt, np.ones_like(phase)  # overlap is x, contact at x > 0
    for _ in range(40):
        a = -(frequency**2) * np.maximum(x, 0.0)
        x_next = x + v * dt + 0.5 * a * dt**2
        v = v + 0.5 * dt * (a - frequency**2 * np.maximum(x_next, 0.0))
        x = x_next
    f = math.pi / frequency / dt % 1.0
    closed = (frequency * dt) ** 2 * f * (1.0 - f) / math.sqrt(3.0)
    assert (x < 0.0).all()
    assert np.sqrt(np.mean((v**2 - 1.0) ** 2)) == pytest.approx(closed, rel=0.1)


def test_attenuation_of_a_thin_gas_is_that_of_boltzmanns_equation():
    """Gamma = (eta + kappa / 2) / (2 rho), as c_p = 2 and gamma = 2, with eta = 1.022 sqrt(T / pi) / 2 sigma."""
    thin = dataclasses.replace(relaxation.GENTLE, pushed=4000.0)
    density = 1e-3
    rate, frequency = relaxation.theory(thin, density, 1.0)
    wave_number = math.pi / 3998.0
    eta = 1.022 * math.sqrt(1.0 / math.pi) / (2.0 * excluded.effective_diameter())
    kappa = eta * 4.0 * 1.029 / 1.022
    assert frequency == pytest.approx(math.sqrt(2.0) * wave_number, rel=0.02)
    assert rate == pytest.approx((eta + kappa / 2.0) / (2.0 * density) * wave_number**2, rel=0.05)


# what passes


def estimate(low: float, high: float) -> check.Estimate:
    return check.Estimate(value=0.5 * (low + high), low=low, high=high)


@pytest.mark.parametrize(
    ("relation", "low", "high", "passed"),
    [
        ("is", 0.9, 1.05, True),
        ("is", 1.01, 1.05, False),
        ("is", 0.5, 1.5, False),  # too wide to tell
        ("below", 0.9, 0.99, True),
        ("below", 0.9, 1.01, False),
        ("above", 1.01, 1.1, True),
        ("above", 0.99, 1.1, False),
    ],
)
def test_verdict(relation: Any, low: float, high: float, passed: bool):
    one = check.Check(
        name="", measured=estimate(low, high), relation=relation, reference=1.0, resolution=0.1, source="", n_steps=1
    )
    assert one.passed == passed


def test_distribution_that_is_not_the_one():
    samples = stats.expon.rvs(size=2000, random_state=1)
    for law, near in ((stats.expon, True), (stats.expon(scale=1.2), False)):
        distance, limit = check.ks_distance(samples, law, len(samples))
        assert (distance.value < limit) == near


# the script


def test_script_writes_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    measure = momentum.measure
    monkeypatch.setattr(momentum, "measure", lambda backend: measure(backend, n_replicas=1))
    assert validate_physics.main(["--out", str(tmp_path), "--only", "momentum"]) == 0
    found = json.loads((tmp_path / "physics.json").read_text())
    rows = found["studies"]["momentum"]["checks"]
    assert [row["passed"] for row in rows] == [True] * 3
    assert (tmp_path / "physics.md").read_text().count("| yes |") == 3
    assert (tmp_path / "physics" / "momentum.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("passed") == 3

    monkeypatch.setattr(momentum, "ROUNDING", 0.0)
    assert validate_physics.main(["--out", str(tmp_path), "--only", "momentum"]) == 1
    assert "| NO |" in (tmp_path / "physics.md").read_text()


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert validate_physics.main(["--out", str(tmp_path / "none"), "--only", "momentum"]) == 2
    assert capsys.readouterr().err.startswith("error: out = ")
