import numpy as np
import pytest

from svcca_monitor import (
    ProbeMismatchError,
    ProbeSet,
    Run,
    compare,
    learning_dynamics,
    pane,
    svcca,
    trajectory,
)

LAYERS = ["low", "mid", "high"]


def test_learning_dynamics_compare_each_layer_with_itself_at_the_end(made_run):
    run = made_run()
    curves = learning_dynamics(run)
    assert curves.dims == ("step", "layer")
    assert curves["step"].values.tolist() == [0, 1, 2, 3, 4]
    assert curves["layer"].values.tolist() == LAYERS
    assert curves["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    for step in run.steps:
        for name in LAYERS:
            expected = svcca(run.snapshot(step)[name], run.snapshot(4)[name])
            assert float(curves.sel(step=step, layer=name)) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(curves.sel(step=4), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("reference", "other"),
    [("initial", lambda s: 0), ("previous", lambda s: s - 1), (2, lambda s: 2)],
)
def test_the_reference_can_be_any_moment(made_run, reference, other):
    run = made_run()
    curves = learning_dynamics(run, reference=reference, measure="cka")
    for step in run.steps[1:]:
        expected = pane(run, step, reference=other(step), measure="cka").sel(
            layer="mid", reference_layer="mid"
        )
        assert float(curves.sel(step=step, layer="mid")) == pytest.approx(float(expected))
    assert np.isnan(curves.sel(step=0)).all() == (reference == "previous")


def test_a_pane_has_layers_now_in_rows_and_at_the_reference_in_columns(made_run):
    run = made_run()
    grid = pane(run, 1)
    assert grid.dims == ("layer", "reference_layer")
    expected = svcca(run.snapshot(1)["low"], run.snapshot(4)["high"])
    value = float(grid.sel(layer="low", reference_layer="high"))
    assert value == pytest.approx(expected, abs=1e-12)
    # The negative control: rows and columns are not the same.
    assert value != pytest.approx(float(grid.sel(layer="high", reference_layer="low")), abs=1e-3)


def test_a_trajectory_is_symmetric_with_ones_on_the_diagonal(made_run):
    run = made_run()
    steps = trajectory(run, "mid")
    assert steps.dims == ("step", "other_step")
    np.testing.assert_allclose(np.diagonal(steps), 1.0, atol=1e-6)
    np.testing.assert_array_equal(steps, steps.values.T)
    curve = learning_dynamics(run).sel(layer="mid")
    np.testing.assert_allclose(steps.sel(other_step=4), curve, atol=1e-12)


def test_runs_are_compared_on_the_same_probe_set_only(made_run, tmp_path):
    run = made_run()
    other = made_run(tmp_path / "other")
    grid = compare(run, other)
    assert grid.dims == ("layer_a", "layer_b")
    np.testing.assert_allclose(np.diagonal(grid), 1.0, atol=1e-6)
    stranger = Run.create(
        tmp_path / "stranger",
        run.layer_info,
        ProbeSet(np.random.default_rng(9).normal(size=(200, 3))),
    )
    with pytest.raises(ProbeMismatchError):
        compare(run, stranger)


def test_a_layer_left_out_of_a_snapshot_is_nan_there_and_nowhere_else(made_run):
    run = made_run(steps=(0, 1))
    layers = run.snapshot(1)
    del layers["mid"]
    run.write_snapshot(2, layers, epoch=2)
    run.write_snapshot(3, run.snapshot(1), epoch=3)
    curves = learning_dynamics(run)
    assert np.isnan(curves.sel(layer="mid")).values.tolist() == [False, False, True, False]
    assert np.isfinite(curves.sel(layer="low")).all()
    grid = pane(run, 2)
    assert grid["layer"].values.tolist() == LAYERS
    assert np.isnan(grid).values.tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert np.isnan(trajectory(run, "mid").sel(step=2)).all()
    assert np.isfinite(trajectory(run, "mid").sel(step=0, other_step=3))


def test_missing_steps_and_empty_runs_are_named(made_run, tmp_path):
    run = made_run()
    with pytest.raises(KeyError, match="no snapshot of step 9"):
        learning_dynamics(run, reference=9)
    with pytest.raises(ValueError, match="Unknown reference 'finale'. Did you mean 'final'"):
        pane(run, 1, reference="finale")
    with pytest.raises(ValueError, match="Step 0 is the first of the run"):
        pane(run, 0, reference="previous")
    with pytest.raises(ValueError, match="Unknown layer 'lwo'"):
        trajectory(run, "lwo")
    empty = Run.create(tmp_path / "empty", run.layer_info, ProbeSet(np.eye(200)))
    with pytest.raises(ValueError, match="no snapshot yet"):
        learning_dynamics(empty)


def test_adjusted_results_have_chance_at_zero(made_run):
    from svcca_monitor import similarity

    run = made_run()
    expected = similarity(run.snapshot(0)["mid"], run.snapshot(4)["mid"], adjusted=True)
    assert expected < svcca(run.snapshot(0)["mid"], run.snapshot(4)["mid"])
    curve = learning_dynamics(run, adjusted=True).sel(layer="mid", step=0)
    cell = pane(run, 0, adjusted=True).sel(layer="mid", reference_layer="mid")
    far = trajectory(run, "mid", adjusted=True).sel(step=0, other_step=4)
    between = compare(run, run, step=0, adjusted=True).sel(layer_a="low", layer_b="mid")
    for value in (curve, cell, far):
        assert float(value) == pytest.approx(expected)
    assert float(between) == pytest.approx(
        similarity(run.snapshot(0)["low"], run.snapshot(0)["mid"], adjusted=True)
    )
