"""The weights that come with the package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gputhermo
from gputhermo import Hold, Protocol, ReplicaBatch, simulate
from gputhermo.claims import load_results
from gputhermo.clips import draw_clips
from gputhermo.entropy import vdw_entropy
from gputhermo.errors import InputError
from gputhermo.evaluate import digest
from gputhermo.pretrained import PRETRAINED, pretrained_file


@pytest.mark.parametrize("name", PRETRAINED)
@pytest.mark.parametrize("n_particles", [500, 2000])
def test_pretrained_networks_order_gases_of_other_temperatures_and_areas(n_particles: int, name: str):
    """Gases that no training process was: hotter or larger has more entropy, by S~ as by the van der Waals entropy."""
    representation, entropy = [], []
    network = gputhermo.load_pretrained(name)
    for length, temperature in ((150.0, 1.0), (150.0, 1.5), (225.0, 1.5), (300.0, 1.5), (300.0, 2.5)):
        protocol = Protocol(length=length, height=300.0, actions=[Hold(30.0)])
        batch = ReplicaBatch.draw(n_particles, protocol, seed=3, temperature=temperature, device="cpu")
        (recording,) = simulate(batch, protocol, device="cpu")
        representation.append(network.representation(draw_clips(recording, 300.0)).item())
        energy = float(recording.kinetic_energy[0] + recording.potential_energy[0])
        entropy.append(vdw_entropy(np.array([[[n_particles, energy, length, 300.0]]]))[0])
    assert list(np.argsort(entropy)) == [0, 1, 2, 3, 4]
    assert list(np.argsort(representation)) == [0, 1, 2, 3, 4]
    assert np.corrcoef(entropy, representation)[0, 1] > 0.95


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_reports_are_of_these_weights(name: str):
    folder = Path(__file__).parents[1] / "docs/results" / name
    with pretrained_file(name) as path:
        weights = digest(path)
    assert load_results(folder / "results.json").run.weights_sha256 == weights
    assert weights in (folder / "report.md").read_text()


def test_an_unknown_name_is_one_line_with_the_names_that_there_are():
    with pytest.raises(InputError, match="'cpu' is unknown; allowed: paper, pooled"):
        gputhermo.load_pretrained("cpu")


def test_the_package_loads_without_torch():
    """Whoever only simulates does not wait for it."""
    code = "import sys, gputhermo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
