"""What the documentation shows is so."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from test_guards import FAULTS

from gputhermo.dataset import CHUNKED, GUARDS, PROCESSES, SERIES, STATES

ROOT = Path(__file__).parent.parent


def test_readme_snippets_run(capsys: pytest.CaptureFixture[str]):
    pretrained, replicas = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    names: dict = {}
    for snippet in (replicas, pretrained):  # the latter speaks of the clips of the former
        exec(compile(snippet, "README.md", "exec"), names)
    assert re.fullmatch(r"irreversible work: \d+\.\d kB T0\n", capsys.readouterr().out)
    assert np.mean(names["gains"]) > 0.0
    assert names["positions"].shape == (3, 5, 200, 2)
    assert names["pressure"].shape == (140,)
    assert names["clips"].shape == (3, 1, 5, 256, 256)
    assert names["entropies"].shape == (3,)


def test_library_page_runs(capsys: pytest.CaptureFixture[str]):
    """The snippets of docs/library.md, one after the other in one session."""
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), flags=re.DOTALL):
        exec(compile(snippet, "library.md", "exec"), names)
    assert capsys.readouterr().out.count("kB T0") == 4
    works = [recording.work[-1] for recording in names["recordings"]]
    assert works[-1] > works[0] > 0.0
    below = names["recording"].phase_points[-1, :, 1] < 40.0
    start = names["state"][names["away"]][:, 1] < 40.0
    assert np.array_equal(below, start)
    assert names["batch_of_clips"].shape == (2, 1, 5, 256, 256)


def test_table_of_the_file_is_complete():
    """docs/dataset.md has a row for every dataset, with its type, shape, unit and meaning."""
    page = (ROOT / "docs/dataset.md").read_text()
    for fields in (CHUNKED, STATES, PROCESSES, GUARDS, SERIES):
        for name, field in fields.items():
            shape = " x ".join(field.shape) or "scalar"
            assert f"| `{name}` | {np.dtype(field.dtype).name} | {shape} | {field.unit} | {field.meaning} |" in page


def test_counts_of_reliability_are_those_of_the_last_soak():
    """docs/reliability.md has the tables that scripts/soak.py makes of docs/results/soak.json; nothing was lost."""
    report = json.loads((ROOT / "docs/results/soak.json").read_text())
    tables = runpy.run_path(str(ROOT / "scripts/soak.py"))["as_markdown"](report)
    page = (ROOT / "docs/reliability.md").read_text()
    assert tables in page
    assert not report["tests_failed"]
    studies = json.loads((ROOT / "docs/results/physics.json").read_text())["studies"].values()
    passed = [check["passed"] for study in studies for check in study["checks"]]
    assert f"{sum(passed)} of {len(passed)} [checks of the physics]" in page
    broken = len(FAULTS) - 1  # one is none
    assert f"catch {broken} of {broken} engines" in page


def test_links_of_the_documentation_lead_somewhere():
    """Those of the pages of the web site to another file of it: the site has none else."""
    site = ROOT / "docs"
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *site.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            there = (page.parent / target).resolve()
            found = there.exists() and (there.is_relative_to(site) or not page.is_relative_to(site))
            assert "://" in target or found, f"{page.name}: {target}"
