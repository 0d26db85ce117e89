"""Every statistic of S~ that is reported, of a network and, beside it, of the van der Waals entropy."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import axioms, entropy
from .axioms import Agreement
from .bootstrap import Bootstrap, Estimate
from .claims import claim, dust_claim, line_claims, scaled_claims, speed_claims
from .entropy import Line
from .measure import EPSILONS, JOINT_FRACTIONS, SCALES, Choices, Measured, expected
from .states import N_PARTICLES, States

COMPARED = (
    "test_accuracy",
    "test_process_accuracy",
    "A1_r2",
    "A3_agreement",
    "A3_agreement_unrestricted",
    "A4_agreement",
    "A4_agreement_unrestricted",
    "A5_split_r2",
    "A5_recombined_r2",
    "extensivity_r2",
)
"""Claims beside which that of the van der Waals entropy stands."""
ALONE = ("test_loss", "symmetrised_accuracy", "symmetrised_loss", "A2", "monotonicity")
"""Those that say nothing of it: loss depends on its scale, it has no views, and A2 and monotonicity are 1."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What S~ comes to; fields are named as in `Results`."""

    test_accuracy: Estimate
    test_process_accuracy: Estimate
    test_loss: Estimate
    symmetrised_accuracy: Estimate
    symmetrised_loss: Estimate
    order_by_speed: dict[tuple[float, float], axioms.Ordering]
    """By the speeds of push and pull."""
    A1_r2: Estimate
    A2: Estimate
    A3_agreement: Estimate
    A3_agreement_unrestricted: Estimate
    A4_agreement: Estimate
    A4_agreement_unrestricted: Estimate
    A4_scaled: Agreement
    """By the entries of SCALES."""
    A5_split_r2: Estimate
    A5_recombined_r2: Estimate
    A6_curve: tuple[Agreement, ...]
    """For each epsilon, by the pairs of dusts."""
    A6_curve_unrestricted: tuple[Agreement, ...]
    entropy_r2: dict[int, Line]
    virial_r2: dict[int, Line]
    extensivity_r2: Estimate
    monotonicity: Estimate


def judge(
    found: Measured, states: States, choices: Choices, speeds: np.ndarray, strength: float, bootstrap: Bootstrap
) -> Statistics:
    """All statistics of S~ of the test states and of what is made from them.

    speeds    of push and pull in each state's process, float64 [n, 2]
    strength  of the interaction, C_int, which the virial entropy depends on

    Raises InputError if the states of some N all have the same entropy.
    """
    s, process, n_particles = found.state, states.process, states.parts[:, 0, N_PARTICLES]
    of_states = process, bootstrap
    compounds = s[choices.half], found.compound, n_particles[choices.half], process[choices.half], bootstrap
    van_der_waals, virial = entropy.vdw_entropy(states.parts), entropy.virial_entropy(states.parts, strength)
    order, symmetrised = axioms.ordering(s, *of_states), axioms.ordering(found.view.mean(axis=0), *of_states)
    kinds = {(push, pull): (speeds == (push, pull)).all(axis=1) for push, pull in np.unique(speeds, axis=0).tolist()}
    equal, unrestricted = (
        axioms.scaling(s, found.scaled, n_particles, *of_states, equal_n=equal_n) for equal_n in (True, False)
    )
    curve, curve_unrestricted = (
        tuple(
            axioms.stability(s, with_first, with_second, n_particles, *of_states, equal_n=equal_n)
            for with_first, with_second in found.dusted
        )
        for equal_n in (True, False)
    )
    return Statistics(
        test_accuracy=order.accuracy,
        test_process_accuracy=order.process_accuracy,
        test_loss=order.loss,
        symmetrised_accuracy=symmetrised.accuracy,
        symmetrised_loss=symmetrised.loss,
        order_by_speed={kind: axioms.ordering(s[rows], process[rows], bootstrap) for kind, rows in kinds.items()},
        A2=axioms.transitivity(s, *of_states),
        A3_agreement=axioms.consistency(*compounds, equal_n=True),
        A3_agreement_unrestricted=axioms.consistency(*compounds, equal_n=False),
        A4_agreement=equal.mean,
        A4_agreement_unrestricted=unrestricted.mean,
        A4_scaled=equal,
        A6_curve=curve,
        A6_curve_unrestricted=curve_unrestricted,
        entropy_r2=entropy.fit_lines(s, van_der_waals, n_particles, *of_states),
        virial_r2=entropy.fit_lines(s, virial, n_particles, *of_states),
        extensivity_r2=entropy.extensivity(
            found.joined.ravel(), expected(found, choices).ravel(), np.tile(process, len(JOINT_FRACTIONS)), bootstrap
        ),
        monotonicity=entropy.monotonicity(s, van_der_waals, n_particles, *of_states),
        **identities(found, states, bootstrap),
    )


def on_scale(true: Measured, lines: dict[int, Line], states: States) -> Measured:
    """An entropy of states, twins, split and recombined states on the scale of S~: by the line of S~ for each N.

    R^2 compares with the spread over all states. That of an entropy is mostly between different N, which would hide by
    how much twins differ; on the scale of S~, R^2 is what it would be if S~ followed the lines exactly.
    """
    n_particles = states.parts[:, 0, N_PARTICLES].astype(np.int64).tolist()
    slope, intercept = np.array([(lines[n].slope.value, lines[n].intercept.value) for n in n_particles]).T
    slope_of_cut, intercept_of_cut = slope[true.original], intercept[true.original]
    return replace(
        true,
        state=slope * true.state + intercept,
        twin=slope * true.twin + intercept,
        split=slope_of_cut * true.split + intercept_of_cut,
        recombined=slope_of_cut * true.recombined + intercept_of_cut,
    )


def identities(found: Measured, states: States, bootstrap: Bootstrap) -> dict[str, Any]:
    """R^2 of states that must have the same S~: twins (A1), split and recombined ones (A5)."""
    of_cuts = states.process[found.original], bootstrap
    return {
        "A1_r2": axioms.reflexivity(found.state, found.twin, states.process, bootstrap),
        "A5_split_r2": axioms.splitting(found.split, found.state[found.original], *of_cuts),
        "A5_recombined_r2": axioms.splitting(found.split, found.recombined, *of_cuts),
    }


def claims_of(learned: Statistics, true: Statistics) -> dict[str, Any]:
    """The claims of `Results`, by name: of what was learned, with the van der Waals entropy beside it."""
    compared = {name: claim(name, getattr(learned, name), getattr(true, name)) for name in COMPARED}
    alone = {name: claim(name, getattr(learned, name)) for name in ALONE}
    curves = {
        name: tuple(map(dust_claim, EPSILONS, getattr(learned, name), getattr(true, name)))
        for name in ("A6_curve", "A6_curve_unrestricted")
    }
    lines = {name: line_claims(getattr(learned, name)) for name in ("entropy_r2", "virial_r2")}
    tables = {
        "A4_scaled": scaled_claims(SCALES, learned.A4_scaled, true.A4_scaled),
        "order_by_speed": speed_claims(learned.order_by_speed, true.order_by_speed),
    }
    return compared | alone | curves | lines | tables
