"""The sections of a config: what may stand there, and in which range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..activations import REPRESENTATIONS
from ..dynamics import REFERENCES
from ..measures import MEASURES, get_measure
from ..messages import unknown_name
from ..schedule import parse as parse_frequency
from ..store import Store
from ..subspace import Criterion

FUNCTION = "module:function"
# Built-in names, beside which there are functions.
DATA = ("digits", "mnist", "fashion_mnist", "cifar10", "npz", "text")
MODELS = ("mlp", "convnet", "resnet", "lstm")
# The largest seed that Keras sets.
MOST_SEED = 2**32 - 1


def _known(kind: str, names: Iterable[str], *others: str) -> AfterValidator:
    """Refuses a name that is none of these; `others` are what may stand there beside names."""

    def check(name: str) -> str:
        if name not in names and not (FUNCTION in others and ":" in name):
            raise ValueError(unknown_name(kind, name, (*names, *others)))
        return name

    return AfterValidator(check)


def _enum(names: Iterable[str]) -> Any:
    return Field(json_schema_extra={"enum": list(names)})


def _pattern(names: Sequence[str]) -> Any:
    return Field(json_schema_extra={"pattern": f"^({'|'.join(names)}|[^:]+:[^:]+)$"})


DataName = Annotated[str, _known("data", DATA, FUNCTION), _pattern(DATA)]
ModelName = Annotated[str, _known("model", MODELS, FUNCTION), _pattern(MODELS)]
MeasureName = Annotated[str, _known("measure", MEASURES), _enum(MEASURES)]
RepresentationName = Annotated[
    str, _known("representation", REPRESENTATIONS), _enum(REPRESENTATIONS)
]
ReferenceName = Annotated[str, _known("reference", REFERENCES, "a step"), _enum(REFERENCES)]
Epochs = Annotated[float, Field(ge=0, allow_inf_nan=False)]


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

    name: DataName
    path: Path | None = Field(None, strict=False)
    """An .npz file with x_train, y_train, x_test and y_test, instead of the built-in source; of
    `text`, a text file."""
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


class ModelConfig(Section):
    """What to train: a built-in name, or `module:function`, and its parameters."""

    name: ModelName
    parameters: dict[str, Any] = {}


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
    """Classes of `keras.callbacks`, or `module:function`; in front of the monitor."""


class MonitorConfig(Section):
    """What to watch."""

    probe_size: int = Field(1024, ge=2)
    layers: str | list[str] | None = None
    measure: MeasureName = "svcca"
    representation: RepresentationName | dict[str, RepresentationName] = "mean"
    """For all layers, or by names and globs of layers."""
    snapshot_freq: str | int | list[int] | dict[str, int] = "epoch"
    """`epoch`, a number of batches, a list of steps, or `{log_spaced: 4}`."""
    max_overhead: float | None = Field(None, gt=0, le=1)
    store: dict[str, Any] | None = None
    """Bounds of what stays on disk: `dims`, `dtype` and `keep`."""
    explained_variance: float | None = Field(None, gt=0, le=1)
    criterion: Criterion | None = None
    dims: int | None = Field(None, ge=1)

    @field_validator("snapshot_freq", "store")
    @classmethod
    def _known_choice(cls, value: Any, field: ValidationInfo) -> Any:
        try:
            if field.field_name == "snapshot_freq":
                parse_frequency(value)
            elif value is not None:
                Store.of(value)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return value

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
        options = {
            "explained_variance": self.explained_variance,
            "criterion": self.criterion,
            "dims": self.dims,
        }
        return {key: value for key, value in options.items() if value is not None}


class FreezeConfig(Section):
    """Freeze layers from the bottom: by a schedule, or when they have converged."""

    schedule: Literal["linear"] | list[Epochs] | None = None
    """`linear`, or the epochs after which the first, second, … layer is frozen."""
    when: Literal["converged"] | None = None
    """Freeze a layer once its similarity to the previous snapshot stays at the threshold."""
    threshold: float = Field(0.99, gt=0, le=1)
    patience: int = Field(2, ge=1)
    layers: str | list[str] | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> FreezeConfig:
        if (self.schedule is None) == (self.when is None):
            raise ValueError("give `schedule: linear`, a list of epochs, or `when: converged`")
        if isinstance(self.schedule, list) and self.schedule != sorted(self.schedule):
            raise ValueError("the epochs of `schedule` freeze from the bottom up, and ascend")
        of_when = {"threshold": 0.99, "patience": 2}
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
