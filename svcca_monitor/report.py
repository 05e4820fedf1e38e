"""Runs as one page that needs nothing else: the view of TensorBoard's tab, and its data."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomically
from .measures import get_measure, similarity_grid
from .panes import dims_of, pane_of, placed
from .run import Run
from .settling import convergence
from .tensorboard import frames

STATIC = Path(__file__).parent / "tensorboard" / "static"
# Snapshots in a report, evenly spaced: their number, squared, is what trajectories take.
MOST_STEPS = 100


def write_report(
    runs: Sequence[Run], path: str | os.PathLike[str], *, most_steps: int = MOST_STEPS
) -> Path:
    """Write one HTML file with the panes, curves and facts of runs.

    It opens from the disk, without a network, and loads nothing.

    Args:
        runs: The runs; each is shown by the name of its log directory.
        path: The file; a file that is there is replaced.
        most_steps: If a run has more snapshots, so many are shown, evenly spaced.

    Returns:
        The path.

    Raises:
        ValueError: If there is no run, a run has no snapshot, or `most_steps` is below 2.
    """
    if not runs:
        raise ValueError("A report is of at least one run. Received: none.")
    if most_steps < 2:
        raise ValueError(f"`most_steps` must be at least 2. Received: most_steps={most_steps}")
    data = {name: _described(run, most_steps) for name, run in zip(_names(runs), runs, strict=True)}
    page = _page(", ".join(data), data)
    write_atomically(Path(path), page.encode())
    return Path(path)


def _described(run: Run, most_steps: int) -> dict[str, Any]:
    """A run as `/tags` describes it, with the frames and the facts."""
    taken = run.steps
    if not taken:
        raise ValueError(f"The run in {run.path} has no snapshot yet.")
    places = np.linspace(0, len(taken) - 1, min(len(taken), most_steps)).round().astype(int)
    steps = [taken[place] for place in places]
    measure = run.facts.get("measure", "svcca")
    options = run.facts.get("measure_options", {})
    series = _series(run, steps, measure, options)
    return {
        "tags": dict.fromkeys(series, steps[-1]),
        "measure": measure,
        "layers": run.layers,
        "n_samples": run.facts.get("n_samples"),
        "frames": {
            tag: base64.b64encode(frames.encode(list(of_step), list(of_step.values()))).decode()
            for tag, of_step in series.items()
        },
        "facts": _facts(run, len(steps), measure, options),
    }


def _series(
    run: Run, steps: Sequence[int], measure: str, options: dict[str, Any]
) -> dict[str, dict[int, np.ndarray]]:
    """{tag: {step: matrix}}, as a monitor publishes them."""
    kind = get_measure(measure)
    settings = kind.settings(options)
    cut = {
        step: {name: kind.cut(s, settings) for name, s in run.snapshot(step).items()}
        for step in steps
    }
    names, end = run.layers, cut[steps[-1]]

    pasts = []
    for name in names:
        known = [step for step in steps if name in cut[step]]
        of_step = {str(step): cut[step][name] for step in known}
        grid = similarity_grid(of_step, measure=measure, **options)
        pasts.append(placed(grid, known, known, steps))
    past = np.array(pasts)
    return {
        "svcca/epoch": {s: np.array([run.header(s)["epoch"]]) for s in steps},
        "svcca/dims": {s: np.array(dims_of(names, cut[s], kind)) for s in steps},
        "svcca/layers": {s: pane_of(names, cut[s], measure=measure, **options) for s in steps},
        "svcca/final": {s: pane_of(names, cut[s], end, measure=measure, **options) for s in steps},
        "svcca/history": {s: past[:, k, :k] for k, s in enumerate(steps) if k},
    }


def _facts(run: Run, shown: int, measure: str, options: dict[str, Any]) -> list[tuple[str, str]]:
    """Terms and texts on a run, for people."""
    facts, steps = run.facts, run.steps
    settled = convergence(run, measure=measure, **options)
    tau, p_value = float(settled["bottom_up_index"]), float(settled["p_value"])
    # With the minus sign of the charts.
    index = f"{tau:+.2f} (p = {p_value:.2g})".replace("-", "−")
    found = [
        ("Layers", f"{len(run.layers)}, from {run.layers[0]} to {run.layers[-1]}"),
        ("Model", str(facts.get("model", "unnamed"))),
        ("Snapshots", f"{len(steps)}, to epoch {run.epochs[-1]:g}; {shown} are shown here"),
        ("Measure", f"{measure} {_plain(options)}".strip()),
        ("Probe set", f"{facts.get('n_samples', '?')} examples, {run.probe_fingerprint}"),
        ("Bottom-up index", f"{index}; −1 is strictly from the bottom up"),
        ("On disk", f"{run.size / 1e6:.1f} MB"),
    ]
    cost = facts.get("cost", {})
    if cost.get("seconds"):
        each = f"{np.mean(cost['seconds']):.2f} s and {np.mean(cost['bytes']) / 1e6:.2f} MB"
        found.append(("Cost", f"{each} a snapshot, {sum(cost['seconds']):.1f} s in all"))
    if facts.get("versions"):
        found.append(("Versions", _plain(facts["versions"])))
    return found


def _plain(entries: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in entries.items())


def _names(runs: Sequence[Run]) -> list[str]:
    """Names of the log directories, with a number where two are alike."""
    found: list[str] = []
    for run in runs:
        name = run.path.resolve().parent.name or "run"
        candidate, n = name, 1
        while candidate in found:
            n += 1
            candidate = f"{name} ({n})"
        found.append(candidate)
    return found


def _page(title: str, data: dict[str, Any]) -> str:
    script, style = _bundle("report.js"), (STATIC / "style.css").read_text("utf-8")
    # Within a script element "</script" and "<!--" would end the data; as \u003c they cannot.
    payload = json.dumps(data).replace("<", "\\u003c")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>SVCCA: {html.escape(title)}</title>\n<style>{style}</style>\n</head>\n"
        '<body>\n<div id="svcca"></div>\n'
        f'<script type="application/json" id="svcca-data">{payload}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _bundle(entry: str) -> str:
    """A module and those that it imports as one: they share no name at their top level."""
    done: dict[str, str] = {}

    def add(name: str) -> None:
        source = (STATIC / name).read_text("utf-8")
        for needed in re.findall(r'^import .*? from "\./(.*?)";$', source, re.MULTILINE):
            if needed not in done:
                add(needed)
        source = re.sub(r"^import .*?;\n", "", source, flags=re.MULTILINE)
        done[name] = re.sub(r"^export ", "", source, flags=re.MULTILINE)

    add(entry)
    return "\n".join(done.values())
