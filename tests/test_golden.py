"""The numbers of the definitions, of inputs that anybody can make again."""

import json
from pathlib import Path

import numpy as np
import pytest

from svcca_monitor import (
    MinibatchCKA,
    Subspace,
    canonical_correlations,
    cca,
    cca_r2,
    chance_level,
    debiased_cka,
    linear_cka,
    mean_cca,
    procrustes,
    pwcca,
    svcca,
)

AGREEMENT = 1e-9
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
SHARED = Path(__file__).parents[2] / "shared"
ACTIVATIONS = SHARED / "data" / "reference_activations"
needs_shared = pytest.mark.skipif(
    not ACTIVATIONS.is_dir(), reason="the reference activations are not beside the project"
)

NUMBERS = {
    "cca": mean_cca,
    "cca_r2": cca_r2,
    "svcca_variance_099": svcca,
    "svcca_singular_values_099": lambda x, y: svcca(x, y, criterion="singular_values"),
    "pwcca_x": pwcca,
    "pwcca_y": lambda x, y: pwcca(y, x),
    "linear_cka": linear_cka,
    "linear_cka_debiased": debiased_cka,
    "procrustes": procrustes,
}


def independent_noise():
    rng = np.random.RandomState(0)
    x = rng.randn(100, 2000)
    y = rng.randn(50, 2000)
    return x.T, y.T


def shared_signal():
    rng = np.random.RandomState(1)
    z = rng.randn(12, 800)
    x = rng.randn(30, 12) @ z + rng.randn(30, 800)
    y = rng.randn(20, 12) @ z + rng.randn(20, 800)
    return x.T, y.T


def mnist_logits():
    return tuple(np.load(ACTIVATIONS / f"MNIST_model_{i}_logits.npy").T for i in (0, 1))


def svhn_fc200():
    return tuple(np.load(ACTIVATIONS / f"SVHN_model_{i}_fc200.npy") for i in (0, 1))


SYNTHETIC = {
    "randn_100v50_n2000_RandomState0": independent_noise,
    "shared12_30v20_n800_RandomState1": shared_signal,
}
STORED = {"MNIST_logits": mnist_logits, "SVHN_fc200": svhn_fc200}


def kept(x, y, criterion):
    spaces = Subspace.from_activations(x), Subspace.from_activations(y)
    return [s.truncate(explained_variance=0.99, criterion=criterion).rank for s in spaces]


def assert_numbers(case, x, y):
    for key, function in NUMBERS.items():
        if key in case or key != "linear_cka_debiased":  # not given for ten thousand samples
            assert function(x, y) == pytest.approx(case[key], abs=AGREEMENT), key
    for criterion in ("variance", "singular_values"):
        assert kept(x, y, criterion) == case[f"kept_{criterion}_099"], criterion


def test_every_synthetic_input_is_in_the_file():
    assert set(GOLDEN["cases"]) == set(GOLDEN["inputs"]) == set(SYNTHETIC)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_measures_agree_with_the_golden_numbers(name):
    assert_numbers(GOLDEN["cases"][name], *SYNTHETIC[name]())


def in_one_batch(x, y):
    cka = MinibatchCKA()
    cka.update({"x": x, "y": y})
    return cka.value[0, 1]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_one_batch_of_all_samples_gives_the_golden_debiased_cka(name):
    golden = GOLDEN["cases"][name]["linear_cka_debiased"]
    assert in_one_batch(*SYNTHETIC[name]()) == pytest.approx(golden, abs=1e-12)


@needs_shared
def test_one_batch_of_stored_activations_gives_the_golden_debiased_cka():
    assert in_one_batch(*svhn_fc200()) == pytest.approx(0.8678531324997842, abs=1e-12)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_correlations_agree_with_the_published_code(name):
    rho = canonical_correlations(*SYNTHETIC[name]())
    assert rho == pytest.approx(GOLDEN["cases"][name]["canonical_correlations"], abs=AGREEMENT)


def test_no_golden_number_survives_rows_in_another_order():
    name = "shared12_30v20_n800_RandomState1"
    x, y = SYNTHETIC[name]()
    for key, function in NUMBERS.items():
        assert function(x[::-1], y) != pytest.approx(GOLDEN["cases"][name][key], abs=1e-3), key


def assert_ridge(case, x, y):
    result = cca(x, y, ridge=case["ridge"])
    assert result.correlations == pytest.approx(case["canonical_correlations"], abs=AGREEMENT)
    assert result.mean == pytest.approx(case["mean"], abs=AGREEMENT)
    assert result.mass_mean(0.98) == pytest.approx(case["mean_truncated"], abs=AGREEMENT)
    weights = (result.x_weights, result.y_weights)
    assert [int(np.any(w, axis=0).sum()) for w in weights] == case["kept"]


@pytest.mark.parametrize("case", GOLDEN["ridge"], ids=lambda c: f"{c['input']}-{c['ridge']}")
def test_a_ridge_is_that_of_the_published_code(case):
    assert_ridge(case, *SYNTHETIC[case["input"]]())


@pytest.mark.parametrize("case", GOLDEN["chance"], ids=str)
def test_chance_levels_agree_with_the_golden_numbers(case):
    sizes = {key: case[key] for key in ("n_samples", "dims_x", "dims_y")}
    for name in ("cca", "svcca"):
        assert chance_level(name, **sizes) == pytest.approx(case["mean_rho"], abs=1e-6)
    assert chance_level("cca_r2", **sizes) == pytest.approx(case["r2"], abs=1e-12)


@needs_shared
@pytest.mark.parametrize("name", [*SYNTHETIC, *STORED])
def test_measures_agree_with_the_shared_numbers(name):
    golden = json.loads((SHARED / "golden" / "definitions.json").read_text(encoding="utf-8"))
    assert_numbers(golden["cases"][name], *(SYNTHETIC | STORED)[name]())


@needs_shared
@pytest.mark.parametrize("name", [*SYNTHETIC, *STORED])
def test_correlations_agree_with_the_published_code_on_stored_activations(name):
    golden = json.loads((SHARED / "golden" / "reference_cca.json").read_text(encoding="utf-8"))
    [case] = [c for c in golden["cases"] if c["input"] == name and c["epsilon"] == 0.0]
    rho = canonical_correlations(*(SYNTHETIC | STORED)[name]())
    assert rho == pytest.approx(case["canonical_correlations"], abs=AGREEMENT)


@needs_shared
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("ridge", [0.0, 1e-10, 1e-6, 1e-3])
def test_a_ridge_is_that_of_the_published_code_on_stored_activations(name, ridge):
    golden = json.loads((SHARED / "golden" / "reference_cca.json").read_text(encoding="utf-8"))
    [case] = [c for c in golden["cases"] if c["input"] == name and c["epsilon"] == ridge]
    assert_ridge({**case, "ridge": ridge}, *STORED[name]())
