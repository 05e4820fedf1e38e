"""The table of measures in the README is made from `MEASURES`."""

import re
from dataclasses import replace
from inspect import signature
from pathlib import Path

from svcca_monitor import MEASURES, similarity

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
START, END = "<!-- measures -->\n", "<!-- /measures -->"
CHANGES = ("affine", "orthogonal", "scale", "shift", "permutation")


def row(name, measure):
    default = " (default)" if name == signature(similarity).parameters["measure"].default else ""
    says = measure.function.__doc__.splitlines()[0].rstrip(".")
    ignores = [
        "✓"
        if change in measure.invariances
        else "of y"
        if f"{change} of y" in measure.invariances
        else ""
        for change in CHANGES
    ]
    chance = "by permutation"
    if measure.chance is not None:
        zero = measure.chance(n_samples=100, dims_x=5, dims_y=7) == 0
        chance = "0" if zero else "closed form"
    symmetric = "✓" if measure.symmetric else ""
    return [f"`{name}`{default}", says, *ignores, symmetric, chance, linked(measure.reference)]


def linked(reference):
    """A link where the reference ends in an arXiv number or a doi."""
    text, _, place = reference.rpartition(", ")
    for kind, site in (("arXiv:", "https://arxiv.org/abs/"), ("doi:", "https://doi.org/")):
        if place.startswith(kind):
            return f"[{text}]({site}{place.removeprefix(kind)})"
    return reference


def table(measures):
    head = ["measure", "is", *CHANGES, "symmetric", "chance", "reference"]
    marks = ["---", "---", *[":-:"] * (len(CHANGES) + 1), "---", "---"]
    rows = [head, marks, *(row(name, measure) for name, measure in measures.items())]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  ", "| ") for cells in rows)


def test_the_table_of_the_readme_is_that_of_the_measures():
    shown = README.partition(START)[2].partition(END)[0]
    if shown != table(MEASURES):
        print(f"Paste into README.md:\n\n{START}{table(MEASURES)}{END}")
    assert shown == table(MEASURES), "the table in README.md is not that of MEASURES, see below"


def test_the_table_changes_with_what_is_declared():
    kind = MEASURES["svcca"]
    changes = [
        {"invariances": kind.invariances - {"scale"}},
        {"symmetric": False},
        {"chance": None},
        {"reference": "Somebody 2020, arXiv:2001.00001"},
        {"function": MEASURES["pwcca"].function},
    ]
    for change in changes:
        assert table({**MEASURES, "svcca": replace(kind, **change)}) != table(MEASURES), change
    assert table({**MEASURES, "new": kind}) != table(MEASURES)


def test_every_declared_invariance_has_a_column():
    declared = set().union(*(measure.invariances for measure in MEASURES.values()))
    assert {re.sub(" of y$", "", change) for change in declared} == set(CHANGES)
