"""What the functions that a config names take, read from their source: nothing of it is run.

To import a module of models is to load Keras and what is below it, which takes seconds, and may run
anything. A typo is to be told of before.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from ..messages import unknown_name
from .names import GIVEN_TO_MODELS
from .sections import DataConfig, ModelConfig, TrainingConfig


def unknown_parameters(
    data: DataConfig, model: ModelConfig, training: TrainingConfig
) -> Iterator[str]:
    """A sentence for each parameter that its `module:function` does not take.

    Where its source does not tell (it is decorated, made by another function, or of a module that
    is not here), there is none, and the function is asked when its turn comes.
    """
    for kind, name, parameters in _named(data, model, training):
        known = _parameters(name) if ":" in name else None
        if known is None:
            continue
        names = [each for each in known if not (kind == "model" and each in GIVEN_TO_MODELS)]
        for parameter in parameters:
            if parameter not in names:
                yield unknown_name("parameter", parameter, names, where=f"of {kind} {name!r}")


def _named(
    data: DataConfig, model: ModelConfig, training: TrainingConfig
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    yield "data", data.name, data.parameters
    yield "model", model.name, model.parameters
    for entry in training.callbacks:
        given = entry if isinstance(entry, dict) else {}
        name, parameters = given.get("class_name"), given.get("config")
        if isinstance(name, str) and isinstance(parameters, dict):
            yield "callback", name, parameters


def _parameters(name: str) -> list[str] | None:
    """The parameters in the source of `module:function`; None if it takes any, or is not clear."""
    module_name, _, function_name = name.partition(":")
    source = _source(module_name)
    try:
        tree = ast.parse(source or "")
    except (SyntaxError, ValueError):  # told of when it is imported
        return None
    bound = [node for node in ast.walk(tree) if function_name in _binds(node)]
    if len(bound) != 1 or bound[0] not in tree.body:
        return None
    (function,) = bound
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return None
    if function.args.kwarg is not None:
        return None
    return [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]


def _binds(node: ast.AST) -> Iterator[str]:
    """The names that a statement or an expression binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.alias):
        yield node.asname or node.name


def _source(module_name: str) -> str | None:
    """The text of a module, found as `import` finds it, but without running its packages."""
    importlib.invalidate_caches()
    spec: ModuleSpec | None = None
    places: list[str] | None = [*sys.path, os.getcwd()]
    for part in module_name.split("."):
        # By its own name alone: of dotted names, the package would have to be imported.
        spec = None if places is None else PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    try:
        found: str | None = spec.loader.get_source(spec.name)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):  # compiled, or a package without code
        return None
    return found
