"""Files of a run that came from anywhere: read as they were written, or refused by name.

`SVCCA_FUZZ=4000 pytest tests/test_hostile_files.py` tries that many cases of each kind.
"""

import ast
import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from svcca_monitor import (
    LayerInfo,
    ProbeMismatchError,
    ProbeSet,
    Run,
    RunFormatError,
    RunMismatchError,
    Store,
    Subspace,
)

PACKAGE = Path(__file__).parents[1] / "svcca_monitor"
CASES = int(os.environ.get("SVCCA_FUZZ", "60"))
fuzz = settings(
    max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LAYERS = ("conv", "block/dense")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A run of two layers with one snapshot; a test that changes it mends it."""
    rng = np.random.default_rng(0)
    infos = [LayerInfo(n, "Dense", i, (None, 4), "mean") for i, n in enumerate(LAYERS)]
    probe = ProbeSet(rng.normal(size=(12, 3)), np.arange(12) % 2)
    folder = tmp_path_factory.mktemp("hostile")
    run = Run.create(folder, infos, probe, measure="svcca")
    layers = {n: Subspace.from_activations(rng.normal(size=(12, 4))) for n in LAYERS}
    run.write_snapshot(3, layers, epoch=1.5, logs={"loss": 0.25})
    return run


@pytest.fixture
def run(template, tmp_path):
    """A copy of it."""
    shutil.copytree(template.path, tmp_path / "svcca")
    return Run(tmp_path)


def outcome(read):
    """What reading gives, and the text of a refusal: one of the two is None."""
    try:
        return read(), None
    except (RunFormatError, ProbeMismatchError) as refusal:
        return None, str(refusal)


def is_refused_or_as_written(run, original, payload):
    """Reading a snapshot gives what was written, or an error that names the file."""
    path = run.snapshot_path(3)
    path.write_bytes(payload)
    for read in (lambda: run.header(3), lambda: run.snapshot(3), lambda: run.epochs):
        result, refusal = outcome(read)
        if result is None:
            assert path.name in refusal
        elif isinstance(result, dict) and "step" not in result:
            assert list(result) == list(LAYERS)
            for name, s in original.items():
                np.testing.assert_array_equal(result[name].basis, s.basis)
                np.testing.assert_array_equal(result[name].mean, s.mean)
        else:
            assert result in ([1.5], {"step": 3, "epoch": 1.5, "logs": {"loss": 0.25}})


@pytest.fixture(scope="module")
def written(template):
    return template.snapshot(3), template.snapshot_path(3).read_bytes()


def parts(payload):
    """Where a snapshot file has its header length, its header and its numbers."""
    end = 8 + struct.unpack("<Q", payload[:8])[0]
    return {"length": (0, 8), "header": (8, end), "numbers": (end, len(payload))}


@pytest.mark.parametrize("part", ["length", "header", "numbers"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(run, written, part):
    original, payload = written
    first, last = parts(payload)[part]

    @fuzz
    @given(at=st.integers(first, last - 1), bit=st.integers(0, 7))
    def check(at, bit):
        changed = bytearray(payload)
        changed[at] ^= 1 << bit
        is_refused_or_as_written(run, original, bytes(changed))

    check()


def test_every_flipped_bit_of_the_numbers_is_noticed(run, written):
    _, payload = written
    first, last = parts(payload)["numbers"]
    for at in range(first, last, 7):
        changed = bytearray(payload)
        changed[at] ^= 1 << at % 8
        run.snapshot_path(3).write_bytes(changed)
        with pytest.raises(RunFormatError, match="not those that were written|NaN|below 0"):
            run.snapshot(3)


@fuzz
@given(keep=st.floats(0, 1, exclude_max=True), rest=st.binary(max_size=20))
def test_what_was_cut_off_is_refused(run, written, keep, rest):
    _, payload = written
    cut = payload[: int(keep * len(payload))] + rest
    if cut != payload:
        run.snapshot_path(3).write_bytes(cut)
        with pytest.raises(RunFormatError, match=r"step-00000003\.safetensors is damaged"):
            run.snapshot(3)


@fuzz
@given(payload=st.binary(max_size=200))
@example(payload=struct.pack("<Q", 2**63) + b"{}")
@example(payload=struct.pack("<Q", 99_000_000) + b"{}")
@example(payload=struct.pack("<Q", 2) + b"{}")
@example(payload=struct.pack("<Q", 60_000) + b'{"a":' * 12_000)
def test_any_bytes_are_refused(run, payload):
    run.snapshot_path(3).write_bytes(payload)
    for read in (lambda: run.snapshot(3), lambda: run.header(3)):
        with pytest.raises(RunFormatError, match=r"step-00000003\.safetensors is damaged.*Remove"):
            read()


ARRAYS = st.builds(
    lambda shape, dtype, value: np.full(shape, value).astype(dtype),
    st.lists(st.sampled_from([0, 1, 3, 4, 12]), max_size=3),
    st.sampled_from(["f2", "f4", "f8", "c8", "i1", "i8", "u2", "?"]),
    st.sampled_from([0, 1, -1, 1e-300, np.nan, np.inf]),
)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@fuzz
@given(
    layer=st.sampled_from(LAYERS),
    changes=st.dictionaries(
        st.sampled_from(["basis", "singular_values", "loadings", "mean", "spectrum", "pickle"]),
        st.none() | ARRAYS,
        min_size=1,
    ),
)
def test_tensors_of_any_shape_and_kind_make_a_layer_or_are_refused(run, written, layer, changes):
    tensors = load(written[1])
    for factor, array in changes.items():
        tensors.pop(f"{layer}/{factor}", None)
        if array is not None:
            tensors[f"{layer}/{factor}"] = array
    path = run.snapshot_path(3)
    path.write_bytes(save(tensors, metadata={"svcca": '{"step": 3, "epoch": 1, "logs": {}}'}))
    snapshot, refusal = outcome(lambda: run.snapshot(3))
    assert snapshot or path.name in refusal
    for s in (snapshot or {}).values():
        assert s.basis.shape == (12, s.rank)
        assert s.loadings.shape in [(s.n_features, s.rank), (s.n_features, 0)]
        assert s.mean.shape == (s.n_features,)
        assert len(s.spectrum) >= s.rank
        assert all(np.isfinite(a).all() for a in (s.basis, s.mean, s.loadings, s.spectrum))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([10**400, "", "step", "é", "a" * 300])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@fuzz
@given(head=JSON | st.fixed_dictionaries({"step": JSON, "epoch": JSON, "logs": JSON}))
@example(head={"step": 3, "epoch": 10**400, "logs": {}})
@example(head={"step": 3, "epoch": 1, "logs": {"loss": 10**400}})
def test_any_header_is_one_or_is_refused(run, written, head):
    path = run.snapshot_path(3)
    path.write_bytes(save(load(written[1]), metadata={"svcca": json.dumps(head)}))
    read, refusal = outcome(lambda: run.header(3))
    if read is None:
        assert path.name in refusal
    else:
        assert read["step"] == 3
        assert np.isfinite(run.epochs).all()


def paths_in(tree, path=()):
    yield path
    for key in (
        tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    ):
        yield from paths_in(tree[key], (*path, key))


@fuzz
@given(data=st.data())
def test_any_description_is_one_or_is_refused(run, template, data):
    facts = json.loads((template.path / "run.json").read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        *above, key = data.draw(st.sampled_from([p for p in paths_in(facts) if p]))
        place = facts
        for step in above:
            place = place[step]
        if data.draw(st.booleans()):
            place[key] = data.draw(JSON)
        else:
            place.pop(key)
    opens_or_is_refused(run, json.dumps(facts).encode())


@fuzz
@given(payload=st.binary(max_size=100) | JSON.map(lambda tree: json.dumps(tree).encode()))
@example(payload=b"[" * 100_000)
@example(payload=b'{"format_version": ' + b"[" * 100_000)
@example(payload=b'{"format_version": ' + b"9" * 10_000 + b"}")
@example(payload=b'{"format_version": 1, "layers": NaN, "probe_fingerprint": "\xff"}')
@example(payload=b'{"format_version": true, "layers": [], "probe_fingerprint": ""}')
def test_any_bytes_for_a_description_are_refused(run, payload):
    assert opens_or_is_refused(run, payload) is None


def opens_or_is_refused(run, payload):
    path = run.path / "run.json"
    path.write_bytes(payload)
    opened, refusal = outcome(lambda: Run(run.path.parent))
    if opened is None:
        assert str(path) in refusal
        return None
    assert [info.name for info in opened.layer_info] == opened.layers
    assert all(isinstance(info, LayerInfo) for info in opened.layer_info)
    assert isinstance(opened.store, Store)
    assert opened.steps == [3]
    assert opened.size > 0
    assert repr(opened)
    snapshot, refusal = outcome(lambda: opened.snapshot(3))
    assert snapshot is not None or "step-00000003.safetensors" in refusal
    probe = ProbeSet(np.zeros((12, 3)))
    with pytest.raises((ProbeMismatchError, RunMismatchError)):
        Run.create(run.path.parent, [], probe)
    return opened


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2; this svcca_monitor reads version 1. Upgrade"),
        ({"format_version": "1"}, "format version '1'"),
        ({"layers": {}}, "layers: Input should be a valid list. Received: {}"),
        ({"layers": [{"name": "x"}]}, r"layers\.0\.layer_class: Field required"),
        (
            {"probe_fingerprint": 7},
            "probe_fingerprint: Input should be a valid string. Received: 7",
        ),
        ({"n_samples": -1}, "n_samples: Input should be greater than or equal to 2. Received: -1"),
        ({"n_samples": 13}, "12 labels for 13 examples"),
        ({"cost": {"seconds": ["1"]}}, r"cost\.seconds\.0: Input should be a valid number"),
        ({"store": {"dtype": "float8"}}, "Unknown dtype 'float8' of `store`"),
        (
            {"step_unit": "eon"},
            "step_unit: Input should be 'epoch', 'batch' or 'step'. Received: 'eon'",
        ),
    ],
)
def test_an_absurd_field_is_named_with_what_came_and_the_way_out(run, change, message):
    path = run.path / "run.json"
    path.write_text(json.dumps({**run.facts, **change}))
    with pytest.raises(RunFormatError, match=message) as refusal:
        Run(run.path.parent)
    assert str(path) in str(refusal.value)
    assert any(way in str(refusal.value) for way in ("Upgrade", "Restore it from a copy"))


def test_a_snapshot_of_another_probe_set_is_refused(run, template, tmp_path):
    probe = ProbeSet(np.ones((12, 3)))
    other = Run.create(tmp_path / "other", template.layer_info, probe)
    other.write_snapshot(3, template.snapshot(3), epoch=1)
    shutil.copy(other.snapshot_path(3), run.snapshot_path(3))
    with pytest.raises(ProbeMismatchError, match=r"step-00000003\.safetensors and its run belong"):
        run.snapshot(3)


def test_a_snapshot_under_the_name_of_another_step_is_refused(run):
    shutil.copy(run.snapshot_path(3), run.snapshot_path(4))
    for read in (run.header, run.snapshot):
        with pytest.raises(RunFormatError, match="00000004.* it is the snapshot of step 3"):
            read(4)


@pytest.mark.parametrize("what", ["run.json", "snapshots", "snapshots/step-00000003.safetensors"])
def test_a_link_out_of_the_run_is_not_followed(run, tmp_path, what):
    inside, outside = run.path / what, tmp_path / "outside"
    shutil.move(inside, outside)
    inside.symlink_to(outside)
    with pytest.raises(RunFormatError, match="leads out of the run, to .*outside"):
        Run(tmp_path).snapshot(3)


def test_a_run_may_be_behind_a_link_itself(run, tmp_path):
    (tmp_path / "shortcut").symlink_to(tmp_path)
    assert list(Run(tmp_path / "shortcut").snapshot(3)) == list(LAYERS)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p)])
@pytest.mark.parametrize("what", ["run.json", "snapshots/step-00000003.safetensors"])
def test_what_is_no_plain_file_is_not_opened(run, tmp_path, what, make):
    (run.path / what).unlink()
    make(run.path / what)
    with pytest.raises(RunFormatError, match="no plain file|leads out of the run"):
        Run(tmp_path).snapshot(3)


@pytest.mark.parametrize(
    "name",
    [
        "step-٠٠٠٠٠٠٠٥.safetensors",  # digits, but not ours
        "step-000000005.safetensors",
        "step--0000005.safetensors",
        f"step-{'9' * 19}.safetensors",
        f"step-{'9' * 200}.safetensors",
        "step-00000005.safetensors\n",
        "STEP-00000005.safetensors",
    ],
)
def test_files_with_odd_numbers_are_no_snapshots(run, name):
    shutil.copy(run.snapshot_path(3), run.path / "snapshots" / name)
    assert run.steps == [3]


def test_a_file_that_claims_a_huge_header_takes_no_memory(run):
    import tracemalloc

    with open(run.snapshot_path(3), "wb") as file:
        file.write(struct.pack("<Q", 90_000_000))
        file.truncate(200_000_000)  # sparse
    tracemalloc.start()
    with pytest.raises(RunFormatError, match="is damaged"):
        run.snapshot(3)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    with open(run.path / "run.json", "wb") as file:
        file.truncate(10**12)
    with pytest.raises(RunFormatError, match="has 1000000000000 bytes"):
        Run(run.path.parent)


def executes(source):
    """What of a source could run what a file says."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found.add(called)
            if called == "np.load" and "allow_pickle=False" in ast.unparse(node):
                found.discard(called)
            found |= {k.arg for k in node.keywords if k.arg == "unsafe_mode"}
    forbidden = {
        *("pickle cPickle dill cloudpickle joblib shelve marshal".split()),
        *("eval exec compile np.load yaml.load torch.load pandas.read_pickle unsafe_mode".split()),
    }
    return found & forbidden


def test_no_file_can_have_code_run():
    found = {str(p): executes(p.read_text("utf-8")) for p in PACKAGE.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "yaml.load(file)",
        "keras.models.load_model(path, unsafe_mode=True)",
    ],
)
def test_the_look_for_it_can_fail(source):
    assert executes(source)
