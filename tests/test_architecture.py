"""docs/architecture.md says so: data flows one way."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_module_imports_one_that_stands_further_down():
    page = (ROOT / "docs/architecture.md").read_text().partition("`kernels/`")[0]
    rows = [re.findall(r"`(\w+)\.py`", line) for line in page.splitlines() if line.startswith("| ")]
    place = {name: number for number, names in enumerate(rows) for name in names}
    modules = {path.stem for path in (ROOT / "gputhermo").glob("*.py")} - {"__init__", "version"}
    assert set(place) == modules, "every module has a row"
    for name in place:
        tree = ast.parse((ROOT / "gputhermo" / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for imported in names:
                    if imported in place:
                        assert place[imported] <= place[name], f"{name} imports {imported}"
