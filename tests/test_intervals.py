"""Grids that carry their chance level and a bootstrap interval for each pair."""

import numpy as np
import pytest

from svcca_monitor import (
    MEASURES,
    Subspace,
    bootstrap_interval,
    chance_level,
    compare,
    learning_dynamics,
    pane,
    permutation_test,
    similarity,
    similarity_grid,
    similarity_intervals,
    trajectory,
)

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=(150, 4))
LAYERS = {
    "signal": np.hstack([SIGNAL, RNG.normal(size=(150, 3))]),
    "mixed": SIGNAL @ RNG.normal(size=(4, 6)) + 0.5 * RNG.normal(size=(150, 6)),
    "noise": RNG.normal(size=(150, 5)),
}
FEW = {"n_resamples": 20}


def widths(found):
    return found.upper - found.lower


@pytest.mark.parametrize("measure", MEASURES)
def test_values_are_those_of_the_grid_and_lie_in_their_intervals(measure):
    found = similarity_intervals(LAYERS, measure=measure, **FEW)
    np.testing.assert_array_equal(found.values, similarity_grid(LAYERS, measure=measure))
    assert (found.lower <= found.values).all()
    assert (found.values <= found.upper).all()
    assert (found.upper <= 1).all()
    assert found.rows == found.columns == list(LAYERS)
    # Identity is 1 whichever examples were drawn; what is noisy is not known exactly.
    np.testing.assert_allclose(np.diagonal(widths(found)), 0, atol=1e-9)
    assert widths(found)[0, 1] > 0.001


@pytest.mark.parametrize("measure", ["svcca", "cka_debiased", "pwcca"])
def test_intervals_are_those_of_a_single_pair(measure):
    found = similarity_intervals(LAYERS, measure=measure, seed=3, **FEW)
    pair = LAYERS["signal"], LAYERS["mixed"]
    low, high = bootstrap_interval(*pair, measure=measure, seed=3, **FEW)
    assert found.lower[0, 1] == pytest.approx(float(low), abs=1e-12)
    assert found.upper[0, 1] == pytest.approx(float(high), abs=1e-12)
    other = bootstrap_interval(*pair, measure=measure, seed=4, **FEW)
    assert float(other[0]) != pytest.approx(float(low), abs=1e-6)


def test_fewer_samples_make_wider_intervals():
    few = {name: x[:40] for name, x in LAYERS.items()}
    many, few = (similarity_intervals(x, measure="cka", n_resamples=60) for x in (LAYERS, few))
    off = ~np.eye(3, dtype=bool)
    assert (widths(few)[off] > widths(many)[off]).all()


def test_a_higher_level_makes_wider_intervals():
    narrow, wide = (
        similarity_intervals(LAYERS, measure="cka", level=level, **FEW) for level in (0.5, 0.95)
    )
    assert widths(narrow)[0, 1] < widths(wide)[0, 1]


@pytest.mark.parametrize("measure", ["cca", "svcca", "cca_r2", "cka", "cka_debiased"])
def test_chance_is_the_level_of_those_sizes(measure):
    found = similarity_intervals(LAYERS, measure=measure, **FEW)
    for i, x in enumerate(LAYERS.values()):
        for j, y in enumerate(LAYERS.values()):
            spaces = [Subspace.from_activations(a) for a in (x, y)]
            if measure == "svcca":
                spaces = [s.truncate(explained_variance=0.99) for s in spaces]
            dims = [s.effective_rank if measure == "cka" else s.rank for s in spaces]
            level = chance_level(measure, n_samples=150, dims_x=dims[0], dims_y=dims[1])
            assert found.chance[i, j] == pytest.approx(level, abs=1e-12)


@pytest.mark.parametrize("measure", ["pwcca", "rsa", "pls", "procrustes"])
def test_chance_without_a_closed_form_is_that_of_permutations(measure):
    found = similarity_intervals(LAYERS, measure=measure, **FEW)
    test = permutation_test(LAYERS, LAYERS, measure=measure, n_permutations=200)
    np.testing.assert_allclose(found.chance, test.chance, atol=0.015)


@pytest.mark.parametrize("measure", ["svcca", "cka", "cka_debiased"])
def test_unrelated_layers_lie_around_chance_and_related_ones_above(measure):
    rng = np.random.default_rng(1)
    beyond, gaps = [], []
    for _ in range(30):
        x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 4))
        found = similarity_intervals({"x": x}, {"y": y}, measure=measure, n_resamples=60)
        beyond.append(found.lower > found.chance)
        gaps.append(found.values - found.chance)
    assert np.mean(beyond) <= 0.1
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 30**0.5 + 1 / 60
    # The negative control.
    related = similarity_intervals(LAYERS, measure=measure, n_resamples=60)
    assert related.lower[0, 1] > related.chance[0, 1]


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
def test_an_adjusted_grid_has_all_on_the_scale_where_chance_is_zero(measure):
    plain = similarity_intervals(LAYERS, measure=measure, **FEW)
    found = similarity_intervals(LAYERS, measure=measure, adjusted=True, **FEW)
    np.testing.assert_allclose(
        found.values, similarity_grid(LAYERS, measure=measure, adjusted=True), atol=1e-12
    )
    assert (found.chance == 0).all()
    for end in ("lower", "upper"):
        expected = (getattr(plain, end) - plain.chance) / (1 - plain.chance)
        np.testing.assert_allclose(getattr(found, end), expected, atol=1e-12)
    # What is beyond chance does not hang on the scale.
    np.testing.assert_array_equal(found.lower > found.chance, plain.lower > plain.chance)


def test_an_interval_of_an_unbiased_measure_may_reach_below_zero():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 40, 6))
    y[:, 0] += 0.7 * x[:, 0]
    value = similarity(x, y, measure="cka_debiased")
    low, high = bootstrap_interval(x, y, measure="cka_debiased", n_resamples=50)
    assert low < -0.01 < 0 < value < high
    assert bootstrap_interval(x, y, measure="cka", n_resamples=50)[0] >= 0


@pytest.mark.filterwarnings("ignore:Few samples")
def test_biased_values_of_few_samples_lie_in_their_intervals():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 40, 15))
    low, high = bootstrap_interval(x, y, measure="cca", **FEW)
    assert low < high == similarity(x, y, measure="cca")


def test_resamples_that_are_constant_are_left_out():
    spike = np.zeros((6, 1))
    spike[0] = 1
    found = similarity_intervals({"spike": spike}, {"x": LAYERS["noise"][:6, :1]}, n_resamples=50)
    assert np.isfinite([found.lower, found.upper]).all()


@pytest.mark.parametrize("measure", ["svcca", "pls"])
def test_a_constant_layer_is_nan_in_every_grid(measure):
    layers = {"flat": np.ones((150, 2)), "noise": LAYERS["noise"]}
    with pytest.warns(UserWarning, match="Constant over the probe set: flat"):
        found = similarity_intervals(layers, measure=measure, **FEW)
    for grid in (found.values, found.chance, found.lower, found.upper):
        assert np.isnan(grid).tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("measure", ["svcca", "pls"])
def test_a_grid_without_layers_is_empty(measure):
    found = similarity_intervals([], measure=measure)
    assert found.values.shape == found.chance.shape == found.lower.shape == (0, 0)


def test_layers_are_factorised_once(monkeypatch):
    calls = []
    whole = Subspace.from_activations.__func__

    def counted(cls, x, **options):
        calls.append(options.get("name"))
        return whole(cls, x, **options)

    monkeypatch.setattr(Subspace, "from_activations", classmethod(counted))
    similarity_intervals(LAYERS, **FEW)
    assert sorted(name for name in calls if name) == sorted(LAYERS)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`level` must be a number in \(0, 1\). Received: level"):
        similarity_intervals(LAYERS, level=95)
    with pytest.raises(ValueError, match="`n_resamples` must be a whole number, at least 2"):
        similarity_intervals(LAYERS, n_resamples=1)
    with pytest.raises(TypeError, match="'explained_varience' of svcca"):
        similarity_intervals(LAYERS, explained_varience=0.9)


def test_a_pane_of_a_stored_run_carries_chance_and_interval(made_run):
    run = made_run()
    grid = pane(run, 1, interval=0.9, n_resamples=30)
    now, then = run.snapshot(1), run.snapshot(4)
    found = similarity_intervals(now, then, level=0.9, n_resamples=30)
    for name in ("chance", "lower", "upper"):
        assert grid[name].dims == ("layer", "reference_layer")
        np.testing.assert_array_equal(grid[name], getattr(found, name))
    assert ((grid["lower"] <= grid) & (grid <= grid["upper"])).all()
    assert grid.attrs["interval"] == 0.9
    # `low` has nearly settled at step 1, `high` is still as unlike its end as another layer.
    above = (grid["lower"] > grid["chance"]).sel
    assert above(layer="low", reference_layer="low")
    assert not above(layer="low", reference_layer="high")
    np.testing.assert_array_equal(grid, pane(run, 1))


def test_the_chance_of_panes_and_curves_is_known_where_it_has_a_closed_form(made_run):
    run = made_run()
    dims = [s.truncate(explained_variance=0.99).rank for s in run.snapshot(4).values()]
    level = chance_level("svcca", n_samples=200, dims_x=dims[0], dims_y=dims[0])
    arrays = (pane(run, 2), compare(run, run), trajectory(run, "mid"), learning_dynamics(run))
    for found in arrays:
        assert found["chance"].dims == found.dims
        assert found["chance"].values[0, 0] == pytest.approx(level)
        assert "lower" not in found.coords
        assert "interval" not in found.attrs
    assert np.isnan(pane(run, 2, measure="pwcca")["chance"]).all()
    assert np.isfinite(pane(run, 2, measure="pwcca", interval=0.95, **FEW)["chance"]).all()


def test_the_chance_of_adjusted_panes_and_curves_is_zero(made_run):
    run = made_run()
    for options in ({}, {"measure": "pwcca"}):
        adjusted = {**options, "adjusted": True}
        arrays = (pane(run, 2, **adjusted), learning_dynamics(run, **adjusted))
        for found in arrays:
            assert (found["chance"] == 0).all()


def test_an_adjusted_pane_has_its_interval_on_the_same_scale(made_run):
    run = made_run()
    grid = pane(run, 1, adjusted=True, interval=0.95, **FEW)
    plain = pane(run, 1, interval=0.95, **FEW)
    expected = (plain["lower"] - plain["chance"]) / (1 - plain["chance"])
    np.testing.assert_allclose(grid["lower"], expected, atol=1e-12)
    np.testing.assert_array_equal(grid, pane(run, 1, adjusted=True))


def test_two_runs_are_compared_with_intervals(made_run, tmp_path):
    run, other = made_run(), made_run(tmp_path / "other")
    grid = compare(run, other, interval=0.95, **FEW)
    assert grid["lower"].dims == ("layer_a", "layer_b")
    np.testing.assert_allclose(np.diagonal(grid["lower"]), 1, atol=1e-6)
    assert (grid["upper"] - grid["lower"]).values[0, 1] > 0.01


def test_a_layer_left_out_of_a_snapshot_has_neither_chance_nor_interval(made_run):
    run = made_run(steps=(0, 1))
    layers = run.snapshot(1)
    del layers["mid"]
    run.write_snapshot(2, layers, epoch=2)
    grid = pane(run, 2, 0, interval=0.95, **FEW)
    for name in ("chance", "lower", "upper"):
        assert np.isnan(grid[name]).values.tolist() == [[False] * 3, [True] * 3, [False] * 3]


def test_a_size_of_interval_that_is_no_share_is_refused(made_run):
    with pytest.raises(ValueError, match=r"`interval` is a share .* Received: interval=95"):
        pane(made_run(), 1, interval=95)
