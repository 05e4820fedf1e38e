"""Which classes a layer tells apart: against definitions, theorems and chance."""

import numpy as np
import pytest
from scipy import stats

from svcca_monitor import (
    LayerInfo,
    ProbeSet,
    Run,
    Subspace,
    chance_level,
    class_gaps,
    class_sensitivity,
    plots,
)
from svcca_monitor.activations import Mean

N = 300
LABELS = np.arange(N) % 3


def noise(k, *, n=N, seed=0):
    return np.random.default_rng(seed).normal(size=(n, k))


def by_regression(layer, column):
    """The multiple correlation of textbooks: that of the column and its least-squares fit."""
    design = np.column_stack([np.ones(len(layer)), layer])
    fit = design @ np.linalg.lstsq(design, column, rcond=None)[0]
    return np.corrcoef(fit, column)[0, 1]


def test_sensitivity_is_the_multiple_correlation_of_a_regression():
    layer = noise(7) + 0.5 * (LABELS == 1)[:, None]
    found = class_sensitivity({"layer": layer}, LABELS, explained_variance=None)
    assert found.dims == ("layer", "class")
    for c in range(3):
        expected = by_regression(layer, (c == LABELS).astype(float))
        assert float(found.sel({"class": str(c)})[0]) == pytest.approx(expected, abs=1e-12)


def test_a_column_of_logits_is_taken_as_it_is():
    layer, logits = noise(5), noise(2, seed=1) + noise(2)
    found = class_sensitivity({"layer": layer}, logits, class_names=["a", "b"])
    expected = [by_regression(layer, column) for column in logits.T]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    assert found["class"].values.tolist() == ["a", "b"]


def test_sensitivity_is_one_where_a_direction_is_the_class_and_survives_invertible_maps():
    layer = np.column_stack([noise(3), (LABELS == 2) + 7.0])
    turned = layer @ noise(4, n=4, seed=3)
    found = class_sensitivity({"layer": layer, "turned": turned}, LABELS, explained_variance=None)
    np.testing.assert_allclose(found.sel({"class": "2"}), 1.0, atol=1e-12)
    np.testing.assert_allclose(found.sel(layer="layer"), found.sel(layer="turned"), atol=1e-9)


def test_the_cut_of_svcca_leaves_out_a_class_that_is_in_little_variance():
    layer = np.column_stack([100 * noise(3), LABELS == 2])
    whole = class_sensitivity({"layer": layer}, LABELS, explained_variance=None)
    cut = class_sensitivity({"layer": layer}, LABELS)
    assert (int(whole["rank"][0]), int(cut["rank"][0])) == (4, 3)
    assert float(whole.sel({"class": "2"})[0]) == pytest.approx(1.0)
    assert float(cut.sel({"class": "2"})[0]) < 0.2


def test_the_spatial_mean_and_the_zero_frequency_say_the_same_of_classes():
    maps = np.random.default_rng(0).normal(size=(N, 4, 4, 5)) + (LABELS == 0)[:, None, None, None]
    zero_frequency = np.fft.fft2(maps, axes=(1, 2))[:, 0, 0, :]
    found = class_sensitivity({"mean": Mean()(maps), "dft": zero_frequency}, LABELS)
    np.testing.assert_allclose(found.sel(layer="mean"), found.sel(layer="dft"), atol=1e-12)


def test_permuted_labels_score_their_exact_mean_and_the_law_of_noise():
    layer = np.exp(noise(30))  # heavy tails: the permutation mean of R² is exact for any layer
    found = class_sensitivity({"layer": layer}, LABELS, explained_variance=None, n_permutations=400)
    assert float(found["chance"][0]) == chance_level("cca", n_samples=N, dims_x=1, dims_y=30)
    assert float(found["null_mean"][0]) ** 2 == pytest.approx(30 / (N - 1), rel=0.02)
    assert float(found["null_mean"][0]) == pytest.approx(float(found["chance"][0]), abs=0.003)


def test_quantiles_of_permutations_are_those_of_the_law():
    found = class_sensitivity(
        {"layer": noise(30)}, LABELS, explained_variance=None, n_permutations=400, level=0.8
    )
    for key, share in (("null_lower", 0.1), ("null_upper", 0.9)):
        law = np.sqrt(stats.beta.ppf(share, 30 / 2, (N - 1 - 30) / 2))
        assert float(found[key][0]) == pytest.approx(law, abs=0.005)


def test_unrelated_labels_stay_within_the_null_and_related_ones_do_not():
    labels = np.random.default_rng(5).integers(0, 3, N)
    layers = {"noise": noise(20), "knows": noise(20) + (labels == 0)[:, None]}
    found = class_sensitivity(layers, labels)
    inside = (found >= found["null_lower"]) & (found <= found["null_upper"])
    assert inside.sel(layer="noise").all()
    assert float(found.sel({"layer": "knows", "class": "0"})) > float(found["null_upper"].max())


def test_the_seed_fixes_the_null():
    nulls = [
        float(class_sensitivity({"a": noise(5)}, LABELS, seed=seed)["null_upper"][0])
        for seed in (0, 0, 1)
    ]
    assert nulls[0] == nulls[1] != nulls[2]


SIX = np.arange(N) % 6


def taught(strengths):
    """A layer for each row of strengths: class c stands out by strength c, in its own direction."""
    directions = np.linalg.qr(noise(8, n=8, seed=99))[0][:6]
    one_hot = SIX[:, None] == np.arange(6)
    return {
        f"layer_{i}": noise(8, seed=i) + 4.0 * (one_hot * np.array(row)) @ directions
        for i, row in enumerate(strengths)
    }


def test_classes_that_the_net_learns_alike_move_together():
    layers = taught([(0.2, 0.2, 1, 1, 1, 1), (0.5, 0.5, 1, 1, 1, 1)])
    gaps = class_gaps(class_sensitivity(layers, SIX))
    assert float(gaps.loc["0", "1"]) < 0.5 * float(gaps.loc["0", "2"])
    np.testing.assert_array_equal(np.diagonal(gaps), 0.0)


def test_the_gap_of_two_classes_is_the_mean_distance_of_their_curves():
    found = class_sensitivity(taught([(1, 0.2, 1, 1, 1, 1), (0.3, 0.9, 1, 1, 1, 1)]), SIX)
    one, other = found.values[:, 0], found.values[:, 1]
    assert (one[0] - other[0]) * (one[1] - other[1]) < 0  # the curves cross: signs matter
    expected = (abs(one[0] - other[0]) + abs(one[1] - other[1])) / 2
    assert float(class_gaps(found).loc["0", "1"]) == pytest.approx(expected)


def test_classes_that_the_net_learns_one_after_the_other_do_not_move_together():
    layers = taught([(1, 0.2, 1, 1, 1, 1), (1, 0.5, 1, 1, 1, 1)])
    gaps = class_gaps(class_sensitivity(layers, SIX))
    assert float(gaps.loc["0", "1"]) > 2 * float(gaps.loc["0", "2"])


def test_a_run_is_followed_through_depth_and_training_with_its_own_labels(made_run):
    run = made_run()
    found = class_sensitivity(run)
    assert found.dims == ("step", "layer", "class")
    assert found["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    assert found["class"].values.tolist() == ["0", "1", "2", "3"]
    now = class_sensitivity(run.snapshot(3), run.facts["labels"])
    np.testing.assert_array_equal(found.sel(step=3), now)
    chosen = class_sensitivity(run, steps=[3])
    np.testing.assert_array_equal(chosen.sel(step=3), now)


def test_rows_of_one_example_keep_together(tmp_path):
    info = LayerInfo("conv", "Conv2D", 0, (None, 4, 4, 5), "sample")
    probe = ProbeSet(noise(3), LABELS, class_names=["ant", "bee", "cat"])
    run = Run.create(tmp_path, [info], probe)
    once = noise(5) + (LABELS == 1)[:, None]
    rows = Subspace.from_activations(np.repeat(once, 4, axis=0))
    run.write_snapshot(0, {"conv": rows}, epoch=0)
    found = class_sensitivity(run)
    expected = class_sensitivity({"conv": once}, LABELS)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)  # on disk in single precision
    np.testing.assert_allclose(found["null_upper"][0], expected["null_upper"], atol=1e-6)
    assert np.isnan(found["chance"]).all()
    assert found["class"].values.tolist() == ["ant", "bee", "cat"]


def test_a_missing_or_constant_layer_and_an_absent_class_are_nan(made_run):
    run = made_run(steps=(0, 1))
    run.write_snapshot(2, {"low": run.snapshot(1)["low"]}, epoch=2)
    assert np.isnan(class_sensitivity(run).sel(step=2, layer=["mid", "high"])).all()
    layers = {"dead": np.ones((N, 4)), "alive": noise(4)}
    found = class_sensitivity(layers, LABELS, class_names=["a", "b", "c", "never"])
    assert np.isnan(found.sel(layer="dead")).all()
    np.testing.assert_array_equal(np.isnan(found.sel(layer="alive")), [False] * 3 + [True])


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (LABELS[:-1], {}, "`labels` has 299 examples, but layer 'a' has 300 samples"),
        (LABELS + 0.5, {}, "For a single logit pass a column"),
        (np.array(["x"] * N), {}, "class indices of shape"),
        (None, {}, "Pass `labels`"),
        (LABELS, {"class_names": ["one"]}, "has class 2, but `class_names` has 1 names"),
        (noise(2), {"class_names": ["one"]}, "1 names, but `labels` has 2 columns"),
        (np.full((N, 1), np.nan), {}, "300 values that are NaN"),
        (LABELS, {"n_permutations": -1}, "at least 0"),
        (LABELS, {"level": 1.0}, "a number in \\(0, 1\\)"),
        (LABELS, {"explained_variance": 99}, r"in \(0, 1\]"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(labels, options, message):
    with pytest.raises(ValueError, match=message):
        class_sensitivity({"a": noise(4)}, labels, **options)


def test_a_run_without_labels_asks_for_them(tmp_path):
    run = Run.create(tmp_path, [LayerInfo("a", "Dense", 0, (None, 4), "mean")], ProbeSet(noise(3)))
    run.write_snapshot(0, {"a": Subspace.from_activations(noise(4))}, epoch=0)
    with pytest.raises(ValueError, match=r"ProbeSet\(x, labels\)"):
        class_sensitivity(run)
    assert class_sensitivity(run, LABELS).sizes["class"] == 3
    with pytest.raises(KeyError, match=r"no snapshot of step 7. Steps: \[0\]"):
        class_sensitivity(run, LABELS, steps=[7])


def test_the_picture_has_a_line_a_class_over_depth_named_at_its_end_above_the_null(made_run):
    data = class_sensitivity(made_run())
    panels = plots.class_curves(data).axes
    assert [axes.get_title() for axes in panels] == ["epoch 0", "epoch 1", "epoch 4"]
    for axes, step in zip(panels, (0, 1, 4), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert list(lines) == ["0", "1", "2", "3"]
        np.testing.assert_array_equal(lines["2"], data.sel({"step": step, "class": "2"}))
        (band,) = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]
        now = data.sel(step=step)
        assert heights.min() == now["null_lower"].min()
        assert heights.max() == now["null_upper"].max()
    named = [text for text in panels[-1].texts if text.get_text() in "0123"]
    heights = sorted(text.xyann[1] for text in named)
    assert len(named) == 4
    assert min(np.diff(heights)) > 0.03 * panels[-1].get_ylim()[1]


def test_one_snapshot_is_one_picture():
    found = class_sensitivity({"a": noise(4), "b": noise(5)}, LABELS)
    assert len(plots.class_curves(found).axes) == 1


def test_names_of_lines_that_end_together_do_not_overlap():
    columns = np.repeat((LABELS == 0)[:, None], 4, axis=1).astype(float)
    found = class_sensitivity({"a": noise(4), "b": noise(5)}, columns, n_permutations=9)
    (axes,) = plots.class_curves(found).axes
    heights = sorted(text.xyann[1] for text in axes.texts if text.get_text() in "0123")
    assert min(np.diff(heights)) == pytest.approx(0.042 * axes.get_ylim()[1])
    assert np.mean(heights) == pytest.approx(float(found[-1, 0]))


@pytest.mark.parametrize(
    ("layer", "n_classes", "width", "n_tables"),
    [("logits", 10, 80, 1), ("logits", 100, 80, 10), ("a_layer/within", 11, 80, 2), ("b", 3, 9, 3)],
)
def test_in_a_narrow_terminal_names_are_cut_and_no_number(layer, n_classes, width, n_tables):
    from rich.console import Console

    from svcca_monitor.display import class_tables

    names = [f"automobile {i}" for i in range(n_classes)]
    x = np.random.default_rng(0).normal(size=(200, 4))
    labels = np.arange(200) % n_classes
    found = class_sensitivity({layer: x}, labels, class_names=names, n_permutations=9)
    console = Console(width=max(width, 80))
    with console.capture() as printed:
        console.print(*class_tables(found, width=width))
    lines = printed.get().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [cells for line in lines if (cells := line.split())[:1] == [layer]]
    assert len(rows) == n_tables
    *of_classes, bound = (f"{value:.2f}" for value in (*found.values[0], found["null_upper"][0]))
    assert [number for row in rows for number in row[1:-1]] == of_classes
    assert {(row[0], row[-1]) for row in rows} == {(layer, bound)}
    assert "aut" in printed.get()
    for once in ("top layer first", "by chance: "):
        assert printed.get().count(once) == 1
