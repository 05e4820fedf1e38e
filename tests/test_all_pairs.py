"""All pairs of runs, here and on a real cluster on loopback."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from svcca_monitor import (
    LayerInfo,
    ProbeMismatchError,
    ProbeSet,
    Run,
    Subspace,
    compare_groups,
    similarity,
)
from svcca_monitor.cli import app
from svcca_monitor.experiments.all_pairs import compare_runs


@pytest.fixture
def places(tmp_path):
    """Three runs of two layers, on one probe set."""
    probe = ProbeSet(np.random.default_rng(0).normal(size=(80, 3)))
    shared = np.random.default_rng(1).normal(size=(80, 4))
    infos = [LayerInfo(name, "Dense", i, (None, 4), "mean") for i, name in enumerate(("low", "up"))]
    for seed in range(3):
        rng = np.random.default_rng(seed + 2)
        run = Run.create(tmp_path / f"seed={seed}", infos, probe, measure="svcca")
        for step in (0, 1):
            layers = {i.name: shared * step + rng.normal(size=(80, 4)) for i in infos}
            factors = {name: Subspace.from_activations(x) for name, x in layers.items()}
            run.write_snapshot(step, factors, epoch=step)
    return [tmp_path / f"seed={seed}" for seed in range(3)]


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
def test_every_pair_has_the_similarity_of_its_two_snapshots(places, measure):
    grid = compare_runs(places, measure=measure, layers=["u*"])
    assert grid.dims == ("layer", "run", "other_run")
    assert grid.shape == (1, 3, 3)
    layers = {place: Run(place).snapshot(1)["up"] for place in places}
    for a, x in layers.items():
        for b, y in layers.items():
            expected = similarity(x, y, measure=measure)
            value = float(grid.sel(layer="up", run=str(a), other_run=str(b)))
            assert value == pytest.approx(expected, abs=1e-12)


def work_done(dask_scheduler):
    """How often a task was done, or anything else about one changed."""
    return dask_scheduler.transition_counter


def test_a_cluster_gives_the_same_numbers(places, monkeypatch):
    from dask.distributed import Client

    monkeypatch.chdir(places[0].parent)  # workers have directories of their own
    names = [place.name for place in places]
    how = {"step": "initial", "adjusted": True}
    command = ["compare", *names, "--step", "initial", "--adjusted"]
    here = compare_runs(places, **how)
    groups_here = compare_groups({"all": list(map(Run, names))}, **how)
    table = CliRunner().invoke(app, command)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        there = compare_runs(places, client=client, **how)
        groups_there = compare_groups({"all": list(map(Run, names))}, client=client, **how)
        scheduler = ["--scheduler", client.scheduler.address]
        before = client.run_on_scheduler(work_done)
        table_there = CliRunner().invoke(app, [*command, *scheduler])
        assert client.run_on_scheduler(work_done) >= before + 2  # a task for each layer
        of_two = CliRunner().invoke(app, ["compare", *names[:2], *scheduler])
    np.testing.assert_allclose(there, here, atol=1e-12)
    xr.testing.assert_allclose(groups_there, groups_here)
    assert table.exit_code == 0, table.output
    assert table_there.output == table.output
    assert of_two.exit_code == 1
    assert "A cluster compares the same layers of three runs or more" in of_two.output


def test_runs_that_cannot_be_compared_are_refused(places, tmp_path):
    with pytest.raises(ValueError, match="at least two runs. Received: 1"):
        compare_runs(places[:1])
    with pytest.raises(ValueError, match="is there twice"):
        compare_runs([places[0], places[0]])
    with pytest.raises(KeyError, match="has no snapshot of step 7"):
        compare_runs(places, step=7)
    with pytest.raises(ValueError, match="Unknown measure 'svca'"):
        compare_runs(places, measure="svca")
    other = ProbeSet(np.random.default_rng(9).normal(size=(80, 3)))
    Run.create(tmp_path / "x", Run(places[0]).layer_info, other)
    with pytest.raises(ProbeMismatchError):
        compare_runs([places[0], tmp_path / "x"])
