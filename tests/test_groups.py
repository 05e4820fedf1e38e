import numpy as np
import pytest
from several_runs import write_run

from svcca_monitor import MEASURES, ProbeMismatchError, compare_groups, similarity


@pytest.fixture
def groups(tmp_path):
    """Three runs that have much in common, and three that have little."""
    return {
        "alike": [write_run(tmp_path / f"a{i}", i, own=0.3) for i in range(3)],
        "unlike": [write_run(tmp_path / f"u{i}", 10 + i, own=3.0) for i in range(3)],
    }


def by_hand(groups, g, h, layer, **options):
    """Mean over pairs of runs, each compared by itself."""
    a, b = ([run.snapshot(4)[layer] for run in groups[name]] for name in (g, h))
    pairs = [(x, y) for k, x in enumerate(a) for y in (a[:k] if g == h else b)]
    both = [(similarity(x, y, **options) + similarity(y, x, **options)) / 2 for x, y in pairs]
    return np.mean(both), len(pairs)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("adjusted", [False, True])
def test_groups_are_compared_over_pairs_of_runs_by_every_measure(groups, measure, adjusted):
    found = compare_groups(
        groups, layers=["low", "high"], measure=measure, adjusted=adjusted, n_resamples=20
    )
    assert found["layer"].values.tolist() == ["low", "high"]
    # A level by permutation comes from one order of the samples for all pairs, or from another.
    exact = not adjusted or MEASURES[measure].chance is not None
    for g, h in ("alike", "alike"), ("alike", "unlike"), ("unlike", "unlike"):
        for layer in ("low", "high"):
            cell = found.sel(layer=layer, group=g, other_group=h)
            expected, n_pairs = by_hand(groups, g, h, layer, measure=measure, adjusted=adjusted)
            assert float(cell["similarity"]) == pytest.approx(expected, abs=1e-6 if exact else 0.05)
            assert int(cell["n_pairs"]) == n_pairs
            mirrored = found.sel(layer=layer, group=h, other_group=g)
            assert float(mirrored["similarity"]) == float(cell["similarity"])


def test_what_runs_have_in_common_shows_within_their_group(groups):
    found = compare_groups(groups)
    assert found.attrs["method"] == "jackknife"
    within = found.sel(layer="high", group="alike", other_group="alike")
    other = found.sel(layer="high", group="unlike", other_group="unlike")
    assert float(within["lower"]) > float(other["upper"])
    assert float(within["lower"]) < float(within["similarity"]) < float(within["upper"])


def test_an_interval_does_not_reach_beyond_the_similarity_of_equals_or_strangers(tmp_path):
    from svcca_monitor.over_runs import pair_mean_interval

    runs = [write_run(tmp_path / str(i), i, own=own) for i, own in enumerate((0.02, 0.02, 0.9))]
    found = compare_groups({"all": runs}).sel(layer="high", group="all", other_group="all")
    pairs = np.ones((1, 3, 3))
    for i, a in enumerate(runs):
        for j, b in enumerate(runs):
            pairs[0, i, j] = similarity(a.snapshot(4)["high"], b.snapshot(4)["high"])
    _, low, high = pair_mean_interval(pairs, range(3))
    assert high[0] > 1  # or else this shows nothing
    assert low[0] < 0
    assert (float(found["lower"]), float(found["upper"])) == (0.0, 1.0)
    adjusted = compare_groups({"all": runs}, adjusted=True)["lower"].sel(layer="high")
    assert float(adjusted.squeeze()) < 0  # with chance taken off, there is room below


def test_unrelated_runs_score_chance(groups):
    found = compare_groups(groups).sel(layer="high", group="unlike", other_group="unlike")
    from svcca_monitor import chance_level

    assert float(found["chance"]) == pytest.approx(
        chance_level("svcca", n_samples=120, dims_x=5, dims_y=5)
    )
    adjusted = compare_groups(groups, adjusted=True)
    np.testing.assert_allclose(adjusted["chance"], 0.0, atol=1e-12)
    assert abs(float(adjusted["similarity"].sel(layer="high")[1, 1])) < 0.1


@pytest.mark.parametrize("measure", ["pwcca", "cka"])
def test_chance_is_known_for_every_measure(groups, measure):
    found = compare_groups(groups, measure=measure, n_resamples=20)
    assert np.isfinite(found["chance"]).all()
    unlike = found.sel(layer="high", group="unlike", other_group="unlike")
    assert float(unlike["similarity"]) == pytest.approx(float(unlike["chance"]), abs=0.1)


def test_any_step_can_be_compared(groups):
    first = compare_groups(groups, step="initial")
    assert first.attrs["step"] == "initial"
    np.testing.assert_array_equal(first["similarity"], compare_groups(groups, step=0)["similarity"])
    assert float(first["similarity"].sel(layer="low")[0, 0]) < 0.4


def test_layers_are_those_that_all_runs_have(groups, tmp_path):
    groups["alike"].append(write_run(tmp_path / "narrow", 5, layers=("low", "mid")))
    assert compare_groups(groups)["layer"].values.tolist() == ["low", "mid"]
    with pytest.raises(ValueError, match="Unknown layer 'hihg'"):
        compare_groups(groups, layers=["hihg"])
    stranger = write_run(tmp_path / "stranger", 5, layers=("conv", "dense"))
    with pytest.raises(ValueError, match="No layer is in all runs"):
        compare_groups({"one": groups["alike"], "other": [stranger]})


def test_a_layer_that_one_snapshot_lacks_costs_its_pairs_alone(groups):
    run = groups["alike"][0]
    layers = run.snapshot(4)
    run.write_snapshot(5, {name: layers[name] for name in ("low", "high")}, epoch=5)
    found = compare_groups(groups).sel(group="alike", other_group="alike")
    assert found["n_pairs"].values.tolist() == [3, 1, 3]
    assert np.isfinite(found["similarity"]).all()


def test_other_probes_single_runs_and_repeated_runs_are_refused(groups, tmp_path):
    other = write_run(tmp_path / "other", 0, probe=1)
    first = groups["alike"][0]
    mine, its = (run.probe_fingerprint[:16] for run in (first, other))
    with pytest.raises(
        ProbeMismatchError,
        match=rf"{first.path} belong to probe set {mine}…, but those in {other.path} to probe set "
        rf"{its}….*say data.seed",
    ):
        compare_groups({"a": [first], "b": [other]})
    with pytest.raises(ValueError, match="at least two runs. Received: 1"):
        compare_groups({"a": [other]})
    twice = groups["alike"][0]
    with pytest.raises(ValueError, match="is there twice"):
        compare_groups({"a": [twice], "b": [twice]})
    with pytest.raises(ValueError, match="Unknown measure 'svca'"):
        compare_groups(groups, measure="svca")
    with pytest.raises(KeyError, match="no snapshot of step 9"):
        compare_groups(groups, step=9)
