"""What independent views score, against simulation and against every permutation."""

import re
from itertools import permutations

import numpy as np
import oracle
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from svcca_monitor import (
    MEASURES,
    Moments,
    Subspace,
    canonical_correlations,
    chance_level,
    permutation_test,
    precision,
    similarity,
    similarity_grid,
)
from svcca_monitor.chance import CLOSED_FORMS, wachter_mean
from svcca_monitor.few_dimensions import mean_correlation
from svcca_monitor.sample_size import own_level

SIZES = [(100, 50, 50), (100, 10, 60), (150, 20, 20), (80, 50, 60), (60, 5, 54), (300, 30, 90)]


@pytest.mark.parametrize(("n_samples", "dims_x", "dims_y"), SIZES)
def test_wachter_mean_is_what_independent_views_score(n_samples, dims_x, dims_y):
    rng = np.random.default_rng(0)
    means = [
        oracle.mean_cca(rng.normal(size=(n_samples, dims_x)), rng.normal(size=(n_samples, dims_y)))
        for _ in range(20)
    ]
    level = chance_level("cca", n_samples=n_samples, dims_x=dims_x, dims_y=dims_y)
    assert level == pytest.approx(np.mean(means), abs=3 / n_samples)


def simulated(n_samples, p, q, *, of_complex=False, count=20_000):
    """Mean correlation of independent normal views, from Wishart matrices of their scatter."""
    rng = np.random.default_rng(0)
    parts = 2 if of_complex else 1

    def wishart(freedom):  # by Bartlett's decomposition
        root = np.zeros((count, p, p), complex if of_complex else float)
        for i in range(p):
            root[:, i, i] = np.sqrt(2 * rng.gamma(parts * (freedom - i) / 2, size=count))
            for j in range(i):
                root[:, i, j] = rng.normal(size=count)
                if of_complex:
                    root[:, i, j] += 1j * rng.normal(size=count)
        return root @ root.conj().mT

    inside, rest = wishart(q), wishart(n_samples - 1 - q)
    shares = np.linalg.eigvals(np.linalg.solve(inside + rest, inside)).real
    means = np.sqrt(np.clip(shares, 0, 1)).mean(axis=1)
    return means.mean(), means.std() / np.sqrt(count)


@pytest.mark.parametrize("of_complex", [False, True])
@pytest.mark.parametrize(
    ("n_samples", "p", "q"),
    [
        *((4000, 1, 1), (20_000, 1, 1), (20_000, 2, 2), (20_000, 2, 9), (20_000, 3, 3)),
        *((20_000, 5, 8), (20, 5, 9), (14, 4, 9), (20_000, 10, 10)),
    ],
)
def test_few_dimensions_score_by_chance_what_simulation_gives(n_samples, p, q, of_complex):
    mean, error = simulated(n_samples, p, q, of_complex=of_complex)
    sizes = {"n_samples": n_samples, "dims_x": q, "dims_y": p}
    level = chance_level("cca", **sizes, of_complex=of_complex)
    assert level == pytest.approx(mean, abs=3 * error)
    assert 3 * error < 3 / n_samples
    # Negative controls: the limit for many dimensions, and views of the other kind.
    if p > 1 and not of_complex:
        assert wachter_mean(**sizes) - mean > 6 * error
    if n_samples > 20:
        assert abs(chance_level("cca", **sizes, of_complex=not of_complex) - mean) > 4 * error


@pytest.mark.parametrize("n_samples", [10**4, 10**5, 10**6])
@pytest.mark.parametrize(("p", "q"), [(33, 33), (40, 50), (60, 60)])
def test_levels_of_many_dimensions_are_right_with_many_samples_too(n_samples, p, q):
    sizes = {"n_samples": n_samples, "dims_x": p, "dims_y": q}
    # The exact mean costs more with each dimension, but is exact with many too.
    exact = mean_correlation(n_samples, p, q, of_complex=False)
    assert chance_level("svcca", **sizes) == pytest.approx(exact, abs=3 / n_samples)
    if n_samples > 10**4:  # the negative control: the limit by itself
        assert wachter_mean(**sizes) - exact > 3 / n_samples
    exact = mean_correlation(n_samples, p, q, of_complex=True)
    level = chance_level("svcca", **sizes, of_complex=True)
    assert level == wachter_mean(**sizes) == pytest.approx(exact, abs=3 / n_samples)


@pytest.mark.parametrize(("p", "q", "n"), [(5, 7, 9), (3, 8, 10), (6, 6, 10), (2, 9, 10)])
@pytest.mark.parametrize("of_complex", [False, True])
def test_views_that_must_meet_score_what_simulation_gives(p, q, n, of_complex):
    rng = np.random.default_rng(0)
    means = []
    for _ in range(400):
        x, y = rng.normal(size=(n, p)), rng.normal(size=(n, q))
        if of_complex:
            x, y = x + 1j * rng.normal(size=x.shape), y + 1j * rng.normal(size=y.shape)
        means.append(oracle.mean_cca(x, y))
    level = chance_level("cca", n_samples=n, dims_x=p, dims_y=q, of_complex=of_complex)
    assert level == pytest.approx(np.mean(means), abs=4 * np.std(means) / 20 + 1e-12)


@pytest.mark.parametrize(("n_samples", "dims"), [(10, 1), (10, 8), (5000, 7), (10**5, 1)])
def test_chance_of_a_single_complex_dimension_is_the_mean_of_the_exact_law(n_samples, dims):
    law = beta(dims, n_samples - 1 - dims)
    exact, _ = quad(lambda r: law.sf(r**2), 0, 1, points=[law.mean() ** 0.5], limit=500)
    level = chance_level("cca", n_samples=n_samples, dims_x=dims, dims_y=1, of_complex=True)
    assert level == pytest.approx(exact, abs=1e-9)


def test_two_and_two_dimensions_of_six_samples_score_the_known_fractions():
    # ∫∫ sin φ · |sin² φ - sin² ψ| cos φ cos ψ and the same of squares, over ∫∫ without sin φ.
    sizes = {"n_samples": 6, "dims_x": 2, "dims_y": 2}
    assert chance_level("cca", **sizes) == pytest.approx(11 / 20, rel=1e-6)
    assert chance_level("cca", **sizes, of_complex=True) == pytest.approx(4 / 7, rel=1e-6)


def test_complex_layers_are_adjusted_by_the_chance_of_complex_layers():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 60, 2, 2)) @ np.array([1, 1j])
    level = chance_level("cca", n_samples=60, dims_x=2, dims_y=2, of_complex=True)
    value = similarity(x, y, measure="cca")
    expected = 1 - (1 - value) / (1 - level)
    for pair in ((x, y), [Subspace.from_activations(a, loadings=False) for a in (x, y)]):
        assert similarity(*pair, measure="cca", adjusted=True) == pytest.approx(expected, abs=1e-12)
    moments = Moments()
    moments.update({"x": x, "y": y})
    found = moments.similarity("x", "y", measure="cca", adjusted=True)
    assert found == pytest.approx(expected, abs=1e-9)


def test_wachter_mean_is_not_the_root_of_the_mean_square():
    # Negative control: the easy formula, off by far more than 3/n.
    sizes = {"n_samples": 100, "dims_x": 50, "dims_y": 50}
    root = np.sqrt(chance_level("cca_r2", **sizes))
    assert root - chance_level("cca", **sizes) > 6 / 100


def test_wachter_law_has_mass_one_and_the_exact_mean_square():
    # By midpoints of its density on a fine grid in sqrt(λ), and its point mass at 1.
    for a, b in ((0.2, 0.4), (0.3, 0.3), (0.6, 0.7)):
        centre, spread = np.sqrt(b * (1 - a)), np.sqrt(a * (1 - b))
        low, high = (centre - spread) ** 2, (centre + spread) ** 2
        edges = np.linspace(np.sqrt(low), np.sqrt(high), 400_001)
        root = (edges[1:] + edges[:-1]) / 2
        lam = root**2
        density = np.sqrt((high - lam) * (lam - low)) / (2 * np.pi * a * lam * (1 - lam))
        mass = density * 2 * root * np.diff(edges)
        at_one = max(0, a + b - 1) / a
        assert mass.sum() + at_one == pytest.approx(1, abs=1e-5)
        assert (mass * lam).sum() + at_one == pytest.approx(b, abs=1e-5)
        mean = (mass * root).sum() + at_one
        assert wachter_mean(n_samples=1001, dims_x=1000 * b, dims_y=1000 * a) == pytest.approx(
            mean, abs=1e-5
        )


@pytest.mark.parametrize("kind", ["heavy tails", "relu", "complex"])
@pytest.mark.parametrize(("dims_x", "dims_y"), [(1, 1), (2, 1), (2, 3), (3, 3)])
def test_closed_forms_are_the_mean_over_every_permutation(kind, dims_x, dims_y):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, dims_x)), rng.normal(size=(6, dims_y))
    if kind == "heavy tails":
        x, y = x**3, np.exp(2 * y)
    elif kind == "relu":
        x, y = np.maximum(x, -0.1), np.maximum(y, -0.1)
    else:
        x, y = x + 1j * x[::-1] ** 2, y + 1j * y[::-1] ** 2
    orders = [list(order) for order in permutations(range(6))]
    r2 = np.mean([oracle.cca_r2(x[order], y) for order in orders])
    cka = np.mean([oracle.linear_cka(x[order], y) for order in orders])
    ranks = {"dims_x": oracle.effective_rank(x), "dims_y": oracle.effective_rank(y)}
    assert chance_level("cca_r2", n_samples=6, dims_x=dims_x, dims_y=dims_y) == pytest.approx(
        r2, abs=1e-12
    )
    assert chance_level("cka", n_samples=6, **ranks) == pytest.approx(cka, abs=1e-12)


def test_cka_level_is_that_of_the_traces_of_the_kernels():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 8)) * np.arange(1, 9), rng.normal(size=(50, 5))
    k, m = (oracle.centred(a) @ oracle.centred(a).T for a in (x, y))
    expected = np.trace(k) * np.trace(m) / (49 * np.linalg.norm(k) * np.linalg.norm(m))
    ranks = [Subspace.from_activations(a).effective_rank for a in (x, y)]
    level = chance_level("cka", n_samples=50, dims_x=ranks[0], dims_y=ranks[1])
    assert level == pytest.approx(expected, abs=1e-12)


BIASED = [name for name in CLOSED_FORMS if name != "cka_debiased"]


@pytest.mark.parametrize("dims", [(1, 1), (7, 30), (99, 500)])
def test_an_unbiased_measure_is_zero_at_chance_whatever_the_sizes(dims):
    level = chance_level("cka_debiased", n_samples=100, dims_x=dims[0], dims_y=dims[1])
    assert level == 0


@pytest.mark.parametrize("measure", BIASED)
@pytest.mark.parametrize("dims", [(99, 99), (99, 100), (150, 99), (1e9, 1e9)])
def test_as_many_dimensions_as_degrees_of_freedom_always_match(measure, dims):
    level = chance_level(measure, n_samples=100, dims_x=dims[0], dims_y=dims[1])
    assert level == 1


def test_one_view_that_spans_everything_is_enough_for_cca():
    x = np.random.default_rng(0).normal(size=(20, 25))
    assert canonical_correlations(x, x[:, :3] ** 2) == pytest.approx(np.ones(3), abs=1e-12)
    for measure in ("cca", "svcca", "cca_r2"):
        assert chance_level(measure, n_samples=20, dims_x=19, dims_y=3) == 1


@pytest.mark.parametrize("measure", CLOSED_FORMS)
@pytest.mark.parametrize("dims", [(0, 5), (5, 0), (0, 0), (0, 500)])
def test_a_view_without_dimensions_has_no_chance_level(measure, dims):
    assert np.isnan(chance_level(measure, n_samples=100, dims_x=dims[0], dims_y=dims[1]))


@pytest.mark.parametrize("measure", BIASED)
def test_chance_is_symmetric_and_falls_with_samples(measure):
    levels = [
        chance_level(measure, n_samples=n, dims_x=7, dims_y=30) for n in (32, 50, 100, 1000, 10**6)
    ]
    assert (np.diff(levels) < 0).all()
    assert 0 < levels[-1] < 0.01
    assert levels[2] == chance_level(measure, n_samples=100, dims_x=30, dims_y=7)


def test_every_measure_with_a_level_has_a_closed_form_of_that_name():
    assert {name: m.chance for name, m in MEASURES.items() if m.chance} == CLOSED_FORMS


def test_a_measure_without_closed_form_is_refused_with_the_nearest():
    message = (
        "Unknown measure with a closed form of its chance level 'pwcca'. Did you mean 'cca'? "
        "Expected one of: cca, svcca, cca_r2, cka, cka_debiased. "
        "For the others: `permutation_test(x, y, measure=…).chance`"
    )
    with pytest.raises(ValueError, match=r"level \['cka'\]\. Did you mean 'cka'\?"):
        chance_level(["cka"], n_samples=10, dims_x=2, dims_y=2)
    with pytest.raises(ValueError, match=re.escape(message)):
        chance_level("pwcca", n_samples=100, dims_x=3, dims_y=3)


@pytest.mark.parametrize("n_samples", [1, 0, -5, 2.5])
def test_fewer_than_two_samples_are_refused(n_samples):
    with pytest.raises(ValueError, match=f"at least 2. Received: n_samples={n_samples}"):
        chance_level("cca", n_samples=n_samples, dims_x=3, dims_y=3)
    with pytest.raises(ValueError, match="numbers, at least 0. Received: 3 and '3'"):
        chance_level("cca", n_samples=9, dims_x=3, dims_y="3")


def independent(n_samples, n_x, n_y, *, count):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(n_samples, n_x)), rng.normal(size=(n_samples, n_y)) ** 3)
        for _ in range(count)
    ]


@pytest.mark.parametrize("measure", MEASURES)
def test_adjusted_similarity_is_zero_on_average_for_independent_layers(measure):
    pairs = independent(100, 20, 30, count=40)
    adjusted = [similarity(x, y, measure=measure, adjusted=True) for x, y in pairs]
    assert np.mean(adjusted) == pytest.approx(0, abs=0.015)
    if measure not in ("cka_debiased", "rsa"):  # whose own level is near 0
        assert np.mean([similarity(x, y, measure=measure) for x, y in pairs]) > 0.1


@pytest.mark.parametrize("measure", MEASURES)
def test_adjusted_similarity_is_one_for_identical_layers(measure):
    [(x, y)] = independent(100, 8, 6, count=1)
    assert similarity(x, x.copy(), measure=measure, adjusted=True) == pytest.approx(1, abs=1e-12)
    if measure != "cka_debiased":
        assert similarity(x, y, measure=measure, adjusted=True) < similarity(x, y, measure=measure)


def test_adjusted_similarity_is_nan_where_everything_matches_by_chance():
    [(x, y)] = independent(10, 12, 15, count=1)
    with pytest.warns(UserWarning, match="Few samples"):
        assert np.isnan(similarity(x, y, measure="cca", adjusted=True))


@pytest.mark.parametrize("measure", ["pwcca", "pls", "procrustes"])
def test_adjusted_similarity_is_nan_where_chance_misses_one_by_rounding(measure):
    for seed in range(20):
        x, y = np.random.default_rng(seed).normal(size=(2, 2, 3))
        with pytest.warns(UserWarning, match="Few samples"):
            assert np.isnan(similarity(x, y, measure=measure, adjusted=True))


@pytest.mark.parametrize("measure", ["pls", "procrustes"])
def test_adjusted_similarity_is_nan_where_chance_misses_one_by_single_precision(
    monkeypatch, measure
):
    monkeypatch.setattr(precision, "WORTH_IT", 0.0)
    for seed in range(2):
        # All directions of all samples alike, in both layers: any order of them matches.
        x, y = np.linalg.qr(np.random.default_rng(seed).normal(size=(2, 250, 250)))[0]
        given = [x.astype(np.float32)], [y.astype(np.float32)]
        assert np.isnan(similarity_grid(*given, measure=measure, adjusted=True)).all()


def test_levels_by_permutation_are_the_same_at_every_call():
    [(x, y)] = independent(60, 8, 6, count=1)
    first = similarity(x, y, measure="pwcca", adjusted=True)
    assert similarity(x, y, measure="pwcca", adjusted=True) == first


@pytest.mark.parametrize(("n_samples", "level"), [(9, 0), (8, 0), (6, 1), (5, 1)])
def test_as_many_features_as_centred_samples_span_are_warned_of(n_samples, level, recwarn):
    [(x, y)] = independent(n_samples, 5, 1, count=1)
    similarity(x, y, measure="cca")
    assert [f"x has 5 features for {n_samples}" in str(w.message) for w in recwarn] == [
        True
    ] * level


def test_fewer_samples_than_features_warn_with_the_chance_level():
    [(x, y)] = independent(30, 40, 5, count=1)
    with pytest.warns(UserWarning, match=r"x has 40 features .* 30 samples \(chance level 1.00\)"):
        similarity(x, y, measure="cca")
    level = chance_level(
        "cka", n_samples=30, dims_x=oracle.effective_rank(x), dims_y=oracle.effective_rank(x)
    )
    message = f"y has 40 features for 30 samples (chance level {level:.2f}). Unrelated layers"
    with pytest.warns(UserWarning, match=re.escape(message)):
        similarity(y, x, measure="cka")
    with pytest.warns(UserWarning, match=r"for 30 samples \(chance level [01]\.\d\d\)"):
        similarity(x, y, measure="pwcca")


@pytest.mark.parametrize(
    ("measure", "options"),
    [("pls", {}), ("procrustes", {}), ("rsa", {}), ("pwcca", {"explained_variance": 0.8})],
)
def test_the_level_in_a_warning_is_that_of_many_permutations_of_all_neurons(measure, options):
    rng = np.random.default_rng(3)
    wide = np.maximum(rng.normal(size=(100, 10)) @ rng.normal(size=(10, 700)), 0)
    kind = MEASURES[measure]
    level = own_level(kind, Subspace.from_activations(wide), kind.settings(options))
    test = permutation_test(wide, wide, measure=measure, n_permutations=100, **options)
    assert level == pytest.approx(float(test.chance), abs=0.01)


def test_a_layer_that_spans_everything_is_at_level_one_where_affine_maps_do_not_count():
    rng = np.random.default_rng(3)
    wide, other = rng.normal(size=(2, 40, 300))
    space = Subspace.from_activations(wide)
    kind = MEASURES["pwcca"]
    assert own_level(kind, space, kind.settings({})) == 1
    with pytest.warns(UserWarning, match="Few samples"):
        assert similarity(wide, other, measure="pwcca") == pytest.approx(1, abs=1e-9)
    # The negative control: a cut layer does not span everything.
    assert own_level(kind, space, kind.settings({"dims": 20})) < 0.9
