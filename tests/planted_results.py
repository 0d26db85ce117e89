"""Results and arrays as an evaluation would leave them, from a made-up S~: the entropy of the gas with noise."""

from typing import Any

import numpy as np

from gputhermo.claims import (
    PAPER,
    Claim,
    DustClaim,
    Evaluation,
    Interval,
    LineClaim,
    Results,
    Run,
    ScaledClaim,
    SpeedClaim,
)
from gputhermo.parameters import PRESETS, EvaluateSettings, TrainSettings

SIZES = (500, 1000, 1500, 2000)
EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def around(value: float, half_width: float = 0.002) -> dict[str, float]:
    """A value and an interval about it."""
    return {"value": value, "low": value - half_width, "high": min(1.0, value + half_width)}


def claim(name: str, value: float) -> Claim:
    return Claim(**around(value), paper=PAPER.get(name), reference=Interval(**around(0.999, 0.0005)))


def dust(level: float) -> tuple[DustClaim, ...]:
    values = [1.0 - level * epsilon**0.8 for epsilon in EPSILONS]
    return tuple(
        DustClaim(**around(value), epsilon=epsilon, pairs=tuple(value + k * (1.0 - value) for k in (-0.2, 0.0, 0.2)))
        for epsilon, value in zip(EPSILONS, values, strict=True)
    )


def slope_at(n_particles: Any) -> Any:
    return 0.012 - 2e-6 * n_particles


def plant_results(**changes: Any) -> Results:
    lines = {
        str(n): LineClaim(
            **around(0.988),
            slope=Interval(**around(slope_at(n), 1e-4)),
            intercept=Interval(value=-30, low=-31, high=-29),
        )
        for n in SIZES
    }
    values: dict[str, Any] = {
        "run": Run(
            package_version="0.1.0",
            training_version="0.1.0",
            device="cpu",
            dataset=PRESETS["paper"],
            training=TrainSettings(epochs=60),
            evaluation=EvaluateSettings(),
            best_epoch=57,
            n_parameters=1_117_041,
            weights_sha256="0" * 64,
            processes={"train": 336, "validation": 56, "test": 56},
            states={"train": 14532, "validation": 2573, "test": 2639},
            seconds={"dataset": 2614.5, "training": 5400.0, "twins": 300.0, "evaluation": 12.5},
        ),
        "test_accuracy": claim("test_accuracy", 0.9621),
        "test_process_accuracy": claim("test_process_accuracy", 0.9540),
        "test_loss": Claim(**around(0.0951), paper=PAPER["test_loss"]),
        "symmetrised_accuracy": claim("symmetrised_accuracy", 0.9650),
        "symmetrised_loss": Claim(**around(0.0901)),
        "order_by_speed": tuple(
            SpeedClaim(**around(0.85 + 0.1 * (push + pull)), push_speed=push, pull_speed=pull, n_pairs=25)
            for push in (0.1, 0.5)
            for pull in (0.1, 0.5)
        ),
        "A1_r2": claim("A1_r2", 0.9961),
        "A2": Claim(value=1.0, low=1.0, high=1.0, paper=1.0),
        "A3_agreement": claim("A3_agreement", 0.99998),
        "A3_agreement_unrestricted": claim("A3_agreement_unrestricted", 0.9900),
        "A4_agreement": claim("A4_agreement", 0.9712),
        "A4_agreement_unrestricted": claim("A4_agreement_unrestricted", 0.9650),
        "A4_scaled": tuple(
            ScaledClaim(**around(0.95 + 0.04 * (fraction - 0.5) - 0.01 * (cut == "x")), fraction=fraction, cut=cut)
            for fraction in (0.5, 0.6, 0.7, 0.8, 0.9)
            for cut in "yx"
        ),
        "A5_split_r2": claim("A5_split_r2", 0.9900),
        "A5_recombined_r2": claim("A5_recombined_r2", 0.9951),
        "A6_curve": dust(0.2),
        "A6_curve_unrestricted": dust(0.3),
        "entropy_r2": lines,
        "virial_r2": lines,
        "extensivity_r2": claim("extensivity_r2", 0.9920),
        "monotonicity": claim("monotonicity", 0.9730),
    }
    return Results(**(values | changes))


def plant_evaluation(images: np.ndarray | None = None) -> Evaluation:
    """Of 56 processes with 14 to 92 states each; `images`, uint8 [4, pixels, pixels], are shown as examples."""
    random = np.random.Generator(np.random.Philox(8))
    if images is None:
        images = random.integers(0, 256, (4, 32, 32)).astype(np.uint8)
    n_states = random.integers(14, 92, 56)
    process, n = np.repeat(np.arange(56), n_states), np.repeat(np.repeat(SIZES, 14), n_states)
    u = np.exp(np.concatenate([np.linspace(0, random.uniform(0.1, 1.5), k) for k in n_states]))
    v = 90_000.0 * random.uniform(0.5, 1.0, len(n)) / n
    exact = n * np.log(u * (v - 2 * np.pi))

    def learned(entropy: np.ndarray, noise: float) -> np.ndarray:
        return entropy * slope_at(n) - 30.0 + noise * random.normal(size=len(n))

    entropies = learned(exact, 0.25)
    states = np.arange(len(n))
    partner = np.concatenate([random.permutation(np.flatnonzero(n == size)) for size in SIZES])
    fraction = np.linspace(0.2, 0.8, 7)[:, None]
    expected = fraction * entropies + (1 - fraction) * entropies[partner]
    corners = np.array([0, 200, 1700, 1900, 2050, 2250]) * 1.0
    half = images.shape[-1] // 2
    left, right = images[0].copy(), images[1].copy()
    left[:, half:] = right[:, half:] = 0
    bottom, side = images[2].copy(), images[2].copy()
    bottom[round(0.7 * 2 * half) :] = 0
    side[:, round(0.7 * 0.75 * 2 * half) :] = 0
    return Evaluation(
        process=process,
        n_particles=n,
        entropies=entropies,
        twins=learned(exact, 0.25),
        van_der_waals=exact,
        virial=exact + 0.01 * n,
        rescaled=(entropies + 30.0) / slope_at(n),
        split=np.concatenate([learned(exact, 0.3), learned(exact, 0.35)]),
        recombined=np.concatenate([learned(exact, 0.3), learned(exact, 0.3)]),
        split_state=np.concatenate([states, states]),
        joined=(expected + 0.5 * random.normal(size=expected.shape)).ravel(),
        expected=expected.ravel(),
        joined_state=np.tile(states, 7),
        piston_time=corners,
        piston_position=np.array([300.0, 300.0, 150.0, 150.0, 300.0, 300.0]),
        recorded_time=corners[1::2],
        recorded_position=np.array([300.0, 150.0, 300.0]),
        compound_images=np.stack([left, right, np.concatenate([left[:, :half], right[:, :half]], axis=1)]),
        scaled_images=np.stack([images[2], bottom, side]),
        scaled_fraction=0.7,
        scaled_width=225.0,
        dusted_image=images[3],
        dust_epsilon=0.1,
        dust_width=300.0,
    )
