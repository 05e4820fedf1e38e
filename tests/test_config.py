import dataclasses
import inspect
from pathlib import Path

import jsonschema
import pytest

from svcca_monitor import Store
from svcca_monitor.experiments import config, documents

CONFIGS = Path(__file__).parents[1] / "configs"
DIGITS = CONFIGS / "digits.yaml"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_every_config_of_the_project_is_valid_and_reads_back(path, tmp_path):
    settings = config.load(path)
    (tmp_path / "again.yaml").write_text(settings.to_yaml())
    assert config.load(tmp_path / "again.yaml") == settings


def test_the_configs_of_single_runs_are_there():
    names = {path.name for path in CONFIGS.glob("*.yaml")}
    assert {"digits.yaml", "fashion_mnist_convnet.yaml", "cifar10_convnet.yaml"} <= names


def test_set_reaches_every_level_and_creates_what_is_missing():
    settings = config.load(
        DIGITS,
        ["seed=7", "training.epochs=3", "model.parameters.filters=[4,4,8,8,8]", "data.path=/x=y"],
    )
    assert settings.seed == 7
    assert settings.training.epochs == 3
    assert settings.model.parameters["filters"] == [4, 4, 8, 8, 8]
    assert str(settings.data.path) == "/x=y"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "monitor.explained_varience=0.9",
            r"Unknown key 'explained_varience' in \[monitor\] of .*digits.yaml. "
            "Did you mean 'explained_variance'",
        ),
        (
            "trainning.epochs=3",
            r"Unknown key 'trainning' in .*digits.yaml. Did you mean 'training'",
        ),
        (
            "training.epochs=0",
            r"'epochs' in \[training\] .*greater than or equal to 1. Received: 0",
        ),
        ("training.epochs=many", r"'epochs' in \[training\] .*valid integer"),
        ("monitor.measure=svca", "Unknown measure 'svca'. Did you mean 'svcca'"),
        (
            "monitor.representation=flaten",
            "Unknown representation 'flaten'. Did you mean 'flatten'",
        ),
        ("monitor.snapshot_freq=batch", "Expected 'epoch', a number of batches, a list of steps"),
        ("monitor.snapshot_freq=[3, -1]", "lists the step -1; steps count from 0"),
        (
            "monitor.snapshot_freq={log_space: 4}",
            "The one schedule that a dict names is .*log_spaced",
        ),
        ("monitor.snapshot_freq={log_spaced: 0}", "`per_decade` must be at least 1"),
        ("monitor.representation={c1: flaten}", "'flaten'. Did you mean 'flatten'"),
        (
            "monitor.store={dim: 8}",
            r"Unknown key 'dim' in \[monitor.store\] .*Did you mean 'dims'",
        ),
        (
            "monitor.store={keep: 1}",
            r"'keep' in \[monitor.store\] .*'all' or 'log', or greater than or equal to 2",
        ),
        ("monitor.store=8", r"'store' in \[monitor\] .*a section with keys, such as 'dims'"),
        ("data.path=s3://bucket/x.npz", r"'path' in \[data\] .*takes a file .*, not a URL"),
        (
            "model.parameters={units: abc}",
            "`units` of model 'convnet': .*'str' .* as a Sequence.* Received: units='abc'",
        ),
        (
            "model.parameters={units: [3, 0]}",
            r"`units` of model 'convnet': .*greater than or equal to 1. .*units=\[3, 0\]",
        ),
        (
            "model.parameters={filters: [3]}",
            r"`filters` of model 'convnet': .*at least 5 items.* filters=\[3\]",
        ),
        ("data={name: 'a:b', path: x.npz}", "Hand a file to 'a:b' among its `parameters`"),
        ("monitor.max_overhead=2", r"'max_overhead' in \[monitor\] .*less than or equal to 1"),
        ("monitor.layers=3", r"'layers' in \[monitor\]"),
        ("data.name=", r"'name' in \[data\]"),
        ("seed", "--set takes section.key=value. Received: 'seed'"),
        ("seed.x.y=1", "'seed' is a value, not a section"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_way_out(override, message):
    with pytest.raises(config.ConfigError, match=message):
        config.load(DIGITS, [override])


def test_schedules_stores_and_representations_by_layer_can_be_written_and_read_back(tmp_path):
    settings = config.load(
        DIGITS,
        [
            "monitor.snapshot_freq={log_spaced: 4}",
            "monitor.representation={c1: flatten, 'fc*': mean}",
            "monitor.store={dims: 8, dtype: float16, keep: log}",
            "monitor.max_overhead=0.02",
        ],
    )
    assert settings.monitor.snapshot_freq == {"log_spaced": 4}
    assert settings.monitor.representation == {"c1": "flatten", "fc*": "mean"}
    (tmp_path / "again.yaml").write_text(settings.to_yaml())
    assert config.load(tmp_path / "again.yaml") == settings


def test_options_that_the_measure_does_not_take_are_refused():
    with pytest.raises(
        config.ConfigError, match="Unknown option 'explained_variance' of linear_cka"
    ):
        config.load(DIGITS, ["monitor.measure=cka", "monitor.explained_variance=0.9"])


def test_missing_sections_and_files_are_named(tmp_path):
    (tmp_path / "x.yaml").write_text("data: {name: digits}")
    with pytest.raises(config.ConfigError, match="Missing key 'model' in .*x.yaml"):
        config.load(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("just text")
    with pytest.raises(config.ConfigError, match="must hold the sections seed, data, model"):
        config.load(tmp_path / "x.yaml")
    with pytest.raises(config.ConfigError, match="Cannot read the config .*nowhere"):
        config.load(tmp_path / "nowhere.yaml")


def test_the_schema_accepts_every_config_of_the_project_and_names_what_it_knows():
    schema = config.Config.schema_of_files()
    assert schema["properties"].keys() >= {"seed", "data", "model", "training", "monitor"}
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["TrainingConfig"]["properties"]["epochs"]["minimum"] == 1


@pytest.fixture(scope="module")
def schema():
    found = config.Config.schema_of_files()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_the_schema_takes_every_config_of_the_project_and_what_is_kept_of_it(path, schema):
    schema.validate(config.read(path))
    schema.validate(documents.parse(config.load(path).to_yaml()))


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        ("monitor.store={dims: 1, keep: 2}", "monitor.store={dims: 0}"),
        ("monitor.store={dtype: float16, keep: log}", "monitor.store={dtype: float64}"),
        ("monitor.store={}", "monitor.store={keep: 1}"),
        ("monitor.store=null", "monitor.store={dim: 1}"),
        ("freeze={schedule: linear}", "freeze={}"),
        ("freeze={when: converged, schedule: null}", "freeze={when: null}"),
        ("freeze={when: converged, threshold: 0.5}", "freeze={schedule: linear, threshold: 0.5}"),
        ("freeze={schedule: [1, 2], patience: 2}", "freeze={schedule: [1], when: converged}"),
        ("freeze={schedule: [0]}", "freeze={schedule: []}"),
        ("monitor.snapshot_freq={log_spaced: 1}", "monitor.snapshot_freq={log_spaced: 0}"),
        ("monitor.snapshot_freq=[0]", "monitor.snapshot_freq=[]"),
        ("monitor.snapshot_freq=[0, 3]", "monitor.snapshot_freq=[0, -3]"),
        ("monitor.snapshot_freq=epoch", "monitor.snapshot_freq=batch"),
        ("monitor.snapshot_freq=1", "monitor.snapshot_freq=0"),
        ("monitor.explained_variance=0.9", "monitor={measure: cka, explained_variance: 0.9}"),
        ("monitor={measure: cka, dims: null}", "monitor={measure: cka, dims: 3}"),
        ("model={name: mlp, parameters: {units: [3]}}", "model={name: mlp, parameters: {unit: 3}}"),
        ("model={name: 'a:b', parameters: {unit: 3}}", "model={name: 'a:'}"),
        ("data={name: text, parameters: {length: 3}}", "data.parameters={length: 3}"),
        ("data.path=../x.npz", "data.path=s3://bucket/x.npz"),
        ("seed=4294967295", "seed=4294967296"),
        ("model.parameters={width: 1}", "model.parameters={width: 0}"),
        ("model.parameters={units: [3, 4]}", "model.parameters={units: [3, 0]}"),
        ("model.parameters={filters: [1, 1, 1, 1, 1]}", "model.parameters={filters: [1]}"),
        ("model.parameters={batch_norm: false}", "model.parameters={batch_norm: 1}"),
        (
            "model={name: mlp, parameters: {units: []}}",
            "model={name: mlp, parameters: {units: abc}}",
        ),
        (
            "model={name: resnet, parameters: {blocks: 1}}",
            "model={name: resnet, parameters: {blocks: 0}}",
        ),
    ],
)
def test_the_schema_takes_what_the_config_takes_and_refuses_what_it_refuses(valid, invalid, schema):
    config.load(DIGITS, [valid])
    schema.validate(config.read(DIGITS, [valid]))
    with pytest.raises(config.ConfigError):
        config.load(DIGITS, [invalid])
    assert not schema.is_valid(config.read(DIGITS, [invalid]))


def test_bounds_of_what_is_stored_are_those_of_the_monitor():
    kept = config.load(DIGITS, ["monitor.store={}"]).monitor.store
    assert kept.model_dump() == dataclasses.asdict(Store())


def test_a_relative_path_is_kept_so_that_the_config_can_be_read_from_anywhere(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    kept = config.load(DIGITS, ["data.path=../x.npz"])
    assert kept.data.path == tmp_path / "there/../x.npz"
    assert str(config.load(DIGITS, ["data.path=~/x.npz"]).data.path) == "/home/me/x.npz"
    assert config.load(DIGITS).data.path is None
    (tmp_path / "kept.yaml").write_text(kept.to_yaml())
    monkeypatch.chdir("/")
    assert config.load(tmp_path / "kept.yaml") == kept


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("analysis.measure=ckaa", "Unknown measure 'ckaa'. Did you mean 'cka'"),
        ("analysis.reference=finall", "Unknown reference 'finall'. Did you mean 'final'"),
        ("analysis.threshold=2", r"'threshold' in \[analysis\] .*less than 1"),
        ("freeze.schedule=linaer", r"'schedule' in \[freeze\] .*'linear'"),
        ("freeze={dry_run: true}", "give `schedule: linear`, a list of epochs, or `when: conv"),
        ("freeze={when: converged, patience: 0}", r"'patience' in \[freeze\]"),
        ("training.learning_rate=-1", r"'learning_rate' in \[training\] .*greater than 0"),
        ("training.callbacks=EarlyStopping", r"'callbacks' in \[training\] .*list"),
    ],
)
def test_what_analysis_and_training_take_is_checked_before_anything_runs(override, message):
    with pytest.raises(config.ConfigError, match=message):
        config.load(DIGITS, [override])


def check(text, tmp_path):
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    return config.load(tmp_path / "x.yaml")


SMALL = """
data: {name: digits}
model: {name: mlp}
training: {epochs: 3, batch_size: 8}
"""


def test_numbers_are_numbers_as_yaml_1_2_has_them_and_read_back(tmp_path):
    found = check(
        SMALL.replace("mlp}", "'a:b', parameters: {a: 2E-4, b: '1e-3', c: 7, d: -1.5}}")
        + "analysis: {threshold: 9e-1}",
        tmp_path,
    )
    assert found.analysis.threshold == 0.9
    assert found.model.parameters == {"a": 2e-4, "b": "1e-3", "c": 7, "d": -1.5}
    assert check(found.to_yaml(), tmp_path) == found


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        ("epochs: 3", "epochs: yes", r"'epochs' in \[training\] .*integer. Received: True"),
        ("epochs: 3", "epochs: '3'", r"'epochs' in \[training\] .*integer. Received: '3'"),
        ("epochs: 3", "epochs: 3.5", r"'epochs' in \[training\] .*integer. Received: 3.5"),
        ("epochs: 3", "epochs: 3, epochs: 4", r"the key 'epochs' is there twice(.|\n)*line 4"),
        ("data:", "data: {name: mnist}\ndata:", "the key 'data' is there twice"),
        ("digits", "no", r"'name' in \[data\] .*valid string. Received: False"),
        ("digits", "digit", r"\[data\] of .*x.yaml: Unknown data 'digit'. Did you mean 'digits'"),
        ("mlp", "mpl", r"\[model\] of .*x.yaml: Unknown model 'mpl'. Did you mean 'mlp'"),
        ("batch_size: 8", "learning_rate: .inf", "finite number, or a valid dictionary. .*: inf"),
        ("batch_size: 8", "learning_rate: .nan", "finite number, or a valid dictionary. .*: nan"),
        ("batch_size: 8", "learning_rate: true", "valid number, or a valid dictionary. .*: True"),
        ("{name: mlp}", "[mlp]", r"'model' in .*a section with keys, such as 'name'. .*\['mlp'\]"),
        ("{name: mlp}", "", r"'model' in .*a section with keys, such as 'name'. Received: None"),
    ],
)
def test_what_is_no_number_name_or_section_is_told_once(there, here, message, tmp_path):
    with pytest.raises(config.ConfigError, match=message) as refused:
        check(SMALL.replace(there, here), tmp_path)
    assert str(refused.value).count("Key '") <= 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("seed: 4294967296", "'seed' in .*less than or equal to 4294967295"),
        ("matix: {seed: [1]}", "Unknown key 'matix' in .*Did you mean 'matrix'"),
        ("freeze: {schedul: linear}", r"'schedul' in \[freeze\].*Did you mean 'schedule'"),
        ("freeze: {schedule: []}", r"schedule: \[\]` freezes nothing.* or leave \[freeze\] out"),
        ("freeze: {schedule: [2, 1]}", "epochs of `schedule` freeze from the bottom up"),
        ("freeze: {schedule: [.nan]}", r"in \[freeze.schedule\] .*finite number"),
        ("freeze: {schedule: [-1, 2]}", r"in \[freeze.schedule\] .*greater than or equal to 0"),
        ("freeze: {schedule: linear, patience: 5}", "`patience` is of `when: converged`"),
        ("analysis: {reference: -1}", r"'reference' in \[analysis\] .*greater than or equal to 0"),
        ("analysis: {reference: true}", r"'reference' in \[analysis\]"),
        ("analysis: {reference: a step}", "Unknown reference 'a step'"),
        ("analysis: {measure: 3}", r"'measure' in \[analysis\] .*valid string"),
        ("monitor: {snapshot_freq: yes}", r"'snapshot_freq' in \[monitor\]"),
    ],
)
def test_what_would_fail_after_the_training_is_refused_before_it(lines, message, tmp_path):
    with pytest.raises(config.ConfigError, match=message):
        check(SMALL + lines, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"data:\n\tname: digits", b"- data"])
def test_files_that_hold_no_sections_are_refused_by_name(content, tmp_path):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(config.ConfigError, match=r"x.yaml (must hold|is not valid YAML)"):
        config.load(tmp_path / "x.yaml")
    with pytest.raises(config.ConfigError, match="Cannot read the config .*: Is a directory"):
        config.load(tmp_path)


def test_a_key_of_a_merged_section_may_be_said_anew(tmp_path):
    merged = SMALL.replace("{epochs", "{<<: {epochs: 9, batch_size: 2}, epochs")
    assert check(merged, tmp_path).training.epochs == 3


def test_the_names_that_configs_know_are_those_there_are():
    from svcca_monitor.experiments import data, models, parameters
    from svcca_monitor.experiments.names import GIVEN_TO_MODELS
    from svcca_monitor.experiments.text import characters

    def parameters_of(function, *given):
        return [each for each in inspect.signature(function).parameters if each not in given]

    assert set(parameters.DATA) == {*data.SOURCES, "text"}
    assert list(parameters.DATA["text"].__annotations__) == parameters_of(characters, "path")
    for name, source in data.SOURCES.items():
        assert list(parameters.DATA[name].__annotations__) == parameters_of(source)
    for name, builder in models.MODELS.items():
        known = list(parameters.MODELS[name].__annotations__)
        assert known == parameters_of(builder, *GIVEN_TO_MODELS)
    assert set(parameters.MODELS) == set(models.MODELS)
    properties = config.Config.schema_of_files()["$defs"]["MonitorConfig"]["properties"]
    assert "pwcca" in properties["measure"]["enum"]
    assert "a list of steps" in properties["snapshot_freq"]["description"]
