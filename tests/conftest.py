"""What several test files share."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counts import Faults, Inputs, Mutations
from jobs import Job, make_jobs
from planted_dataset import plant


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --soak."""
    parser.addoption("--soak", action="store_true", help="tests of reliability at their full length, for `make soak`")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests left with ``record_property("figure", line)``: figures worth seeing when all is well."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    figures = [line for report in reports for name, line in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(str(line))


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset file with an order that is easy to see."""
    return plant(tmp_path_factory.mktemp("planted") / "planted.h5")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether tests of reliability run at their full length."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """The commands that tests of reliability disturb, by name."""
    return make_jobs(tmp_path_factory.mktemp("jobs"))


@pytest.fixture
def faults(record_property: Callable[[str, Any], None]) -> Iterator[Faults]:
    """Counts faults."""
    counted = Faults()
    yield counted
    record_property("counts", counted.row())


@pytest.fixture
def inputs(record_property: Callable[[str, Any], None]) -> Iterator[Inputs]:
    """Counts inputs."""
    counted = Inputs()
    yield counted
    record_property("counts", counted.row())


@pytest.fixture
def mutations(record_property: Callable[[str, Any], None]) -> Iterator[Mutations]:
    """Counts changes of files."""
    counted = Mutations()
    yield counted
    record_property("counts", counted.row())


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets numba compile for CUDA without a driver, for the tests of a module."""
    from ptx_compiler import without_a_driver  # which loads numba's CUDA target: few tests need it

    with without_a_driver(tmp_path_factory.mktemp("toolkit")):
        yield


@pytest.fixture
def simulator() -> Callable[..., str]:
    """Runs a script in a fresh Python under the CUDA simulator; gives back what it printed.

    The simulator is chosen when numba is imported, so it needs a process of its own. Further arguments reach the script
    as ``sys.argv[1:]``: paths of files to read and to write, for arrays that are to be compared bitwise. A script that
    fails fails the test, with its traceback.
    """

    def run(script: str, *arguments: object, timeout: float = 300.0) -> str:
        result = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert result.returncode == 0, f"the script failed under the CUDA simulator:\n{result.stderr}"
        return result.stdout

    return run
