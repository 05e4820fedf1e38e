import numpy as np
import pytest
from several_runs import LAYERS, write_run

from svcca_monitor import (
    MEASURES,
    ProbeMismatchError,
    Subspace,
    compare,
    identify_layers,
    identify_layers_over_runs,
)


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / str(i), i, own=1.5, steps=(0, 1)) for i in range(3)]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_most_similar_layer_is_the_highest_of_its_row(runs, measure):
    found = identify_layers(*runs[:2], measure=measure)
    grid = compare(*runs[:2], measure=measure)
    for layer in LAYERS:
        row = {other: float(grid.sel(layer_a=layer, layer_b=other)) for other in LAYERS}
        best = max(row, key=row.get)
        cell = found.sel(layer=layer)
        assert str(cell["most_similar"].values) == best
        assert float(cell["similarity"]) == pytest.approx(row[best])
        assert float(cell["similarity_to_same"]) == pytest.approx(row[layer])
        assert bool(cell["found"]) == (best == layer)
    assert float(found["share"]) == pytest.approx(float(found["found"].mean()))
    assert float(found["chance"]) == pytest.approx(1 / 3)


def test_layers_with_much_in_common_are_found_and_untrained_ones_are_not(runs):
    ended = identify_layers_over_runs(runs, n_resamples=20)
    began = identify_layers_over_runs(runs, step="initial", n_resamples=20)
    assert ended["measure"].values.tolist() == list(MEASURES)
    assert (ended["share"].sel(measure=["cka", "svcca", "procrustes"]) == 1.0).all()
    assert float(began["share"].mean()) < 0.7


def test_the_share_is_over_all_ordered_pairs(tmp_path):
    runs = [write_run(tmp_path / str(i), i, own=6.0, steps=(0, 1)) for i in range(4)]
    found = identify_layers_over_runs(runs, measures=["pwcca", "cka"])
    for measure in ("pwcca", "cka"):
        each = [
            identify_layers(a, b, measure=measure)["found"].values
            for a in runs
            for b in runs
            if a is not b
        ]
        at = found.sel(measure=measure)
        assert len(each) == 12
        assert 0 < np.mean(each) < 1  # or else this shows nothing
        assert float(at["share"]) == pytest.approx(np.mean(each))
        np.testing.assert_allclose(at["share_of_layer"], np.mean(each, axis=0))
        assert 0 <= float(at["lower"]) <= float(at["share"]) <= float(at["upper"]) <= 1


def test_of_equal_layers_the_lower_one_is_taken(runs, tmp_path):
    run = runs[0]
    layer = run.snapshot(1)["low"]
    run.write_snapshot(2, dict.fromkeys(LAYERS, layer), epoch=2)
    other = write_run(tmp_path / "same", 0, own=1.5, steps=(0, 1))
    found = identify_layers(run, other, measure="cka", step="final")
    assert set(found["most_similar"].values) == {"low"}
    assert found["found"].values.tolist() == [1, 0, 0]
    found = identify_layers(other, run, measure="cka")
    assert set(found["most_similar"].values) == {"low"}


@pytest.mark.filterwarnings("ignore:Constant over the probe set")
def test_a_layer_without_a_value_counts_neither_way(runs):
    layers = runs[0].snapshot(1)
    layers["mid"] = Subspace.from_activations(np.ones((120, 5)))
    runs[0].write_snapshot(2, layers, epoch=2)
    found = identify_layers(*runs[:2])
    assert found["most_similar"].values.tolist() == ["low", "", "high"]
    assert np.isnan(found["found"]).values.tolist() == [False, True, False]
    assert float(found["share"]) == 1.0


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    other = write_run(tmp_path / "other", 0, probe=1)
    with pytest.raises(ProbeMismatchError):
        identify_layers(runs[0], other)
    with pytest.raises(ValueError, match="Unknown measure 'ckaa'. Did you mean 'cka'"):
        identify_layers_over_runs(runs, measures=["ckaa"])
    with pytest.raises(ValueError, match="at least two runs"):
        identify_layers_over_runs(runs[:1])
