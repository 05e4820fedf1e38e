import numpy as np
import pytest

from svcca_monitor.over_runs import mean_interval, pair_mean_interval

# Student's table: t of 4 degrees of freedom at 97.5 %.
T4 = 2.776445


def random_pairs(rng, n, spread):
    """Pairs of which each run moves all that it is in: mean 0."""
    of_run, of_pair = rng.normal(size=n), spread * rng.normal(size=(n, n))
    return of_run[:, None] + of_run + np.triu(of_pair, 1) + np.triu(of_pair, 1).T


def test_the_t_interval_is_that_of_the_table():
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    mean, low, high = mean_interval(values)
    # Squares around 4: 9 + 4 + 1 + 0 + 36 = 50; s² = 12.5, s²/n = 2.5.
    assert float(mean) == 4.0
    assert float(high - mean) == pytest.approx(T4 * np.sqrt(2.5), rel=1e-6)
    assert float(mean - low) == pytest.approx(T4 * np.sqrt(2.5), rel=1e-6)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_missing_runs_are_left_out_place_by_place(method):
    values = np.array([[1.0, 5.0], [2.0, np.nan], [4.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    mean, low, high = mean_interval(values, method=method)
    np.testing.assert_allclose(mean, [2.5, 5.0])
    assert low[0] < 2.5 < high[0]
    assert np.isnan([low[1], high[1]]).all()
    if method == "t":
        alone = mean_interval(values[[0, 1, 2, 4], 0])
        np.testing.assert_allclose([low[0], high[0]], alone[1:])
    assert np.isnan(mean_interval(np.full((3, 1), np.nan), method=method)[0]).all()


def test_the_bootstrap_of_three_runs_goes_from_the_lowest_to_the_highest():
    _, low, high = mean_interval(np.array([0.1, 0.5, 0.6]), method="bootstrap")
    assert float(low) == pytest.approx(0.1)
    assert float(high) == pytest.approx(0.6)


@pytest.mark.parametrize(("method", "lowest"), [("t", 0.92), ("bootstrap", 0.87)])
def test_intervals_over_five_seeds_cover_the_truth_as_often_as_they_say(method, lowest):
    draws = np.random.default_rng(0).normal(size=(5, 1000))
    _, low, high = mean_interval(draws, method=method, n_resamples=1000)
    covered = np.mean((low <= 0) & (high >= 0))
    assert lowest < covered < 0.98


def brute_force(similarities, rows, columns):
    """Mean over pairs of different runs, one at a time."""
    if columns is None:
        pairs = [(i, j) for k, i in enumerate(rows) for j in rows[:k]]
    else:
        pairs = [(i, j) for i in rows for j in columns]
    return np.mean([similarities[i, j] for i, j in pairs if np.isfinite(similarities[i, j])])


@pytest.mark.parametrize("columns", [None, [4, 5, 6]])
def test_the_mean_over_pairs_counts_each_pair_once(columns):
    rng = np.random.default_rng(1)
    similarities = np.stack([random_pairs(rng, 7, 1.0) for _ in range(2)])
    similarities[1, 0, 1] = similarities[1, 1, 0] = similarities[1, 0, 5] = np.nan
    mean, _, _ = pair_mean_interval(similarities, [0, 1, 2, 3], columns)
    expected = [brute_force(each, [0, 1, 2, 3], columns) for each in similarities]
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def test_the_bootstrap_resamples_runs_and_leaves_out_a_run_that_meets_itself():
    from scipy import stats

    from svcca_monitor.over_runs import counts

    similarities = random_pairs(np.random.default_rng(2), 6, 0.5)
    np.fill_diagonal(similarities, 1e6)  # what a run says of itself must not get in
    how = {"method": "bootstrap", "n_resamples": 300, "seed": 3}
    _, low, high = pair_mean_interval(similarities[None], range(6), **how)
    resampled = []
    for drawn in counts(6, 300, np.random.default_rng(3)).astype(int):
        members = np.repeat(np.arange(6), drawn)
        pairs = [(i, j) for k, i in enumerate(members) for j in members[:k] if i != j]
        if pairs:
            resampled.append(np.mean([similarities[i, j] for i, j in pairs]))
    tail = stats.norm.cdf(-np.sqrt(6 / 5) * stats.t.ppf(0.975, 5))
    expected = np.quantile(resampled, [tail, 1 - tail])
    np.testing.assert_allclose([low[0], high[0]], expected, rtol=1e-9)


@pytest.mark.parametrize("columns", [None, [4, 5, 6]])
def test_the_jackknife_leaves_out_one_run_at_a_time(columns):
    from scipy import stats

    similarities = random_pairs(np.random.default_rng(4), 7, 0.5)
    rows = [0, 1, 2, 3]
    mean, low, high = pair_mean_interval(similarities[None], rows, columns, method="jackknife")
    variance = 0.0
    groups = [rows] if columns is None else [rows, columns]
    for g, group in enumerate(groups):
        left = []
        for run in group:
            rest = [[i for i in each if i != run] for each in groups]
            left.append(brute_force(similarities, rest[0], None if columns is None else rest[1]))
        assert len(left) == len(groups[g])
        variance += (len(left) - 1) * np.var(left)
    half = stats.t.ppf(0.975, 3 if columns is None else 2) * np.sqrt(variance)
    np.testing.assert_allclose([low[0], high[0]], [mean[0] - half, mean[0] + half], rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "n", "lowest", "highest"),
    [
        *(("bootstrap", 3, 0.4, 0.6), ("bootstrap", 8, 0.87, 0.98)),
        *(("jackknife", 3, 0.9, 0.99), ("jackknife", 8, 0.9, 0.99)),
    ],
)
def test_intervals_over_pairs_cover_the_truth_as_often_as_their_page_says(
    method, n, lowest, highest
):
    rng = np.random.default_rng(5)
    similarities = np.stack([random_pairs(rng, n, 0.3) for _ in range(400)])
    _, low, high = pair_mean_interval(similarities, range(n), method=method, n_resamples=1000)
    assert lowest < np.mean((low <= 0) & (high >= 0)) < highest


@pytest.mark.parametrize("others", [3, 6])
def test_the_default_covers_the_truth_between_groups_of_few_runs(others):
    rng = np.random.default_rng(7)
    n = 3 + others
    similarities = np.stack([random_pairs(rng, n, 0.3) for _ in range(400)])
    _, low, high = pair_mean_interval(similarities, range(3), range(3, n))
    assert np.mean((low <= 0) & (high >= 0)) > 0.93


def test_treating_pairs_as_independent_would_cover_far_less():
    rng = np.random.default_rng(5)
    pairs = np.stack([random_pairs(rng, 8, 0.3)[np.triu_indices(8, 1)] for _ in range(400)])
    _, low, high = mean_interval(pairs.T)
    assert np.mean((low <= 0) & (high >= 0)) < 0.8


def test_too_few_runs_have_a_mean_and_no_interval():
    similarities = random_pairs(np.random.default_rng(6), 3, 0.5)[None]
    for rows, columns in ([0, 1], None), ([0], [1, 2]):
        mean, low, high = pair_mean_interval(similarities, rows, columns)
        assert np.isfinite(mean).all()
        assert np.isnan([low, high]).all()


def test_levels_and_methods_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"must be a number in \(0, 1\). Received: interval=95"):
        mean_interval([1.0, 2.0], interval=95)
    with pytest.raises(ValueError, match="Unknown method 'botstrap'. Did you mean 'bootstrap'"):
        mean_interval([1.0, 2.0], method="botstrap")
    with pytest.raises(ValueError, match="Unknown method 't'"):
        pair_mean_interval(np.eye(3)[None], [0, 1, 2], method="t")
    with pytest.raises(ValueError, match="at least 2. Received: n_resamples=1"):
        pair_mean_interval(np.eye(3)[None], [0, 1, 2], n_resamples=1)
