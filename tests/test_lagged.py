import shutil

import numpy as np
import pytest
from several_runs import write_run

from svcca_monitor import Run, lagged_convergence, learning_dynamics, similarity


def test_each_snapshot_is_compared_with_the_one_a_lag_before(tmp_path):
    run = write_run(tmp_path / "run", 0)
    found = lagged_convergence(run, lag=2)
    assert np.isnan(found["similarity"].sel(step=[0, 1])).all()
    for step in 2, 3, 4:
        now, then = run.snapshot(step)["mid"], run.snapshot(step - 2)["mid"]
        value = float(found["similarity"].sel(step=step, layer="mid"))
        assert value == pytest.approx(similarity(now, then, adjusted=True))
    np.testing.assert_array_equal(found["lag"], [np.nan, np.nan, 2, 2, 2])
    previous = learning_dynamics(run, "previous", measure="cka")
    one = lagged_convergence(run, lag=1, measure="cka", adjusted=False)
    np.testing.assert_allclose(one["similarity"], previous)


def test_where_no_snapshot_is_a_lag_old_the_next_older_one_is_taken(tmp_path):
    run = write_run(tmp_path / "run", 0, steps=(0, 1, 3, 4, 9, 10))
    found = lagged_convergence(run, lag=2)
    np.testing.assert_array_equal(found["lag"], [np.nan, np.nan, 2, 3, 5, 6])


def test_a_layer_has_converged_after_patience_snapshots_above_the_threshold(tmp_path):
    run = write_run(tmp_path / "run", 0, steps=range(9))
    values = lagged_convergence(run)["similarity"]
    threshold = float(np.nanmedian(values))
    for patience in 1, 2, 3:
        found = lagged_convergence(run, threshold=threshold, patience=patience)
        for layer in run.layers:
            above = [value >= threshold for value in values.sel(layer=layer).values]
            expected = [
                i + 1 >= patience and all(above[i + 1 - patience : i + 1]) for i in range(9)
            ]
            assert found["converged"].sel(layer=layer).values.tolist() == expected
            first = float(found["convergence_epoch"].sel(layer=layer))
            assert first == expected.index(True) if any(expected) else np.isnan(first)
    assert lagged_convergence(run, patience=9)["converged"].sum() == 0


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
@pytest.mark.parametrize("steps", [range(8), (0, 1, 2, 4, 5, 8, 16, 17)])
def test_nothing_that_comes_later_changes_an_earlier_answer(tmp_path, measure, steps):
    """The whole run against every run that was cut off; with the end known it would not hold."""
    how = {"lag": 2, "threshold": 0.5, "patience": 2, "measure": measure}
    run = write_run(tmp_path / "whole", 0, steps=tuple(steps))
    whole = lagged_convergence(run, **how)
    assert 0 < int(whole["converged"].sum()) < whole["converged"].size
    for n in range(1, len(run.steps)):
        shutil.copytree(tmp_path / "whole", tmp_path / "cut")
        cut = Run(tmp_path / "cut")
        for step in run.steps[n:]:
            cut.snapshot_path(step).unlink()
        found = lagged_convergence(cut, **how)
        for key in "similarity", "converged":
            np.testing.assert_array_equal(found[key], whole[key][:n])
        said = found["convergence_epoch"].values
        known = np.isfinite(said)
        np.testing.assert_array_equal(said[known], whole["convergence_epoch"].values[known])
        later = whole["convergence_epoch"].values[~known]
        assert not (later <= run.epochs[n - 1]).any()
        shutil.rmtree(tmp_path / "cut")


def test_a_run_that_never_stops_moving_has_not_converged_although_its_end_is_its_end(tmp_path):
    run = write_run(tmp_path / "run", 0, own=3.0)
    assert np.isnan(lagged_convergence(run, layers=["high"])["convergence_epoch"]).all()
    from svcca_monitor import convergence

    assert np.isfinite(convergence(run, layers=["high"])["convergence_epoch"]).all()


def test_some_layers_keep_their_depth(tmp_path):
    found = lagged_convergence(write_run(tmp_path / "run", 0), layers=["mid", "h*"])
    assert found["layer"].values.tolist() == ["mid", "high"]
    assert found["depth"].values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": 0}, "`lag` is a positive number of epochs. Received: lag=0"),
        ({"threshold": 1.5}, "`threshold` is a similarity in"),
        ({"patience": 0}, "`patience` is at least 1 snapshot. Received: patience=0"),
        ({"layers": ["hihg"]}, "Did you mean 'high'"),
    ],
)
def test_what_is_out_of_range_is_told(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        lagged_convergence(write_run(tmp_path / "run", 0), **options)
