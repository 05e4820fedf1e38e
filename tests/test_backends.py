"""Each backend in a process of its own, and what they must agree on."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zoo

BACKENDS = ("tensorflow", "jax", "torch")
FILES = ("each_backend.py", "each_backend_fits.py", "each_representation.py")
REPRESENTATIONS = ("sample", "flatten", "fourier", "options", "callable", "dict")
# Half precision is rounded after each sum, or later where processors know it, and the order of sums
# is the backend's own.
TOLERANCE = {"dtypes mixed: float64, bfloat16, float32": 1e-2, "`mixed_bfloat16`": 1e-2}
README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
START, END = "<!-- models -->\n", "<!-- /models -->"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with what every backend found, and {backend: report of its tests}."""
    folder = tmp_path_factory.mktemp("backends")
    with ThreadPoolExecutor(2) as pool:  # each has one thread
        done = pool.map(lambda backend: run(backend, folder), BACKENDS)
        return folder, dict(zip(BACKENDS, done, strict=True))


def run(backend, folder):
    # Threads of small products wait for each other, actively.
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES],
        cwd=Path(__file__).parent,
        env={
            **{k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"},
            **one_thread,
            "KERAS_BACKEND": backend,
            "SVCCA_RESULTS": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_everything_works_on_each_backend(results, backend):
    done = results[1][backend]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def grid(folder, backend, kind):
    path = folder / f"{backend}-{list(zoo.MODELS).index(kind)}.npz"
    return np.load(path)["grid"] if path.exists() else None


@pytest.mark.parametrize("kind", zoo.MODELS)
def test_the_same_weights_give_the_same_similarities_on_every_backend(results, kind):
    expected = grid(results[0], "tensorflow", kind)
    for backend in ("jax", "torch"):
        np.testing.assert_allclose(
            grid(results[0], backend, kind), expected, atol=TOLERANCE.get(kind, 1e-4)
        )


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_representation_gives_the_same_matrices_on_every_backend(results, name):
    matrices = {backend: np.load(results[0] / f"{backend}-{name}.npz") for backend in BACKENDS}
    expected = matrices["tensorflow"]
    assert expected.files
    for backend in ("jax", "torch"):
        assert matrices[backend].files == expected.files
        for layer in expected.files:
            np.testing.assert_allclose(
                matrices[backend][layer], expected[layer], atol=1e-4, err_msg=f"{backend}: {layer}"
            )


def table(folder):
    rows = [["model", *BACKENDS], ["---", *[":-:"] * len(BACKENDS)]]
    for kind in zoo.MODELS:
        marks = ["✓" if grid(folder, backend, kind) is not None else "" for backend in BACKENDS]
        rows.append([kind, *marks])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def test_the_table_of_the_readme_is_what_was_found(results):
    shown = README.partition(START)[2].partition(END)[0]
    if shown != table(results[0]):
        print(f"Paste into README.md:\n\n{START}{table(results[0])}{END}")
    assert shown == table(results[0]), "the table in README.md is not what was found, see below"


def test_the_table_shows_what_failed(results, tmp_path):
    assert table(tmp_path).count("✓") == 0
    assert table(tmp_path) != table(results[0])
