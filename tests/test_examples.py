"""What the README and the examples show is run."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from svcca_monitor import Run

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text("utf-8")
QUICKSTART = (PROJECT / "examples/quickstart.py").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_shows_the_quickstart_and_reaches_code_within_ten_lines():
    assert QUICKSTART in blocks("python")
    assert any(line.startswith("```") for line in README.splitlines()[:10])


def test_the_quickstart_runs_and_its_run_can_be_read_as_the_readme_does(tmp_path):
    def python(code):
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = python(QUICKSTART)
    assert done.returncode == 0, done.stderr
    assert "bottom-up index: " in done.stdout
    run = Run(tmp_path / "logs/quickstart")
    assert run.steps == list(range(11))
    assert run.layers == ["conv_1", "conv_2", "dense", "output"]
    others = [block for block in blocks("python") if block not in (QUICKSTART, blocks("python")[0])]
    assert others
    for block in others:
        done = python(block)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_two_commands_of_the_readme_are_single_lines():
    commands = [line for line in README.splitlines() if line.startswith("pip install -e")]
    assert commands == [
        "pip install -e '.[demo]' && svcca-monitor run configs/digits.yaml",
        "pip install -e '.[test]' && pytest -n 2 --dist loadfile",
    ]


def test_every_picture_of_the_readme_is_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((PROJECT / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_readme_names_every_measure():
    from svcca_monitor import MEASURES

    assert all(f"`{name}`" in README for name in MEASURES)


def test_docstring_examples_are_true():
    import doctest
    import importlib

    names = ["subspace", "canonical", "measures", "chance", "probe", "schedule"]
    names += ["fourier", "moments", "gram", "sensitivity", "directions"]
    results = [doctest.testmod(importlib.import_module(f"svcca_monitor.{name}")) for name in names]
    assert all(result.attempted for result in results)
    assert sum(result.failed for result in results) == 0


def test_extras_are_as_described():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"tensorflow", "jax", "torch", "demo", "distributed", "test"} <= set(extras)
    base = {re.split(r"[<>=\[]", name)[0].lower() for name in project["dependencies"]}
    assert base == {
        *("numpy scipy keras tensorboard safetensors xarray pydantic pyyaml typer rich".split()),
        *("matplotlib lazy_loader threadpoolctl fsspec typing_extensions".split()),
    }
