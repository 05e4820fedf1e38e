"""Commands. Everything heavy is imported when a command needs it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Watch each layer of a Keras model converge while it trains.",
)
ConfigArgument = Annotated[Path, typer.Argument(help="YAML config, such as configs/digits.yaml.")]
OverrideOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="section.key=value, over the config; may be repeated."),
]
LogDirOption = Annotated[
    str | None,
    typer.Option(
        help="Where to write, a directory or a URL; default: logs/<name of the config>.",
        metavar="PLACE",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(help="Address of a Dask scheduler, such as tcp://host:8786, to compute there."),
]
MeasureOption = Annotated[str | None, typer.Option(help="Measure; default: the run's own.")]


@app.command()
def run(
    config: ConfigArgument,
    override: OverrideOption = None,
    log_dir: LogDirOption = None,
) -> None:
    """Train what CONFIG describes and watch its layers converge."""
    with _readable_errors():
        from .experiments import config as configs

        settings = configs.load(config, override or [])
        # The config of a run is called like any other; the run has a name.
        name = config.absolute().parent.name if config.name == "config.yaml" else config.stem
        folder = log_dir or _unused(Path("logs") / name)
        # TensorFlow's notes on the machine it finds would tear the display.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from .display import TrainingDisplay
        from .experiments.train import Progress, train
        from .run import Run
        from .showing import print_convergence

        console = Console()
        with TrainingDisplay(console, config.stem) as display:

            def report(progress: Progress) -> None:
                display.update(**vars(progress))

            train(settings, folder, report=report)
        wanted = settings.analysis
        try:
            print_convergence(
                console,
                [Run(folder)],
                measure=wanted.measure,
                reference=wanted.reference,
                threshold=wanted.threshold,
                adjusted=wanted.adjusted,
                layers=wanted.layers,
            )
        finally:  # what was trained is not lost by what was asked of it
            shown = shlex.quote(str(folder))
            _say(console, f"\nRun in {folder}. Look at it again, or in TensorBoard:")
            _say(console, f"  svcca-monitor show {shown} --plot {shown}/plots")
            _say(console, f"  tensorboard --logdir {shown}")


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="YAML config with a `matrix`.")],
    override: OverrideOption = None,
    log_dir: LogDirOption = None,
    jobs: Annotated[int, typer.Option(help="How many runs at a time.", min=1)] = 1,
    scheduler: SchedulerOption = None,
) -> None:
    """Train all combinations that the matrix of CONFIG names; goes on with what was begun."""
    with _readable_errors():
        from .experiments.matrix import Sweep

        sweep = Sweep.load(config, override or [])
        folder = log_dir or Path("logs") / config.stem
        from .cluster import cluster
        from .display import SweepDisplay
        from .experiments.sweep import run_sweep

        console = Console()
        with cluster(scheduler) as client, SweepDisplay(console, sweep.cells) as display:
            outcomes = run_sweep(sweep, folder, jobs=jobs, client=client, report=display.update)
        for outcome in outcomes:
            if outcome.error:
                _say(console, f"\n{outcome.name} failed:\n{outcome.error}")
        done = sum(not outcome.error for outcome in outcomes)
        _say(console, f"{done} of {len(outcomes)} runs in {folder}")
    if done < len(outcomes):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of configs, as editors use it to complete and check them."""
    import json

    from .experiments.config import Config

    typer.echo(json.dumps(Config.schema_of_files(), indent=2))


@app.command()
def replay(
    config: ConfigArgument,
    checkpoints: Annotated[
        str, typer.Option(help="Pattern of weight files, such as 'ckpt/*.weights.h5'.")
    ],
    override: OverrideOption = None,
    log_dir: LogDirOption = None,
) -> None:
    """Make a run from weights that were saved while the model of CONFIG trained."""
    with _readable_errors():
        from .experiments import config as configs

        settings = configs.load(config, override or [])
        folder = log_dir or _unused(Path("logs") / config.stem)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from .experiments.train import replay as replay_config
        from .showing import print_convergence

        console = Console()
        print_convergence(console, [replay_config(settings, checkpoints, folder)])
        _say(console, f"\nRun in {folder}.")


@app.command()
def show(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Log directories or URLs; several are seeds."),
    ],
    measure: MeasureOption = None,
    reference: Annotated[
        str, typer.Option(help="final, initial, previous, or a step: what curves compare with.")
    ] = "final",
    plot: Annotated[
        Path | None,
        typer.Option(help="Save pictures in this folder."),
    ] = None,
) -> None:
    """Show how the layers of a RUN converged; of several, means with intervals."""
    with _readable_errors():
        from .run import Run
        from .showing import print_convergence

        console = Console()
        opened = [Run(path) for path in paths]
        how: dict[str, Any] = {"measure": measure, "reference": _reference(reference)}
        print_convergence(console, opened, **how)
        if plot is not None:
            from .pictures import save_pictures

            for file in save_pictures(opened, plot, **how):
                _say(console, f"Saved {file}")


@app.command()
def compare(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Log directories, or URLs.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="name=glob, a group of runs such as 'wide=logs/wide-*'; repeat."),
    ] = None,
    measure: MeasureOption = None,
    step: Annotated[str, typer.Option(help="final, initial, or a step that all have.")] = "final",
    adjusted: Annotated[bool, typer.Option(help="Rescale, so that chance is 0.")] = False,
    identify: Annotated[
        bool, typer.Option(help="Which share of layers is found in other runs, by each measure.")
    ] = False,
    method: Annotated[
        Literal["jackknife", "bootstrap"],
        typer.Option(help="Of intervals over runs; a bootstrap needs eight or more."),
    ] = "jackknife",
    scheduler: SchedulerOption = None,
) -> None:
    """Compare RUNs layer by layer, and groups of runs within and between."""
    with _readable_errors():
        from .cluster import cluster
        from .comparing import tables

        with cluster(scheduler) as client:
            for table in tables(
                paths or [],
                group or [],
                measure=measure,
                step=_reference(step),
                adjusted=adjusted,
                identify=identify,
                method=method,
                client=client,
            ):
                Console().print(table)


@app.command()
def classes(
    path: Annotated[str, typer.Argument(metavar="RUN", help="Log directory of a run, or its URL.")],
    step: Annotated[int | None, typer.Option(help="Step to show; default: the last.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Save the curves through depth and training in this file."),
    ] = None,
) -> None:
    """Show which classes each layer of a RUN tells apart."""
    with _readable_errors():
        from .display import class_tables
        from .run import Run
        from .sensitivity import class_sensitivity

        console = Console()
        opened = Run(path)
        chosen = step if step is not None else next(iter(opened.steps[-1:]), None)
        found = class_sensitivity(opened, steps=None if chosen is None else [chosen])
        console.print(*class_tables(found.isel(step=0), width=console.width))
        if plot is not None:
            from . import plots

            plots.class_curves(class_sensitivity(opened)).savefig(plot, dpi=150)
            _say(console, f"Saved {plot}")


@app.command()
def report(
    paths: Annotated[list[str], typer.Argument(metavar="RUN...", help="Log directories, or URLs.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The HTML file.", dir_okay=False)
    ] = Path("report.html"),
    most_steps: Annotated[
        int, typer.Option(help="Snapshots of a run that are shown, evenly spaced.")
    ] = 100,
) -> None:
    """Write the view of the TensorBoard tab on RUNs as one HTML file, to open or send."""
    with _readable_errors():
        from .report import write_report
        from .run import Run

        file = write_report([Run(path) for path in paths], output, most_steps=most_steps)
        size = file.stat().st_size / 1e6
        _say(Console(), f"Saved {file} ({size:.1f} MB)")


def _reference(text: str) -> str | int:
    return int(text) if text.lstrip("-").isdigit() else text


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _unused(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3 … without a run in it."""
    candidate, n = folder, 1
    while candidate.exists():
        n += 1
        candidate = folder.with_name(f"{folder.name}-{n}")
    return candidate


@contextmanager
def _readable_errors() -> Iterator[None]:
    """What a user can put right is one sentence, not a traceback."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, RuntimeError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        Console(stderr=True).print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
        if os.environ.get("SVCCA_MONITOR_TRACEBACK"):
            raise
        raise typer.Exit(1) from error
