"""What several test files share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from planted_dataset import plant


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
