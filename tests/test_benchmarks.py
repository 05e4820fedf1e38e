"""The benchmark of the engine runs, and its errors (not its times) are within bounds."""

import subprocess
import sys
from pathlib import Path

ENGINE = Path(__file__).parent / "benchmarks" / "engine.py"
BOUNDS = {"error f32": 1e-6, "error f64": 1e-9}


def test_every_workload_has_its_row_and_its_errors_are_within_bounds():
    command = [sys.executable, ENGINE, "--quick", "--repeats", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    table = [dict(zip(header, row, strict=True)) for row in rows]
    assert {row["workload"] for row in table} == {"W1", "W2", "W3", "W4", "W5", "growth"}
    measures = {row["measure"] for row in table if row["workload"] == "W1"}
    assert measures == {"svcca", "cca", "pwcca", "cka"}
    for column, bound in BOUNDS.items():
        found = [float(row[column]) for row in table if row[column]]
        assert found
        assert max(found) <= bound
