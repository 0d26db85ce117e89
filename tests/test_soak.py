"""scripts/soak.py: what tests count arrives in the tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "soak.py"


@pytest.mark.slow
def test_counts_of_a_suite(tmp_path: Path):
    """In a process of its own: pytest within pytest would share its modules."""
    out = tmp_path / "soak.json"
    command = [sys.executable, str(SCRIPT), "test_seal.py", "--quick", "--json", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mutations" in result.stderr
    report = json.loads(out.read_text())
    assert [row["what"] for row in report["mutations"]] == ["planted.h5", "checkpoint.safetensors", "best.safetensors"]
    assert all(row["tried"] >= 999 and row["undetected"] == 0 for row in report["mutations"])
    assert (report["faults"], report["inputs"], report["tests_failed"]) == ([], [], False)
