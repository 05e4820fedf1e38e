"""What `svcca-monitor compare` looks at: two runs, several, or groups by their folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from .comparison_tables import groups_table, identification_table, pair_table
from .groups import compare_groups
from .identification import identify_layers, identify_layers_over_runs
from .over_runs import PairMethod
from .remote import exists, matching, within
from .run import DIRECTORY, Run
from .showing import measure_of

# What makes a folder a run.
RUN_FILE = DIRECTORY, "run.json"


def tables(
    paths: Sequence[str | os.PathLike[str]],
    groups: Sequence[str],
    *,
    measure: str | None,
    step: str | int,
    adjusted: bool,
    identify: bool,
    method: PairMethod,
    client: Any = None,
) -> Iterator[Table]:
    """The tables on these runs.

    Args:
        paths: Log directories or URLs; more than two are a group of their own, `runs`.
        groups: `name=glob` each.
        measure: A name in `MEASURES`; the first run's own if left out, and all to identify layers.
        step: A step that all runs have, `"final"` or `"initial"`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        identify: Show how many layers are found in other runs, instead of similarities.
        method: Of the intervals over runs.
        client: A `dask.distributed.Client`: the pairs of several runs are compared on its cluster.

    Raises:
        ValueError: If a group is not `name=glob`, a glob matches no run, there are no two runs, or
            a cluster was given for what it does not do.
    """
    members = {**({"runs": [Run(path) for path in paths]} if paths else {}), **_groups(groups)}
    runs = [run for each in members.values() for run in each]
    if len(runs) < 2:
        raise ValueError(
            "Compare at least two runs: `compare logs/a logs/b`, or groups of runs, such as "
            f"`--group 'wide=logs/wide-*'`. Received: {len(runs)}."
        )
    whole = not identify and (len(runs) > 2 or bool(groups))
    if client is not None and not whole:
        raise ValueError(
            "A cluster compares the same layers of three runs or more. Two runs, and --identify, "
            "are compared here: leave out --scheduler."
        )
    how: dict[str, Any] = {"step": step, "adjusted": adjusted}
    if identify:
        chosen = None if measure is None else [measure]
        yield identification_table(
            identify_layers_over_runs(runs, measures=chosen, method=method, **how)
        )
        return
    name, options = measure_of(runs[0], measure)
    how.update(measure=name, **options)
    if whole:
        yield groups_table(compare_groups(members, method=method, client=client, **how))
    else:
        names = runs[0].path.parent.name, runs[1].path.parent.name
        yield pair_table(identify_layers(*runs, **how), names)


def _groups(groups: Sequence[str]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for text in groups:
        name, equals, pattern = text.partition("=")
        if not (name and equals and pattern):
            raise ValueError(
                f"A group is a name and a pattern of log directories, such as 'wide=logs/wide-*'. "
                f"Received: --group {text!r}"
            )
        places = [place for place in matching(pattern) if exists(within(place, *RUN_FILE))]
        if not places:
            raise ValueError(f"No run in a folder that matches {pattern!r}, of group {name!r}.")
        found.setdefault(name, []).extend(Run(place) for place in places)
    return found
