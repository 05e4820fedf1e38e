import json
import os

import numpy as np
import pytest

from svcca_monitor import (
    LayerInfo,
    ProbeMismatchError,
    ProbeSet,
    Run,
    RunFormatError,
    RunMismatchError,
    Subspace,
)

RNG = np.random.default_rng(0)
PROBE = ProbeSet(RNG.normal(size=(30, 2)), np.arange(30) % 3, class_names=["a", "b", "c"])
INFOS = [LayerInfo("conv", "Conv2D", 0, (None, 4, 4, 5), "mean")]


def a_snapshot(seed=0):
    return {"conv": Subspace.from_activations(np.random.default_rng(seed).normal(size=(30, 5)))}


def test_a_snapshot_reads_back_as_it_was_written(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    written = a_snapshot()["conv"]
    run.write_snapshot(42, {"conv": written}, epoch=1.5, logs={"loss": 0.25})
    read = Run(tmp_path).snapshot(42)["conv"]
    assert read.coarse  # products of single precision serve what comes in it
    for factor in ("basis", "loadings"):
        np.testing.assert_allclose(getattr(read, factor), getattr(written, factor), atol=1e-7)
        assert getattr(read, factor).dtype == np.float64
    for factor in ("singular_values", "spectrum", "mean"):
        np.testing.assert_array_equal(getattr(read, factor), getattr(written, factor))
    assert Run(tmp_path).header(42) == {"step": 42, "epoch": 1.5, "logs": {"loss": 0.25}}


def test_complex_snapshots_read_back(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    written = Subspace.from_activations(RNG.normal(size=(30, 4)) + 1j * RNG.normal(size=(30, 4)))
    run.write_snapshot(0, {"conv": written}, epoch=0)
    read = run.snapshot(0)["conv"]
    np.testing.assert_allclose(read.basis, written.basis, atol=1e-7)


def test_a_constant_layer_is_kept_as_rank_zero(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    run.write_snapshot(0, {"conv": Subspace.from_activations(np.ones((30, 5)))}, epoch=0)
    assert run.snapshot(0)["conv"].rank == 0
    assert run.snapshot(0)["conv"].n_samples == 30


def test_the_run_is_a_directory_as_described(tmp_path):
    run = Run.create(tmp_path / "logs", INFOS, PROBE, measure="pwcca")
    run.write_snapshot(7, a_snapshot(), epoch=1)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"logs/svcca/run.json", "logs/svcca/snapshots/step-00000007.safetensors"}
    facts = json.loads((tmp_path / "logs/svcca/run.json").read_text())
    assert facts["format_version"] == 1
    assert facts["probe_fingerprint"] == PROBE.fingerprint == run.probe_fingerprint
    assert facts["labels"] == PROBE.labels.tolist()
    assert facts["class_names"] == ["a", "b", "c"]
    assert facts["measure"] == "pwcca"
    assert run.layer_info == INFOS
    assert Run(tmp_path / "logs/svcca").steps == Run(tmp_path / "logs").steps == [7]


def test_steps_must_increase_and_nothing_is_overwritten(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    run.write_snapshot(5, a_snapshot(), epoch=1)
    before = run.snapshot_path(5).read_bytes()
    for step in (5, 4):
        with pytest.raises(ValueError, match=f"run has step 5. Received: {step}"):
            run.write_snapshot(step, a_snapshot(1), epoch=2)
    assert run.snapshot_path(5).read_bytes() == before


def test_steps_beyond_eight_digits_sort_by_number(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    for step in (99_999_999, 100_000_000, 1_000_000_000):
        run.write_snapshot(step, a_snapshot(), epoch=1)
    assert run.steps == [99_999_999, 100_000_000, 1_000_000_000]


def test_a_temporary_file_is_not_a_snapshot(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    for name in (".writing-1-2.tmp", "step-00000003.safetensors.tmp", "step-3.safetensors"):
        (run.path / "snapshots" / name).write_bytes(b"half")
    assert run.steps == []


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    run = Run.create(tmp_path, INFOS, PROBE)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.write_snapshot(0, a_snapshot(), epoch=0)
    assert run.steps == []
    assert os.listdir(run.path / "snapshots") == []


def test_a_resumed_run_goes_on(tmp_path):
    Run.create(tmp_path, INFOS, PROBE).write_snapshot(1, a_snapshot(), epoch=1)
    again = Run.create(tmp_path, INFOS, ProbeSet(PROBE.inputs))
    again.write_snapshot(2, a_snapshot(), epoch=2)
    assert again.steps == [1, 2]
    assert again.epochs == [1.0, 2.0]


def test_another_probe_set_is_refused_and_nothing_changes(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    before = (run.path / "run.json").read_bytes()
    other = ProbeSet(PROBE.inputs[::-1])
    with pytest.raises(ProbeMismatchError) as refused:
        Run.create(tmp_path, INFOS, other)
    assert PROBE.fingerprint[:16] in str(refused.value)
    assert other.fingerprint[:16] in str(refused.value)
    assert (run.path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        [LayerInfo("conv", "Conv2D", 0, (None, 4, 4, 6), "mean")],
        [LayerInfo("conv", "Conv2D", 0, (None, 4, 4, 5), "flatten")],
        [LayerInfo("conv2", "Conv2D", 0, (None, 4, 4, 5), "mean")],
        [*INFOS, LayerInfo("fc", "Dense", 1, (None, 3), "mean")],
        [],
    ],
)
def test_another_model_is_refused_and_nothing_changes(tmp_path, other):
    run = Run.create(tmp_path, INFOS, PROBE)
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(RunMismatchError, match="Nothing was changed; use another log_dir"):
        Run.create(tmp_path, other, PROBE)
    assert (run.path / "run.json").read_bytes() == before


def test_layers_that_the_run_does_not_have_are_refused(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    with pytest.raises(ValueError, match=r"Layers \['fc'\] are not layers of this run"):
        run.write_snapshot(0, {"fc": a_snapshot()["conv"]}, epoch=0)


def test_a_place_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No run in .*nowhere"):
        Run(tmp_path / "nowhere")


def test_unknown_format_versions_are_refused_by_name(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**facts, "format_version": 99}))
    with pytest.raises(RunFormatError, match="format version 99; this svcca_monitor reads version"):
        Run(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"layers": []}', '{"format_version": 1}'])
def test_damaged_descriptions_are_refused(tmp_path, text):
    run = Run.create(tmp_path, INFOS, PROBE)
    (run.path / "run.json").write_text(text)
    with pytest.raises(RunFormatError):
        Run(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_truncated_snapshots_are_refused_by_name(tmp_path, keep):
    run = Run.create(tmp_path, INFOS, PROBE)
    run.write_snapshot(3, a_snapshot(), epoch=1)
    path = run.snapshot_path(3)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunFormatError, match="step-00000003.safetensors is damaged"):
        run.snapshot(3)


def test_a_missing_step_names_those_there_are(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    run.write_snapshot(3, a_snapshot(), epoch=1)
    with pytest.raises(KeyError, match=r"No snapshot of step 4 .* Steps: \[3\]"):
        run.snapshot(4)


def test_a_log_directory_may_be_called_as_the_folder_in_it(tmp_path):
    Run.create(tmp_path / "svcca", INFOS, PROBE).write_snapshot(0, a_snapshot(), epoch=0)
    assert Run(tmp_path / "svcca").steps == [0]
    again = Run.create(tmp_path / "svcca", INFOS, PROBE)
    assert again.steps == [0]
    assert again.path == tmp_path / "svcca/svcca"


def test_logs_that_are_no_numbers_are_left_out(tmp_path):
    run = Run.create(tmp_path, INFOS, PROBE)
    run.write_snapshot(0, a_snapshot(), epoch=0, logs={"phase": "warm", "x": None, "loss": 0.5})
    assert run.header(0)["logs"] == {"loss": 0.5}
