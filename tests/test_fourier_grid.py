"""All pairs of layers at each frequency: what `fourier_cca` says of each, at a lower price."""

import warnings

import numpy as np
import pytest
from fourier_oracle import pair

import svcca_monitor.fourier
import svcca_monitor.spectrum
from svcca_monitor import Spectrum, fourier_cca, fourier_grid


@pytest.fixture
def layers():
    """Maps of two sizes, complex ones, a dense layer."""
    x, y = pair((6, 4))
    small, other = pair((3, 5), seed=1)
    return {
        "x": x,
        "y": y.astype(np.float32),
        "small": small + 1j * small**2,
        "dense": other[:, 0, 0],
    }


@pytest.fixture
def factorised(monkeypatch):
    """Shapes of what was factorised."""
    shapes = []
    factorise = svcca_monitor.spectrum.orthonormalise

    def counting(blocks, *how, **least):
        shapes.append(blocks.shape)
        return factorise(blocks, *how, **least)

    monkeypatch.setattr(svcca_monitor.spectrum, "orthonormalise", counting)
    return shapes


@pytest.mark.parametrize(
    "options", [{}, {"max_frequency": 1}, {"explained_variance": 0.8}, {"rtol": 0.9}]
)
def test_every_entry_is_the_mean_of_its_pair(layers, options):
    rows, columns = layers, {name: layers[name] for name in ("small", "y")}
    grid = fourier_grid(rows, columns, **options)
    expected = [
        [fourier_cca(x, y, **options).mean for y in columns.values()] for x in rows.values()
    ]
    np.testing.assert_allclose(grid, expected, rtol=0, atol=1e-12)


def test_rows_among_themselves_are_symmetric_with_ones_on_the_diagonal(layers):
    grid = fourier_grid(layers)
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_array_equal(grid.diagonal(), 1.0)
    copies = {name: x.copy() for name, x in layers.items()}
    np.testing.assert_allclose(grid, fourier_grid(layers, copies), rtol=0, atol=1e-6)
    assert grid[0, 1] == fourier_cca(layers["x"], layers["y"]).mean


def test_layers_may_be_a_list_and_spectra(layers):
    expected = fourier_grid(layers)
    spectra = [Spectrum.from_maps(x) for x in layers.values()]
    np.testing.assert_array_equal(fourier_grid([*layers.values()]), expected)
    np.testing.assert_array_equal(fourier_grid(spectra), expected)
    np.testing.assert_array_equal(fourier_grid({"a": spectra[0]}, [layers["y"]]), expected[:1, 1:2])


def test_without_layers_there_is_nothing_to_compare(layers):
    assert fourier_grid([]).shape == (0, 0)
    assert fourier_grid(layers, []).shape == (4, 0)
    assert fourier_grid({}, layers).shape == (0, 4)


def test_many_layers_in_threads_are_as_they_are_alone(factorised):
    maps = [pair((16, 16), n=300, channels=(12, 9), seed=i)[i % 2] for i in range(4)]
    maps += [pair((8, 8), n=300, channels=(12, 20), seed=i)[1] for i in range(3)]
    maps[-1] = maps[-1] + 1j * maps[-2]
    grid = fourier_grid(maps)
    # The large ones among themselves, where they meet the small ones, and all of the frequencies
    # where these are complex; the small ones twice, but for the complex one.
    assert len(factorised) == 4 * 3 + 2 * 2 + 1
    for i, x in enumerate(maps):
        for j, y in enumerate(maps):
            if i != j:
                assert grid[i, j] == pytest.approx(fourier_cca(x, y).mean, abs=1e-12)


def test_each_layer_is_factorised_once_a_grid_of_frequencies(factorised):
    (a, b), c = pair((6, 6)), pair((4, 4))[0]
    fourier_grid([a, b, c])
    # 20 frequencies of the 6 × 6 maps among themselves; 10 where they meet 4 × 4, and there.
    assert sorted(factorised) == [(10, 60, 2), (10, 60, 2), (10, 60, 3), (20, 60, 2), (20, 60, 3)]
    factorised.clear()
    grid = fourier_grid({"a": a, "b": b}, {"b": b})  # what is given twice is one layer
    assert sorted(factorised) == [(20, 60, 2), (20, 60, 3)]
    assert grid[1, 0] == 1


@pytest.mark.parametrize(
    ("n", "copies", "share", "most"), [(4, 1, None, 3), (60, 2, None, 5), (60, 1, 0.5, 3)]
)
def test_directions_that_no_frequency_has_cost_nothing(n, copies, share, most, monkeypatch):
    """Of few samples, doubled channels, or below a cut: their zeros need no second way."""
    maps = pair((6, 6), n=n, channels=(5, 4))
    spectra = [Spectrum.from_maps(np.concatenate([z] * copies, axis=-1)) for z in maps]
    expected = fourier_grid(spectra, explained_variance=share)
    shapes = []
    between = svcca_monitor.fourier.correlations_between

    def watched(cross, ranks):
        shapes.append(cross.shape[1:])
        return between(cross, ranks)

    monkeypatch.setattr(np.linalg, "svd", None)
    monkeypatch.setattr(svcca_monitor.fourier, "correlations_between", watched)
    np.testing.assert_array_equal(fourier_grid(spectra, explained_variance=share), expected)
    assert shapes
    assert max(map(max, shapes)) <= most


def test_pairs_of_which_no_frequency_varies_are_nan_and_named_in_one_warning():
    x, y = pair((4, 4))
    flat = np.ones_like(x)
    # One varies at the zero frequency alone, the other nowhere else than there.
    level, ripple = np.ones_like(x) * x[:, :1, :1], x - x.mean(axis=(1, 2), keepdims=True)
    with pytest.warns(UserWarning, match="No frequency varies") as caught:
        grid = fourier_grid({"x": x, "flat": flat, "level": level}, {"y": y, "ripple": ripple})
    [message] = [str(w.message) for w in caught]
    assert "in flat, in both of level and ripple: the mean correlation is nan" in message
    np.testing.assert_array_equal(np.isnan(grid), [[False, False], [True, True], [False, True]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fourier_grid([x, y])


def test_of_many_layers_the_constant_ones_are_named_once():
    x, y = pair((4, 4))
    with pytest.warns(UserWarning, match=r"probe set in rows\[1\]: the mean correlation is nan"):
        grid = fourier_grid([x, np.ones_like(x), y, x[:, 0, 0]])
    np.testing.assert_array_equal(np.isnan(grid).sum(axis=0), [1, 4, 1, 1])
    flat = np.ones_like(x)
    with pytest.warns(UserWarning, match="set in flat: the mean correlation is nan"):
        fourier_grid({"x": x, "flat": flat}, {"flat": flat, "y": y})
    # Two of one name are two layers.
    with pytest.warns(UserWarning, match="probe set in a: the mean correlation is nan"):
        grid = fourier_grid({"a": x, "b": y}, {"a": np.ones_like(x), "b": y})
    np.testing.assert_array_equal(np.isnan(grid), [[True, False], [True, False]])


def test_an_error_names_the_layer():
    x, y = pair((4, 4))
    broken = x.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match=r"`conv2` has 32 values .* NaN"):
        fourier_grid({"conv1": x, "conv2": broken}, {"again": broken})
    with pytest.raises(ValueError, match=r"`columns\[1\]` must be maps of shape"):
        fourier_grid([x], [y, y[0]])
    with pytest.raises(ValueError, match=r"`conv1` has 60 samples but `columns\[0\]` has 59"):
        fourier_grid({"conv1": x}, [y[1:]])
    with pytest.raises(ValueError, match="`a` must be an array of numbers"):
        fourier_grid({"a": [[1.0], [1.0, 2.0]]})
    with pytest.raises(ValueError, match="`b` must be maps .* Received a NoneType"):
        fourier_grid({"a": x, "b": None})


def test_what_is_no_dict_and_no_list_is_refused_by_kind():
    x, y = pair((4, 4))
    for given in (iter([x]), "conv1", np.array(3.0), Spectrum.from_maps(x)):
        for arguments in ((given,), ([x], given)):
            with pytest.raises(TypeError, match=f"or a list. Received a {type(given).__name__}"):
                fourier_grid(*arguments)
    stacked = np.stack([x, y[..., :2]])
    np.testing.assert_array_equal(fourier_grid(stacked), fourier_grid([*stacked]))


def test_options_are_refused_before_anything_is_transformed():
    broken = np.full((9, 4, 4, 2), np.nan)
    for options in ({"max_frequency": -1}, {"explained_variance": 2.0}, {"rtol": 1.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            fourier_grid([broken], **options)
        with pytest.raises(ValueError, match=next(iter(options))):
            fourier_cca(broken, broken, **options)
