"""The wheel works where the checkout is not, with the kernels inside the package."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gputhermo.pretrained import PRETRAINED

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built from a copy so that nothing is left behind in it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "gputhermo", "kernels"):
        (source / name).symlink_to(ROOT / name)
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, out], cwd=source, capture_output=True, check=True)
    return next(out.glob("*.whl"))


def test_wheel_holds_the_package_the_kernels_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {f"gputhermo/{path.name}" for path in (ROOT / "gputhermo").glob("*.py")}
    sources |= {"gputhermo/py.typed", *(f"gputhermo/weights/{name}.safetensors" for name in PRETRAINED)}
    sources |= {f"gputhermo/kernels/{path.name}" for path in (ROOT / "kernels").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_installed_wheel_runs_a_block_program_without_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    script = """
import gputhermo.kernels
from gputhermo import Hold, Protocol, ReplicaBatch

batch = ReplicaBatch.draw(2, Protocol(length=10.0, height=10.0, actions=[Hold(1.0)]), seed=1, device="cpu")
print(gputhermo.__file__, gputhermo.kernels.__file__, batch.positions.shape, sep="\\n")
"""
    # -S leaves out the checkout, which an editable install puts on the path; the dependencies come back by name.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    result = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *packages])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    package = tmp_path / "site" / "gputhermo"
    assert result.stdout.splitlines() == [
        str(package / "__init__.py"),
        str(package / "kernels" / "__init__.py"),
        "(1, 2, 2)",
    ]


def test_kernels_are_only_imported_as_part_of_the_package():
    as_top_level = re.compile(r"^\s*(from|import)\s+kernels\b", re.MULTILINE)
    folders = ("gputhermo", "kernels", "scripts", "tests", "docs")
    files = [path for folder in folders for suffix in ("py", "md") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    assert files
    assert [str(path) for path in [*files, ROOT / "README.md"] if as_top_level.search(path.read_text("utf-8"))] == []


def importers(pattern: str) -> list[str]:
    """The modules of the package with an import statement of what the pattern matches."""
    statement = re.compile(rf"^\s*(from|import)\s+{pattern}\b", re.MULTILINE)
    return sorted(path.name for path in (ROOT / "gputhermo").glob("*.py") if statement.search(path.read_text("utf-8")))


def test_only_the_backend_imports_kernels():
    assert importers(r"(\.|gputhermo\.)kernels") == ["backend.py"]


def test_only_the_figures_import_matplotlib():
    assert importers("matplotlib") == ["figures.py", "paper_figures.py"]
