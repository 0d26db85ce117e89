"""The entropy of the gas from its energy, area and number of particles, and how far S~ is an affine map of it.

Units: energy kB T0, length R, entropy kB. Entropies are those of simple gases added up, without the constant N s0:
`parts` float64 [n, n_parts, 4] has N, U, Lx and Ly of each (`States.parts`). Arrays of S~ are float64 [n].
Figures and equations are those of Kuroyanagi and Yuge (arXiv:2506.01506, section IV B).
"""

import math
from dataclasses import dataclass

import numpy as np

from .axioms import explained, r_squared
from .bootstrap import Bootstrap, Estimate, estimate, share, sum_by_process, sum_pairs, weigh_pairs
from .errors import InputError
from .parameters import GasSettings
from .states import ENERGY, HEIGHT, N_PARTICLES, WIDTH, States

INTERACTION_STRENGTH = GasSettings().interaction_strength
"""C_int of the paper."""
EXCLUDED_AREA = 2.0 * math.pi
"""b = 2 pi R^2 of Eq. (4), and the second virial coefficient of hard discs of radius R."""
VIRIAL_RATIOS = (
    1.0,
    0.7820044379,
    0.5322318070,
    0.33355604,
    0.1988425,
    0.1148728,
    0.0649930,
    0.0362193,
    0.0199537,
)
"""B_n / B_2^(n - 1) of hard discs for n = 2 to 10: Clisby and McCoy, J. Stat. Phys. 122 (2006) 15."""


@dataclass(frozen=True)
class Line:
    """The straight line S~ = slope S + intercept at one N, by least squares."""

    slope: Estimate
    intercept: Estimate
    r2: Estimate
    """The squared correlation; 0 if S~ is the same everywhere."""

    @property
    def affine_map(self) -> tuple[float, float]:
        """alpha and beta of S^ = alpha S~ + beta, which has slope 1 and intercept 0; NaN for a line of slope 0."""
        if self.slope.value == 0.0:
            return math.nan, math.nan
        return 1.0 / self.slope.value, -self.intercept.value / self.slope.value


def vdw_entropy(parts: np.ndarray) -> np.ndarray:
    """Eq. (4), sum of N log[u (v - 2 pi R^2)], u = U / N and v = Lx Ly / N: float64 [n].

    A part without particles has no entropy. InputError if there is no energy, or no more than 2 pi R^2 a particle.
    """
    n, energy, width, height = columns(parts)
    return sum_of_parts(n, energy, width * height - n * EXCLUDED_AREA)


def virial_entropy(parts: np.ndarray, interaction_strength: float = INTERACTION_STRENGTH) -> np.ndarray:
    """Sum of N [log(u A / N) - sum over k of B_(k+1) rho^k / k], rho = N / A, k = 1 to 9: float64 [n].

    That of the ideal gas, and of repulsion: Z - 1 as a series in density, integrated over log rho. The coefficients are
    those of hard discs whose B2 is that of the soft ones, C_int = `interaction_strength`, at T = u; infinity is hard
    discs of radius R. A = (Lx - 2R)(Ly - 2R) is the area that walls leave to centres. Good below a packing fraction of
    0.3. A part without particles has no entropy. InputError if there is no energy or area.
    """
    n, energy, width, height = columns(parts)
    area = np.maximum(width - 2.0, 0.0) * np.maximum(height - 2.0, 0.0)
    ideal = sum_of_parts(n, energy, area)
    filled = n > 0.0
    second = second_virial(np.divide(energy, n, out=np.zeros_like(n), where=filled), interaction_strength)
    reduced = second * np.divide(n, area, out=np.zeros_like(n), where=filled)
    excess = sum(ratio * reduced**k / k for k, ratio in enumerate(VIRIAL_RATIOS, start=1))
    return ideal - (n * excess).sum(axis=-1)


def second_virial(temperature: np.ndarray, interaction_strength: float) -> np.ndarray:
    """B2 of discs that repel by Eq. (3): pi times the integral over r from 0 to 2R of [1 - exp(-phi(r) / T)] r.

    Without the terms of order exp(-2 C_int / T), which only discs that nearly pass through each other would need. At
    small density S as a function of energy, not temperature, begins with -N B2(u) rho just so: what U holds beside N T
    cancels what B2 changes with T.
    """
    softness = temperature / interaction_strength
    return EXCLUDED_AREA - math.pi * (np.sqrt(2.0 * math.pi * softness) - softness)


def columns(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """N, U, Lx and Ly of each part, float64 [n, n_parts]."""
    return parts[..., N_PARTICLES], parts[..., ENERGY], parts[..., WIDTH], parts[..., HEIGHT]


def sum_of_parts(n: np.ndarray, energy: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Sum over parts of N log[(U / N) (area / N)]: float64 [n] from [n, n_parts]."""
    filled = n > 0.0
    wrong = filled & ~((energy > 0.0) & (area > 0.0))
    if wrong.any():
        one = np.unravel_index(np.argmax(wrong), wrong.shape)
        raise InputError(
            f"free area = {area[one]:g} at N = {n[one]:g}, U = {energy[one]:g} is not allowed: entropy needs area and "
            "energy above 0"
        )
    whole = np.where(filled, n, 1.0)
    log = np.log(np.where(filled, energy * area, 1.0) / whole**2)
    return np.where(filled, n * log, 0.0).sum(axis=-1)


def true_entropy(states: States) -> np.ndarray:
    """An entropy in the place of S~, float64 [n], for all that is computed of S~: `vdw_entropy`.

    It is extensive and additive to the last digit. `virial_entropy` is not, as pieces of a picture have no walls of
    their own that would keep centres away.
    """
    return vdw_entropy(states.parts)


def fit_lines(
    s: np.ndarray, entropy: np.ndarray, n_particles: np.ndarray, process: np.ndarray, bootstrap: Bootstrap
) -> dict[int, Line]:
    """The line of S~ against an entropy for each N, in ascending order (the paper's figure 7).

    InputError for an N at which all states have the same entropy.
    """
    lines = {}
    for number in np.unique(n_particles):
        chosen = n_particles == number
        lines[int(number)] = fit_line(s[chosen], entropy[chosen], process[chosen], bootstrap)
    return lines


def fit_line(s: np.ndarray, entropy: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Line:
    """The line of S~ against an entropy; InputError if all states have the same entropy."""
    weights = bootstrap.weights(process)
    x, y = entropy - entropy[0], s - s[0]
    moments = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    n, x1, y1, xx, xy, yy = (weights @ sum_by_process(moments, process)).T
    xx, xy, yy = xx - x1 * x1 / n, xy - x1 * y1 / n, yy - y1 * y1 / n
    if not xx[0] > 0.0:
        raise InputError("entropies = 1 is not allowed: a line needs states of at least two entropies at each N")
    slope = np.divide(xy, xx, out=np.full_like(xx, np.nan), where=xx > 0.0)
    intercept = s[0] + y1 / n - slope * (entropy[0] + x1 / n)
    return Line(estimate(slope), estimate(intercept), estimate(explained(yy - slope * xy, yy)))


def monotonicity(
    s: np.ndarray, entropy: np.ndarray, n_particles: np.ndarray, process: np.ndarray, bootstrap: Bootstrap
) -> Estimate:
    """Share of the pairs of states of equal N and different entropy that S~ orders as the entropy does.

    A tie of S~ is right by half.
    """
    lower = (entropy[:, None] < entropy) & (n_particles[:, None] == n_particles)
    right = lower * (1.0 + np.sign(s - s[:, None])) / 2.0
    weights = bootstrap.weights(process)
    return share(weigh_pairs(weights, sum_pairs(right, process)), weigh_pairs(weights, sum_pairs(lower, process)))


def extensivity(s_joined: np.ndarray, expected: np.ndarray, process: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    """R^2 of S~(lambda X, (1 - lambda) Y) against `expected` = lambda S~(X) + (1 - lambda) S~(Y) (figure 8)."""
    return r_squared(expected, s_joined, process, bootstrap)
