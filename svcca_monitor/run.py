"""A run on disk: snapshots of the layers, taken on one probe set as training went on.

Needs no deep-learning framework: any training loop can write a run, any laptop can read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import description, snapshots
from .description import LayerInfo as LayerInfo
from .description import RunMismatchError as RunMismatchError
from .files import RunFormatError as RunFormatError
from .files import remove_unfinished, require_own, write_atomically
from .probe import ProbeMismatchError, ProbeSet
from .remote import as_path, fetch, is_url
from .store import Store
from .subspace import Subspace

DIRECTORY = "svcca"


class Run:
    """Snapshots of the layers of one model on one probe set.

    Args:
        path: The log directory, or the folder `svcca` in it; or the URL of one, such as
            `s3://bucket/logs/cnn`, which is copied to this machine as it is now.

    Attributes:
        path: The folder `svcca` with the files, on this machine.
        source: Where another machine finds the run: an absolute path, or the URL.

    Raises:
        FileNotFoundError: If there is no run.
        RunFormatError: If `run.json` is damaged, of an unknown format version, or leads out of the
            run.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = _directory(fetch(path) if is_url(path) else as_path(path))
        self.source = os.fspath(path) if is_url(path) else str(self.path.absolute())
        try:
            self._facts = description.read(self.path / "run.json")
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(
                f"No run in {path}: {self.path / 'run.json'} does not exist. Pass the log_dir "
                "that SVCCAMonitor was given."
            ) from None

    @classmethod
    def create(
        cls,
        log_dir: str | os.PathLike[str],
        layers: Sequence[LayerInfo],
        probe: ProbeSet,
        *,
        store: Store | Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> Run:
        """Start a run in `log_dir`, or go on with the run that it holds.

        Args:
            log_dir: Directory, made if need be; the run is its folder `svcca`.
            layers: The layers, in the order of the model.
            probe: The probe set.
            store: What is kept of further snapshots, see `Store`. Left out: what the run has; at
                the start everything, in single precision.
            **facts: Further entries of `run.json`, such as `measure`.

        Raises:
            ProbeMismatchError: If the directory holds a run on another probe set.
            RunMismatchError: If it holds a run of another model.
            ValueError: If `log_dir` is a URL.
        """
        if is_url(log_dir):
            raise ValueError(
                f"{log_dir} is a URL, where files cannot grow: write to a directory and copy it, "
                "or train by `svcca-monitor run CONFIG --log-dir URL`, which does that."
            )
        # Absolute, as a training may change its working directory.
        path = _directory(as_path(log_dir)).absolute()
        bounds = None if store is None else Store.of(store)
        if (path / "run.json").exists():
            run = cls(path)
            run._require_same(layers, probe)
            remove_unfinished(path)
            remove_unfinished(path / "snapshots")
            if bounds is not None and bounds != run.store:
                run.record(store=bounds.facts())
            return run
        path.mkdir(parents=True, exist_ok=True)
        (path / "snapshots").mkdir(exist_ok=True)
        record = {
            "format_version": description.FORMAT_VERSION,
            "layers": [asdict(layer) for layer in layers],
            "probe_fingerprint": probe.fingerprint,
            "n_samples": probe.n_samples,
            "labels": None if probe.labels is None else probe.labels.tolist(),
            "class_names": probe.class_names,
            "ids": probe.ids.tolist(),
            "store": (bounds or Store()).facts(),
            **facts,
        }
        write_atomically(path / "run.json", description.encode(record))
        return cls(path)

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in the order in which the model calls them."""
        return [layer.name for layer in self.layer_info]

    @property
    def layer_info(self) -> list[LayerInfo]:
        """What the run knows about each layer."""
        return description.layer_info(self._facts)

    @property
    def steps(self) -> list[int]:
        """Steps with a complete snapshot, ascending; read anew, as training may be going on."""
        return snapshots.steps_in(self.path / "snapshots")

    @property
    def epochs(self) -> list[float]:
        """Epoch of each step; a fraction where snapshots are taken within epochs."""
        return [float(self.header(step)["epoch"]) for step in self.steps]

    @property
    def probe_fingerprint(self) -> str:
        """Fingerprint of the probe set, see `ProbeSet`."""
        return self._facts["probe_fingerprint"]

    @property
    def facts(self) -> dict[str, Any]:
        """Everything in `run.json`, such as labels, measure, versions and costs."""
        return dict(self._facts)

    @property
    def store(self) -> Store:
        """What is kept of snapshots."""
        return Store.of(self._facts.get("store", {}))

    @property
    def size(self) -> int:
        """Bytes on disk: the snapshots, the description and what TensorBoard shows."""
        return sum(entry.stat().st_size for entry in self.path.rglob("*") if entry.is_file())

    def snapshot(self, step: int) -> dict[str, Subspace]:
        """The factorised activations of every layer at a step.

        Raises:
            KeyError: If the run has no snapshot of that step.
            RunFormatError: If the file is damaged, of another step or other layers, or leads out of
                the run.
            ProbeMismatchError: If it was taken on another probe set.
        """
        path = self._existing(step)
        return snapshots.read(
            path,
            self.layers,
            step=step,
            probe=self.probe_fingerprint,
            n_samples=self._facts.get("n_samples"),
        )

    def header(self, step: int) -> dict[str, Any]:
        """Epoch and logs of a snapshot: `{"step": …, "epoch": …, "logs": {…}}`."""
        return snapshots.read_header(self._existing(step), step=step)

    def write_snapshot(
        self,
        step: int,
        layers: Mapping[str, Subspace],
        *,
        epoch: float,
        logs: Mapping[str, float] | None = None,
    ) -> int:
        """Add a snapshot; it exists whole or not at all.

        Factors are kept in float32, which holds all that float32 activations have, unless `store`
        bounds them; it also says which earlier snapshots are removed.

        Args:
            step: Above every step that the run has.
            layers: The factorised activations; a layer that is left out is nan in every result.
            epoch: Epochs completed.
            logs: Numbers to keep with it, such as the losses.

        Returns:
            Size of the file in bytes.

        Raises:
            ValueError: If the step is not above the last one, or a layer is not one of the run's.
        """
        last = self.steps[-1] if self.steps else -1
        if step <= last:
            raise ValueError(f"Steps must increase: the run has step {last}. Received: {step}.")
        unknown = set(layers) - set(self.layers)
        if unknown:
            raise ValueError(f"Layers {sorted(unknown)} are not layers of this run: {self.layers}.")
        payload = snapshots.encode(
            step,
            self.store.cut(layers),
            epoch=epoch,
            logs=logs or {},
            probe=self.probe_fingerprint,
            dtype=self.store.dtype,
        )
        write_atomically(self.snapshot_path(step), payload)
        for old in self.store.superfluous(self.steps):
            self.snapshot_path(old).unlink(missing_ok=True)
        return len(payload)

    def relabel(self, step: int, *, epoch: float) -> None:
        """Give a snapshot another epoch, as when the length of its epoch is known only afterwards.

        Raises:
            KeyError: If the run has no snapshot of that step.
        """
        path = self._existing(step)
        write_atomically(path, snapshots.relabelled(path.read_bytes(), epoch))

    def record(self, **facts: Any) -> None:
        """Add entries to `run.json`, or replace them."""
        self._facts.update(facts)
        write_atomically(self.path / "run.json", description.encode(self._facts))

    def snapshot_path(self, step: int) -> Path:
        """File of the snapshot of a step."""
        return self.path / "snapshots" / snapshots.file_name(step)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {len(self.layers)} layers, {len(self.steps)} snapshots)"

    def _existing(self, step: int) -> Path:
        path = self.snapshot_path(step)
        if not os.path.lexists(path):
            raise KeyError(f"No snapshot of step {step} in {self.path}. Steps: {self.steps}.")
        require_own(path, self.path)
        return path

    def require_probe_of(self, other: Run) -> None:
        """Raise ProbeMismatchError unless another run was taken on the same probe set."""
        if self.probe_fingerprint != other.probe_fingerprint:
            raise ProbeMismatchError(
                self.probe_fingerprint,
                other.probe_fingerprint,
                f"Snapshots in {self.path}",
                other=f"those in {other.path} to",
                way_out="make runs that are to be compared on one probe set (in configs of "
                "several seeds, say data.seed)",
            )

    def _require_same(self, layers: Sequence[LayerInfo], probe: ProbeSet) -> None:
        if self.probe_fingerprint != probe.fingerprint:
            raise ProbeMismatchError(self.probe_fingerprint, probe.fingerprint, str(self.path))
        for mine, other in zip(self.layer_info, layers, strict=False):
            if mine != other:
                raise RunMismatchError(
                    f"{self.path} holds a run of another model: its layer {mine.depth} is {mine}, "
                    f"but this model has {other}. Nothing was changed; use another log_dir."
                )
        if len(self.layers) != len(layers):
            raise RunMismatchError(
                f"{self.path} holds a run of {len(self.layers)} layers ({', '.join(self.layers)}), "
                f"but {len(layers)} are to be monitored ({', '.join(i.name for i in layers)}). "
                "Nothing was changed; use another log_dir."
            )


def _directory(path: Path) -> Path:
    """The run's folder, whether it or the log directory was named."""
    named = path.name == DIRECTORY and (path / "run.json").exists()
    return path if named else path / DIRECTORY
