"""Parameters of functions that configs name are checked from their source, before any is run."""

import sys

import pytest

from svcca_monitor.experiments import config
from svcca_monitor.experiments.matrix import Sweep

SOURCE = """
raise RuntimeError("this module was run")
from elsewhere import imported
from functools import partial, wraps
def net(input_shape, n_classes, *, units=3, depth=2): ...
def points(n, /, size=3): ...
def stop(patience=1): ...
def open_net(input_shape, n_classes, **parameters): ...
@wraps(net)
def decorated(*args): ...
either = net
if sys.argv:
    def depends(a): ...
def twice(a): ...
def twice(b): ...
def changed(a): ...
changed = partial(net, units=2)
class Net:
    def __init__(self, a): ...
"""
SMALL = """
data: {name: digits}
model: {name: mlp}
training: {epochs: 1}
matrix: {seed: [0, 1]}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a config, with overrides, beside functions that no test may run."""
    (tmp_path / "own/nets").mkdir(parents=True)
    (tmp_path / "own/__init__.py").write_text(SOURCE)
    (tmp_path / "own/nets/small.py").write_text(SOURCE)
    (tmp_path / "flat.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("def net(:")
    (tmp_path / "x.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)

    def loaded(*overrides):
        found = config.load("x.yaml", overrides)
        assert Sweep.load("x.yaml", overrides).cells[0].config == found
        assert not {"own", "flat", "broken"} & set(sys.modules)
        return found

    return loaded


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model={name: 'flat:net', parameters: {unitz: 4}}",
            "x.yaml.*: Unknown parameter 'unitz' of model 'flat:net'. Did you mean 'units'."
            " Expected one of: units, depth",
        ),
        ("model={name: 'own.nets.small:net', parameters: {dept: 4}}", "Did you mean 'depth'"),
        ("model={name: 'own:net', parameters: {n_classes: 4}}", "one of: units, depth"),
        ("data={name: 'own:points', parameters: {siz: 4}}", "of data 'own:points'. Did you mean"),
        ("data={name: 'own:points', parameters: {n: 4}}", "Expected one of: size"),
        (
            "training.callbacks=[{class_name: 'flat:stop', config: {patienc: 1}}]",
            "of callback 'flat:stop'. Did you mean 'patience'",
        ),
        (
            "model.parameters={unitz: [4]}",
            r"'model' in .*x.yaml.*'unitz' of model 'mlp'. Did you mean 'units'",
        ),
        (
            "data.parameters={length: 4}",
            "Unknown parameter 'length' of data 'digits'. It takes non",
        ),
        (
            "data={name: text, parameters: {lenght: 4}}",
            "Unknown parameter 'lenght' of data 'text'. Did you mean 'length'",
        ),
    ],
)
def test_a_parameter_that_a_name_does_not_take_is_told_before_anything_runs(
    load, override, message
):
    load()  # without it all is well
    with pytest.raises(config.ConfigError, match=message):
        config.load("x.yaml", [override])
    with pytest.raises(config.ConfigError, match=message):
        Sweep.load("x.yaml", [override])


@pytest.mark.parametrize("name", ["flat:net", "own:net", "own.nets.small:net"])
def test_parameters_that_a_function_takes_are_left_alone(load, name):
    found = load(f"model={{name: '{name}', parameters: {{units: 4, depth: 1}}}}")
    assert found.model.parameters == {"units": 4, "depth": 1}


@pytest.mark.parametrize(
    "name",
    [
        *("flat:open_net", "flat:decorated", "flat:either", "flat:depends", "flat:twice"),
        *("flat:changed", "flat:Net", "flat:imported", "flat:none", "flat.nets:net", "broken:net"),
        *("nowhere:net", "own.nowhere:net", "own.nets:net", "math:hypot", "builtins:print"),
        "flat.textwrap:dedent",  # a module has no parts, and this none of the standard library
    ],
)
def test_what_the_source_does_not_tell_is_left_to_the_run(load, name):
    found = load(f"model={{name: '{name}', parameters: {{odd: 4}}}}")
    assert found.model.parameters == {"odd": 4}


def test_a_matrix_over_parameters_is_checked_in_each_cell(load):
    with pytest.raises(config.ConfigError, match=r"\(seed=0,dept=1\).*Did you mean 'depth'"):
        load("model.name='flat:net'", "matrix.model.parameters.dept=[1, 2]")
    load("model.name='flat:net'")
