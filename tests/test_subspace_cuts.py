"""Which directions of a layer a cut keeps."""

import re

import numpy as np
import pytest
from oracle import normal, with_singular_values

from svcca_monitor import Subspace
from svcca_monitor.cuts import Cut

factorise = Subspace.from_activations


@pytest.mark.parametrize("cut", [{"dims": 3}, {"explained_variance": 0.7}, {"dims": 100}])
def test_truncation_is_a_column_cut_and_equals_factorising_so(cut):
    x = normal(60, 10)
    whole, direct = factorise(x), factorise(x, **cut)
    truncated = whole.truncate(**cut)
    k = truncated.rank
    assert k == direct.rank
    for part in (truncated, direct):
        np.testing.assert_array_equal(part.basis, whole.basis[:, :k])
        np.testing.assert_array_equal(part.singular_values, whole.singular_values[:k])
        np.testing.assert_array_equal(part.loadings, whole.loadings[:, :k])
        np.testing.assert_allclose(part.mean, x.mean(axis=0), atol=1e-15)
        np.testing.assert_array_equal(part.spectrum, whole.singular_values)


def test_a_cut_by_nothing_returns_the_same_object():
    s = factorise(normal(30, 4))
    assert s.truncate() is s
    assert s.truncate(explained_variance=1.0, dims=4) is s


@pytest.mark.parametrize(
    ("criterion", "share", "kept"),
    [
        ("variance", 0.89, 1),  # σ² = (9, 1): the first holds 0.9
        ("variance", 0.91, 2),
        ("singular_values", 0.74, 1),  # σ = (3, 1): the first holds 0.75
        ("singular_values", 0.76, 2),
        ("variance", 0.01, 1),
        ("variance", 1.0, 2),
    ],
)
def test_the_direction_that_crosses_the_share_is_kept(criterion, share, kept):
    x = with_singular_values([3.0, 1.0])
    assert factorise(x).truncate(explained_variance=share, criterion=criterion).rank == kept
    if criterion == "variance":  # the default
        assert factorise(x, explained_variance=share).rank == kept


def test_a_share_that_is_reached_exactly_needs_no_further_direction():
    twins = Subspace(np.eye(2), np.ones(2), np.eye(2), np.zeros(2), spectrum=np.ones(2))
    assert twins.truncate(explained_variance=0.5).rank == 1
    assert twins.truncate(explained_variance=0.5 + 1e-12).rank == 2


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_of_huge_and_tiny_values_do_not_leave_double_precision(scale):
    assert Cut(0.89).count(np.array([3.0, 1.0]) * scale) == 1
    assert Cut(0.91).count(np.array([3.0, 1.0]) * scale) == 2


def test_no_more_directions_are_kept_than_there_are_where_shares_are_rounded():
    short = []
    for seed in range(50):
        values = np.sort(np.abs(np.random.default_rng(seed).normal(size=300)))[::-1]
        share = np.cumsum(values**2) / np.sum(values**2)
        short.append(share[-1] < 1.0 - 1e-16)
        assert Cut(1.0 - 1e-16).count(values) <= 300
    assert any(short)


def test_all_of_the_variance_keeps_every_direction():
    # The running sum of shares is 1.0, to rounding, long before the last direction.
    s = factorise(with_singular_values(np.logspace(0, -9, 20)))
    assert s.truncate(explained_variance=1.0).rank == 20
    assert s.truncate(explained_variance=1.0 - 1e-12).rank < 20


def test_the_smaller_of_both_bounds_cuts():
    x = with_singular_values([4.0, 3.0, 2.0, 1.0])
    assert factorise(x, explained_variance=0.9, dims=2).rank == 2
    assert factorise(x, explained_variance=0.5, dims=3).rank == 1


def test_shares_and_variance_stay_those_of_the_whole_after_a_cut():
    s = factorise(with_singular_values([2.0, 2.0, 2.0, 2.0]))
    cut = s.truncate(dims=2)
    assert cut.truncate(explained_variance=0.4).rank == 2
    assert cut.truncate(explained_variance=0.9).rank == 2
    assert cut.total_variance == s.total_variance
    assert cut.effective_rank == pytest.approx(2.0)
    assert s.effective_rank == pytest.approx(4.0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, 99, np.nan])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(
        ValueError, match=re.escape(f"(0, 1]. Received: explained_variance={share}")
    ):
        factorise(normal(20, 3), explained_variance=share)


def test_fewer_than_one_dimension_is_refused():
    with pytest.raises(ValueError, match=r"at least 1\. Received: dims=0"):
        factorise(normal(20, 3), dims=0)


def test_an_unknown_criterion_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'energy'.* one of: variance, singular_values"):
        factorise(normal(20, 3)).truncate(explained_variance=0.9, criterion="energy")


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize(
    ("cut", "match"),
    [
        ({"criterion": "bogus"}, "Unknown criterion 'bogus'"),
        ({"criterion": ["variance"]}, "Unknown criterion .* Did you mean 'variance'"),
        ({"explained_variance": 7}, r"must be a number in \(0, 1\]"),
        ({"dims": 2.5}, "whole number, at least 1. Received: dims=2.5"),
        ({"dims": float("nan")}, "whole number"),
        ({"dims": True}, "whole number, at least 1. Received: dims=True"),
        ({"explained_variance": "0.9"}, r"must be a number in \(0, 1\]. Received: .*'0.9'"),
    ],
)
def test_cuts_out_of_range_are_refused_whatever_the_rank(rank, cut, match):
    x = np.random.default_rng(0).normal(size=(30, 3)) * (rank > 0)
    with pytest.raises(ValueError, match=match):
        factorise(x).truncate(**cut)
