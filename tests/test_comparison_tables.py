"""What `show` says of several runs, and `compare` of two, of many and of groups."""

import io
import re

import fsspec
import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from several_runs import write_run
from typer.testing import CliRunner

from svcca_monitor import MEASURES, compare_groups, convergence_over_seeds, identify_layers
from svcca_monitor.cli import app
from svcca_monitor.comparison_tables import identification_table


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for i in range(3):
        write_run(tmp_path / f"logs/wide-{i}", i, own=0.3)
        write_run(tmp_path / f"logs/slim-{i}", 10 + i, own=2.0)
    return tmp_path / "logs"


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def row_of(text, layer):
    [row] = [line for line in text.splitlines() if line.split()[:1] == [layer]]
    return row


def test_show_of_several_runs_prints_means_with_intervals_within_80_columns(logs):
    from svcca_monitor import Run

    paths = sorted(logs.glob("wide-*"))
    done = call("show", *paths, "--plot", "plots")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines()[:-3])) <= 80
    settled = convergence_over_seeds([Run(path) for path in paths])
    mean, low, high = settled["half_time"].sel(layer="mid").values
    assert f"{mean:.1f} [{low:.1f}, {high:.1f}]" in row_of(done.output, "mid")
    tau, low, high = settled["bottom_up_index"].values
    assert f"{tau:+.2f} [{low:+.2f}, {high:+.2f}]" in done.output
    pictures = {"curves.png", "settled.png", "half_time.png"}
    assert {path.name for path in (logs.parent / "plots").iterdir()} == pictures


def test_show_of_one_run_prints_when_layers_settled_and_when_that_could_be_told(tmp_path):
    from svcca_monitor import convergence, lagged_convergence

    run = write_run(tmp_path / "run", 0, own=3.0, steps=range(8))
    done = call("show", tmp_path / "run")
    told = lagged_convergence(run)["convergence_epoch"]
    assert np.isfinite(told).any()  # or else this shows nothing
    assert np.isnan(told).any()
    for layer in run.layers:
        settled = convergence(run).sel(layer=layer)
        *_, area, half, epoch, rest, _ = row_of(done.output, layer).split()
        assert area == f"{float(settled['area_under_curve']):.3f}"
        assert half == f"{float(settled['half_time']):.1f}"
        assert epoch == f"{float(settled['convergence_epoch']):g}"
        at = float(told.sel(layer=layer))
        assert rest == ("–" if np.isnan(at) else f"{at:g}")
    assert "3 snapshots in a row at 0.98 or above to the snapshot 1 epoch earlier" in done.output


def test_compare_of_two_runs_shows_the_most_similar_layers(logs):
    from svcca_monitor import Run

    done = call("compare", logs / "wide-0", logs / "slim-0", "--measure", "cka")
    assert done.exit_code == 0, done.output
    found = identify_layers(Run(logs / "wide-0"), Run(logs / "slim-0"), measure="cka")
    for layer in ("low", "mid", "high"):
        row = found.sel(layer=layer)
        _, same, most, value = row_of(done.output, layer).split()
        assert same == f"{float(row['similarity_to_same']):.2f}"
        assert most == str(row["most_similar"].values)
        assert value == f"{float(row['similarity']):.2f}"
    assert "by chance 33%" in " ".join(done.output.split())


@pytest.mark.parametrize("method", ["bootstrap", "jackknife"])
def test_compare_takes_groups_by_the_folders_of_their_runs(logs, method):
    from svcca_monitor import Run

    (logs / "wide-notes").mkdir()  # no run: not taken for one
    arguments = ("--group", "wide=logs/wide-*", "--group", "slim=logs/slim-*", "--method", method)
    done = call("compare", *arguments)
    assert done.exit_code == 0, done.output
    groups = {name: [Run(logs / f"{name}-{i}") for i in range(3)] for name in ("wide", "slim")}
    found = compare_groups(groups, method=method).sel(layer="high")
    numbers = [float(n) for n in re.findall(r"-?\d\.\d\d", row_of(done.output, "high"))]
    pairs = [("wide", "wide"), ("slim", "slim"), ("wide", "slim")]
    cells = [found.sel(group=g, other_group=h) for g, h in pairs]
    expected = [float(c[key]) for c in cells for key in ("similarity", "lower", "upper")]
    np.testing.assert_allclose(numbers[:-1], expected, atol=0.005001)
    assert ("jackknife hold more often" in " ".join(done.output.split())) == (method == "bootstrap")


def test_compare_identifies_layers_by_every_measure(logs):
    done = call("compare", *sorted(logs.glob("wide-*")), "--identify")
    assert done.exit_code == 0, done.output
    for measure in MEASURES:
        assert "100%" in row_of(done.output, measure)
    assert "6 ordered pairs of 3 runs" in " ".join(done.output.split())


def test_of_many_layers_that_were_never_found_some_are_named():
    names = [f"layer_{i}" for i in range(12)]
    found = xr.Dataset(
        {
            **{key: ("measure", [0.0]) for key in ("share", "lower", "upper")},
            "share_of_layer": (("measure", "layer"), np.zeros((1, 12))),
            "chance": 1 / 12,
        },
        coords={"measure": ["cka"], "layer": names},
        attrs={"n_runs": 3, "interval": 0.95, "method": "jackknife"},
    )
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(identification_table(found))
    assert "layer_6, layer_7, and 4 more" in console.export_text()


def test_groups_are_found_at_a_url(logs):
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(logs), "/kept", recursive=True)
        at = [f"--group={kind}=memory://kept/{kind}-*" for kind in ("wide", "slim")]
        done = call("compare", *at)
        assert done.exit_code == 0, done.output
        here = call("compare", *[f"--group={kind}=logs/{kind}-*" for kind in ("wide", "slim")])
        assert done.output == here.output
    finally:
        memory.store.clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["logs/wide-0"], "Compare at least two runs"),
        ([], "Compare at least two runs"),
        (["--group", "logs/wide-*"], "A group is a name and a pattern"),
        (["--group", "none=logs/none-*"], "No run in a folder that matches 'logs/none-*'"),
        (["logs/wide-0", "logs/wide-0"], "is there twice"),
        (["logs/wide-0", "logs/wide-1", "--step", "9"], "no snapshot of step 9"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(logs, arguments, message):
    done = call("compare", *arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split())
