"""Who may import whom, held as data and checked both ways."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "svcca_monitor"
HEAVY = ("keras", "tensorflow", "jax", "torch", "tensorboard", "matplotlib", "pandas", "xarray")

# Module -> (third-party packages, modules of ours) that it may import, at any place in the file.
NUMERIC = {"numpy", "scipy"}
TABLE = {
    "__init__": ({"lazy_loader"}, set()),
    "arguments": ({"numpy"}, set()),
    "messages": (set(), set()),
    "files": (set(), set()),
    "schedule": (set(), set()),
    "parallel": ({"threadpoolctl"}, set()),
    "precision": (NUMERIC, set()),
    "rounding": ({"numpy", "ml_dtypes"}, set()),
    "lapack": (NUMERIC, set()),
    "eigensystem": ({"numpy"}, {"lapack"}),
    "gram_matrix": ({"numpy"}, {"lapack", "rounding"}),
    "factors": (NUMERIC, {"eigensystem", "gram_matrix", "precision", "rounding"}),
    "cuts": ({"numpy"}, {"arguments", "messages"}),
    "near_cut": ({"numpy"}, {"cuts", "eigensystem", "factors", "gram_matrix", "rounding"}),
    "factorisation": (set(), {"cuts", "factors", "near_cut", "rounding"}),
    "subspace": (NUMERIC, {"cuts", "factorisation", "factors", "precision", "rounding"}),
    "span": ({"numpy"}, {"factors", "lapack", "rounding", "subspace"}),
    "few_dimensions": (NUMERIC, set()),
    "chance": ({"numpy"}, {"arguments", "few_dimensions", "messages"}),
    "canonical": (NUMERIC, {"arguments", "subspace"}),
    "tiles": ({"numpy"}, {"parallel"}),
    "kernels": (NUMERIC, {"parallel", "precision", "rounding", "tiles"}),
    "crossed": (NUMERIC, {"subspace", "canonical", "eigensystem", "kernels"}),
    "definition": ({"numpy"}, {"kernels", "messages", "subspace"}),
    "preparation": (
        NUMERIC,
        {
            "arguments",
            "cuts",
            "definition",
            "kernels",
            "messages",
            "parallel",
            "precision",
            "rounding",
            "span",
            "subspace",
        },
    ),
    "products": (NUMERIC, {"parallel", "precision", "span", "subspace"}),
    "pairs": (
        NUMERIC,
        {"definition", "kernels", "parallel", "preparation", "products", "subspace"},
    ),
    "sample_size": (NUMERIC, {"definition", "pairs", "subspace"}),
    "measures": (
        NUMERIC,
        {
            "chance",
            "crossed",
            "cuts",
            "definition",
            "kernels",
            "messages",
            "pairs",
            "preparation",
            "sample_size",
            "subspace",
        },
    ),
    "batches": ({"numpy"}, {"arguments", "rounding", "subspace"}),
    "gram": (
        NUMERIC,
        {"arguments", "cuts", "factors", "gram_matrix", "messages", "rounding", "subspace"},
    ),
    "moments": (
        NUMERIC,
        {
            "batches",
            "definition",
            "subspace",
            "pairs",
            "measures",
            "factors",
            "messages",
            "rounding",
        },
    ),
    "spatial": ({"numpy"}, {"arguments", "parallel", "rounding"}),
    "batched": (NUMERIC, {"factors", "parallel", "subspace"}),
    "spectrum": ({"numpy"}, {"batched", "cuts", "parallel", "rounding", "spatial", "subspace"}),
    "fourier": (
        {"numpy"},
        {
            "arguments",
            "batched",
            "canonical",
            "cuts",
            "messages",
            "spatial",
            "spectrum",
            "subspace",
        },
    ),
    "fourier_pairs": (
        {"numpy"},
        {"arguments", "fourier", "messages", "parallel", "rounding", "spectrum", "subspace"},
    ),
    "inference": (NUMERIC, {"arguments", "subspace", "pairs", "preparation", "measures"}),
    "activations": ({"numpy"}, {"messages", "spatial"}),
    "structure": ({"numpy"}, set()),
    "datasets": ({"numpy"}, {"structure"}),
    "probe": ({"numpy"}, {"datasets", "structure"}),
    "store": (set(), {"arguments", "messages", "subspace"}),
    "description": ({"pydantic"}, {"files", "store"}),
    "snapshots": ({"numpy", "safetensors"}, {"factors", "files", "probe", "subspace"}),
    # fsspec knows the file systems behind URLs.
    "remote": ({"fsspec"}, {"messages"}),
    "run": (set(), {"description", "files", "probe", "remote", "snapshots", "store", "subspace"}),
    "panes": ({"numpy"}, {"definition", "measures", "subspace"}),
    "dynamics": (
        NUMERIC | {"xarray"},
        {"run", "inference", "measures", "pairs", "panes", "subspace", "messages"},
    ),
    "classes": ({"numpy"}, {"subspace"}),
    "directions": (
        NUMERIC,
        {"arguments", "canonical", "classes", "messages", "subspace"},
    ),
    "projection": ({"numpy"}, {"arguments", "rounding"}),
    "sensitivity": (
        {"numpy", "xarray"},
        {"arguments", "chance", "classes", "cuts", "run", "subspace"},
    ),
    "alignment": (
        {"numpy", "xarray"},
        {"directions", "messages", "run", "subspace"},
    ),
    "layer_names": (set(), {"messages", "run"}),
    "settling": (NUMERIC | {"xarray"}, {"dynamics", "layer_names", "run", "measures"}),
    "lagged": (NUMERIC | {"xarray"}, {"dynamics", "layer_names", "run", "subspace"}),
    "over_runs": (NUMERIC, {"arguments", "messages", "subspace"}),
    "seeds": (NUMERIC | {"xarray"}, {"dynamics", "over_runs", "run", "settling"}),
    "groups": (
        NUMERIC | {"xarray"},
        {"dynamics", "layer_names", "measures", "over_runs", "pairs", "run", "subspace"},
    ),
    "identification": (
        NUMERIC | {"xarray"},
        {"dynamics", "groups", "layer_names", "measures", "over_runs", "panes", "run", "subspace"},
    ),
    "callbacks.__init__": (set(), set()),
    "callbacks.selection": ({"keras"}, {"messages"}),
    "callbacks.collections": ({"keras"}, {"callbacks.selection"}),
    "callbacks.backends": ({"keras", "numpy", "tensorflow", "jax", "torch"}, set()),
    "callbacks.forward": (
        {"keras"},
        {"activations", "run", "callbacks.backends", "callbacks.selection"},
    ),
    "callbacks.capture": (
        {"keras", "numpy"},
        {
            "activations",
            "arguments",
            "messages",
            "probe",
            "run",
            "callbacks.backends",
            "callbacks.forward",
            "callbacks.rows",
            "callbacks.selection",
        },
    ),
    "callbacks.rows": ({"numpy"}, {"activations", "probe"}),
    "callbacks.faults": (set(), {"messages"}),
    "callbacks.history": ({"numpy"}, {"measures", "subspace"}),
    "callbacks.recording": (
        {"numpy"},
        {
            "measures",
            "messages",
            "panes",
            "parallel",
            "run",
            "subspace",
            "tensorboard.board",
            "callbacks.history",
        },
    ),
    "callbacks.ending": (set(), {"callbacks.faults", "callbacks.recording"}),
    "callbacks.clock": (set(), {"schedule"}),
    "callbacks.overhead": (set(), set()),
    "callbacks.observation": (
        set(),
        {
            *("activations parallel probe run subspace callbacks.backends".split()),
            *("callbacks.capture callbacks.recording callbacks.selection".split()),
        },
    ),
    "callbacks.opening": ({"keras", "numpy"}, {"description", "probe", "run", "store"}),
    "callbacks.monitor": (
        {"keras"},
        {
            *("activations measures messages probe sample_size schedule store".split()),
            *("callbacks.clock callbacks.ending callbacks.faults callbacks.observation".split()),
            *("callbacks.opening callbacks.overhead callbacks.recording".split()),
            "callbacks.selection",
        },
    ),
    "callbacks.freeze": (
        {"keras"},
        {"messages", "callbacks.monitor", "callbacks.selection"},
    ),
    "callbacks.replay": ({"keras"}, {"probe", "run", "callbacks.backends", "callbacks.monitor"}),
    "tensorboard.__init__": (set(), set()),
    # Pillow comes with matplotlib and writes the one-pixel-a-cell pane.
    "tensorboard.summary": ({"tensorboard", "numpy", "PIL"}, {"tensorboard.parts"}),
    "tensorboard.parts": ({"numpy"}, set()),
    "tensorboard.memory": (set(), set()),
    "tensorboard.events": ({"google", "tensorboard"}, {"files"}),
    "tensorboard.board": (
        {"tensorboard", "numpy"},
        {"tensorboard.summary", "tensorboard.events", "tensorboard.parts"},
    ),
    # TensorBoard loads these two, in its own process; Werkzeug is what its routes are made of.
    "tensorboard.loader": ({"tensorboard"}, {"tensorboard.plugin"}),
    "tensorboard.plugin": (
        {"tensorboard", "numpy", "werkzeug"},
        {
            "tensorboard.frames",
            "tensorboard.loader",
            "tensorboard.memory",
            "tensorboard.parts",
        },
    ),
    "tensorboard.frames": ({"numpy"}, set()),
    "convergence_plots": ({"matplotlib", "numpy", "xarray"}, {"messages"}),
    "direction_plots": ({"matplotlib", "numpy", "xarray"}, set()),
    "plots": (
        NUMERIC | {"matplotlib", "xarray"},
        {"convergence_plots", "direction_plots", "dynamics", "run"},
    ),
    # The page is that of the tab, and so is the form of its numbers.
    "report": (
        {"numpy"},
        {"files", "measures", "panes", "run", "settling", "tensorboard.frames"},
    ),
    "display": ({"rich", "numpy", "xarray"}, {"experiments.matrix", "experiments.sweep"}),
    "experiments.__init__": (set(), set()),
    "experiments.names": (set(), {"messages"}),
    "experiments.parameters": ({"pydantic", "typing_extensions"}, {"messages"}),
    "experiments.values": (
        {"pydantic"},
        {
            *("activations dynamics measures messages schedule store".split()),
            "experiments.parameters",
        },
    ),
    "experiments.sections": (
        {"pydantic"},
        {"cuts", "measures", "experiments.parameters", "experiments.values"},
    ),
    "experiments.signatures": (
        set(),
        {"messages", "experiments.names", "experiments.sections"},
    ),
    "experiments.documents": ({"yaml"}, set()),
    "experiments.config": (
        {"pydantic", "yaml"},
        {
            "messages",
            *("experiments.documents experiments.sections".split()),
            *("experiments.signatures experiments.values".split()),
        },
    ),
    "experiments.serialised": (
        {"keras"},
        {"messages", "experiments.names", "experiments.sections"},
    ),
    "experiments.provenance": (set(), set()),
    "experiments.text": ({"numpy"}, set()),
    "experiments.data": (
        {"numpy", "keras", "sklearn"},
        {"experiments.names", "experiments.sections", "experiments.text"},
    ),
    "experiments.residual": ({"keras"}, set()),
    "experiments.recurrent": ({"keras"}, set()),
    "experiments.models": (
        {"keras"},
        {
            "experiments.names",
            "experiments.sections",
            "experiments.recurrent",
            "experiments.residual",
        },
    ),
    "experiments.train": (
        {"keras"},
        {
            "callbacks.freeze",
            "callbacks.monitor",
            "callbacks.replay",
            "files",
            "probe",
            "remote",
            "run",
            "experiments.config",
            "experiments.data",
            "experiments.models",
            "experiments.provenance",
            "experiments.serialised",
        },
    ),
    # Beside a client that was given, Dask is imported here and where its futures are waited for.
    "cluster": ({"dask"}, set()),
    "experiments.all_pairs": (
        {"numpy", "xarray"},
        {"dynamics", "groups", "layer_names", "measures", "run"},
    ),
    "experiments.cell": (
        set(),
        {"files", "experiments.config", "experiments.documents", "experiments.train"},
    ),
    "experiments.matrix": (set(), {"messages", "experiments.config"}),
    "experiments.sweep": (
        {"dask"},
        {
            *("files remote experiments.cell experiments.config".split()),
            *("experiments.documents experiments.matrix".split()),
        },
    ),
    "pictures": (set(), {"dynamics", "plots", "run", "seeds", "showing"}),
    "showing": (
        {"rich"},
        {"comparison_tables", "display", "dynamics", "lagged", "run", "seeds", "settling"},
    ),
    "comparison_tables": ({"rich", "numpy", "xarray"}, set()),
    "comparing": (
        {"rich"},
        {
            *("comparison_tables groups identification over_runs remote run showing".split()),
        },
    ),
    "cli": (
        {"typer", "rich"},
        {
            *("run sensitivity plots pictures display showing comparing cluster report".split()),
            *("experiments.config experiments.matrix experiments.sweep".split()),
            "experiments.train",
        },
    ),
}


def modules_in(package):
    return {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in package.rglob("*.py")
    }


def imports_of(source, module):
    """(third-party packages, own modules) that a file imports, wherever in the file."""
    packages, own = set(), set()
    parents = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1]
            if node.module:
                base = base + node.module.split(".")
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                own.add(whole if whole in TABLE else ".".join(base))
    return packages - set(sys.stdlib_module_names), own


def violations(sources):
    """What the table does not allow in `{module: source}`."""
    found = []
    for module, source in sources.items():
        allowed_packages, allowed_own = TABLE.get(module, (set(), set()))
        packages, own = imports_of(source, module)
        found += [f"{module} imports {name}" for name in sorted(packages - allowed_packages)]
        found += [f"{module} imports our {name}" for name in sorted(own - allowed_own)]
    return found


def test_every_module_is_in_the_table_and_every_row_is_a_module():
    assert set(modules_in(PACKAGE)) == set(TABLE)


def test_modules_import_only_what_the_table_allows():
    sources = {name: path.read_text("utf-8") for name, path in modules_in(PACKAGE).items()}
    assert violations(sources) == []


@pytest.mark.parametrize(
    ("module", "source", "violation"),
    [
        ("subspace", "import keras", "subspace imports keras"),
        ("run", "def f():\n    from tensorboard import data", "run imports tensorboard"),
        ("measures", "from .run import Run", "measures imports our run"),
        ("callbacks.history", "from .capture import x", "callbacks.history imports our callbacks"),
        ("tensorboard.events", "from ..run import Run", "tensorboard.events imports our run"),
    ],
)
def test_the_check_can_fail(module, source, violation):
    assert any(found.startswith(violation) for found in violations({module: source}))


def test_each_row_allows_only_what_is_used():
    unused = []
    for module, path in modules_in(PACKAGE).items():
        packages, own = imports_of(path.read_text("utf-8"), module)
        unused += [f"{module}: {name}" for name in TABLE[module][1] - own]
        unused += [f"{module}: {name}" for name in TABLE[module][0] - NUMERIC - packages]
    assert unused == []


def loaded_after(statement, *, blocked=()):
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {list(blocked)!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        f"sys.meta_path.insert(0, Absent())\n{statement}\n"
        f"print([name for name in {HEAVY!r} if sys.modules.get(name) is not None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import svcca_monitor") == []


def test_numerics_and_runs_work_where_no_framework_is_installed(made_run):
    run = made_run()
    statement = (
        "import numpy as np, svcca_monitor as sm\n"
        "x = np.random.default_rng(0).normal(size=(50, 4))\n"
        "assert abs(sm.svcca(x, x) - 1) < 1e-9\n"
        f"run = sm.Run({str(run.path)!r})\n"
        "assert run.steps == [0, 1, 2, 3, 4] and list(run.snapshot(4)) == ['low', 'mid', 'high']\n"
        "assert sm.convergence(run).sizes['layer'] == 3"
    )
    frameworks = ("keras", "tensorflow", "jax", "torch", "tensorboard", "matplotlib")
    assert set(loaded_after(statement, blocked=frameworks)) <= {"pandas", "xarray"}


def test_event_files_are_written_without_tensorflow(tmp_path):
    statement = (
        "import numpy as np\n"
        "from svcca_monitor.tensorboard.board import Board\n"
        f"board = Board(__import__('pathlib').Path({str(tmp_path)!r}), 'svcca', ['a', 'b'])\n"
        "board.snapshot(0, np.eye(2), np.empty((2, 0)), chance=[0.1, None], first=True)"
    )
    assert loaded_after(statement, blocked=("tensorflow", "keras")) == ["tensorboard"]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_exported_names_are_the_promised_names():
    import svcca_monitor

    promised = {
        *("Subspace canonical_correlations cca mean_cca cca_r2 svcca pwcca linear_cka".split()),
        *("debiased_cka rsa pls permutation_test bootstrap_interval PermutationTest".split()),
        *("similarity_intervals SimilarityIntervals".split()),
        *("procrustes similarity similarity_grid MEASURES chance_level CCAResult".split()),
        *("fourier_cca fourier_grid FourierCCAResult Spectrum fourier_resize".split()),
        *("resize_bilinear fold_space stride_space".split()),
        *("Moments MinibatchCKA GramMatrices".split()),
        *("ProbeSet ProbeMismatchError Run Store LayerInfo".split()),
        *("RunFormatError RunMismatchError".split()),
        *("class_sensitivity class_gaps aligned_directions raw_neurons DirectionPairs".split()),
        *("class_share ClassShare project alignment".split()),
        *("learning_dynamics pane trajectory compare convergence plots".split()),
        *("convergence_over_seeds dynamics_over_seeds lagged_convergence".split()),
        *("compare_groups identify_layers identify_layers_over_runs".split()),
        *("SVCCAMonitor FreezeTraining RunInUseError replay CheckpointError log_spaced".split()),
    }
    assert set(svcca_monitor.__all__) == promised
    assert all(getattr(svcca_monitor, name) is not None for name in promised)
