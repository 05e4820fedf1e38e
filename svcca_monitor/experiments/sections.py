"""The sections of a config: what may stand there, and in which range."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from ..cuts import Criterion
from ..measures import MEASURES, get_measure
from .parameters import DATA, MODELS, by_name, require_parameters
from .values import (
    DataFile,
    DataName,
    Epochs,
    Frequency,
    MeasureName,
    ModelName,
    ReferenceName,
    RepresentationName,
    StoredType,
)

# Keys of [monitor] that are options of the measure.
MEASURE_OPTIONS = ("explained_variance", "criterion", "dims")


class Section(BaseModel):
    """Refuses what it does not know: other keys, and `yes` or `"3"` where a number belongs."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,  # in the schema, for editors to show
    )


class DataConfig(Section):
    """What to train on: a built-in name, or `module:function`."""

    model_config = ConfigDict(json_schema_extra=by_name(DATA))

    name: DataName
    path: DataFile | None = None
    """An .npz file with x_train, y_train, x_test and y_test, instead of the built-in source; of
    `text`, a text file. From the working directory, and kept from the root on."""
    parameters: dict[str, Any] = {}
    """Arguments of the `module:function`; of `text`, the `length` of its sequences."""
    train_size: int | None = Field(None, ge=1)
    """Train on this many examples, drawn with the seed; all if left out."""
    test_size: int | None = Field(None, ge=2)
    seed: int | None = Field(None, ge=0)
    """Draws the examples and the probe set; the seed of the experiment if left out. Runs of several
    seeds that are to be compared need the same probe set, and so this."""
    random_labels: int | None = Field(None, ge=0)
    """Shuffle the labels of the training examples, the same way for the same number; those of the
    test examples stay true."""

    @model_validator(mode="after")
    def _takes_what_it_is_given(self) -> DataConfig:
        require_parameters(self.parameters, "data", self.name, DATA)
        if self.path is not None and self.name not in DATA:
            raise ValueError(
                f"`path` is read instead of a built-in source. Hand a file to {self.name!r} among "
                f"its `parameters`"
            )
        return self


class ModelConfig(Section):
    """What to train: a built-in name, or `module:function`, and its parameters."""

    model_config = ConfigDict(json_schema_extra=by_name(MODELS))

    name: ModelName
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _takes_what_it_is_given(self) -> ModelConfig:
        require_parameters(self.parameters, "model", self.name, MODELS)
        return self


class TrainingConfig(Section):
    """How to train."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(64, ge=1)
    optimizer: str | dict[str, Any] = "adam"
    """A name that Keras knows, or `{class_name: Adam, config: {…}}`; so below."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | dict[str, Any] | None = None
    """A number, or the serialisation of one of `keras.optimizers.schedules`."""
    loss: str | dict[str, Any] | None = None
    """Sparse categorical crossentropy of logits if left out."""
    metrics: list[str | dict[str, Any]] = ["accuracy"]
    callbacks: list[str | dict[str, Any]] = []
    """Classes of `keras.callbacks`, or `module:function`; in front of the monitor. What Keras' own
    write is in the directory of the run, unless they are given an absolute path or a URL."""


class StoreConfig(Section):
    """Bounds of what stays on disk, as of `svcca_monitor.Store`."""

    dims: int | None = Field(None, ge=1)
    """Directions kept of each layer."""
    dtype: StoredType = "float32"
    keep: Literal["all", "log"] | Annotated[int, Field(ge=2)] = "all"
    """Snapshots kept: `log`, more widely spaced as the run grows, or a number."""


def _options_by_measure() -> JsonDict:
    """As JSON schema: of each measure only the options that it takes."""
    return {
        "allOf": [
            {
                "if": {"properties": {"measure": {"const": name}}, "required": ["measure"]},
                "then": {"properties": {key: {"type": "null"} for key in others}},
            }
            for name, measure in MEASURES.items()
            for others in [[key for key in MEASURE_OPTIONS if key not in measure.defaults]]
            if others
        ]
    }


class MonitorConfig(Section):
    """What to watch."""

    model_config = ConfigDict(json_schema_extra=_options_by_measure())

    probe_size: int = Field(1024, ge=2)
    layers: str | list[str] | None = None
    measure: MeasureName = "svcca"
    representation: RepresentationName | dict[str, RepresentationName] = "mean"
    """For all layers, or by names and globs of layers."""
    snapshot_freq: Frequency = "epoch"
    """`epoch`, a number of batches, a list of steps, or `{log_spaced: 4}`."""
    max_overhead: float | None = Field(None, gt=0, le=1)
    store: StoreConfig | None = None
    explained_variance: float | None = Field(None, gt=0, le=1)
    criterion: Criterion | None = None
    dims: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _measure_takes_options(self) -> MonitorConfig:
        try:
            get_measure(self.measure).settings(self.measure_options)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def measure_options(self) -> dict[str, Any]:
        """The options that were set, for the measure."""
        options = {key: getattr(self, key) for key in MEASURE_OPTIONS}
        return {key: value for key, value in options.items() if value is not None}


# What says that layers freeze when they have converged, and has no meaning with a schedule.
_THRESHOLD, _PATIENCE = 0.99, 2
_GIVEN: JsonDict = {"not": {"type": "null"}}
_NOT_GIVEN: JsonDict = {"type": "null"}
_ONE_OF_TWO: JsonDict = {
    "oneOf": [
        {
            "required": ["schedule"],
            "properties": {
                "schedule": {**_GIVEN, "minItems": 1},
                "when": _NOT_GIVEN,
                "threshold": {"const": _THRESHOLD},
                "patience": {"const": _PATIENCE},
            },
        },
        {"required": ["when"], "properties": {"schedule": _NOT_GIVEN, "when": _GIVEN}},
    ]
}


class FreezeConfig(Section):
    """Freeze layers from the bottom: by a schedule, or when they have converged."""

    model_config = ConfigDict(json_schema_extra=_ONE_OF_TWO)

    schedule: Literal["linear"] | list[Epochs] | None = None
    """`linear`, or the epochs after which the first, second, … layer is frozen."""
    when: Literal["converged"] | None = None
    """Freeze a layer once its similarity to the previous snapshot stays at the threshold."""
    threshold: float = Field(_THRESHOLD, gt=0, le=1)
    patience: int = Field(_PATIENCE, ge=1)
    layers: str | list[str] | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> FreezeConfig:
        if (self.schedule is None) == (self.when is None):
            raise ValueError("give `schedule: linear`, a list of epochs, or `when: converged`")
        if self.schedule == []:
            raise ValueError(
                "`schedule: []` freezes nothing. List the epochs after which layers are frozen, or "
                "leave [freeze] out"
            )
        if isinstance(self.schedule, list) and self.schedule != sorted(self.schedule):
            raise ValueError("the epochs of `schedule` freeze from the bottom up, and ascend")
        of_when = {"threshold": _THRESHOLD, "patience": _PATIENCE}
        changed = [key for key, default in of_when.items() if getattr(self, key) != default]
        if self.when is None and changed:
            raise ValueError(f"`{changed[0]}` is of `when: converged`, and of no `schedule`")
        return self


class AnalysisConfig(Section):
    """What is shown of the run when it has ended."""

    measure: MeasureName | None = None
    """That of the monitor if left out."""
    reference: ReferenceName | Annotated[int, Field(ge=0)] = "final"
    """`final`, `initial`, `previous` or a step: what curves are compared with."""
    threshold: float = Field(0.9, gt=0, lt=1)
    """A layer has converged while its similarity to the end stays above this."""
    adjusted: bool = False
    """Show curves with chance at 0 and identity at 1, as convergence is told of in any case."""
    layers: list[str] | None = None
    """Names or globs; all if left out."""
