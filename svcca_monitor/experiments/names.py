"""`module:function` names and their parameters, as configs may use them."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..messages import unknown_name

# Parameters of a model's function that no config says.
GIVEN_TO_MODELS = ("input_shape", "n_classes")


def resolve(name: str, key: str) -> Callable[..., Any]:
    """The function behind `module:function`, looked up in the working directory too.

    Args:
        name: The name.
        key: The config key it stands under, for the error.

    Raises:
        ValueError: If there is no such module or function.
    """
    module_name, _, function_name = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{key}: cannot import {name!r} (module:function), not from the working directory "
            f"{os.getcwd()} either: {error}. Start where the module is, or name that directory in "
            "PYTHONPATH; of a run that is repeated, provenance.json says where it was started."
        ) from error
    if not callable(function):
        raise ValueError(f"{key}: {name!r} is a {type(function).__name__}, not a function.")
    return function


def require_parameters(
    function: Callable[..., Any], keys: Iterable[str], where: str, *, given: Iterable[str] = ()
) -> None:
    """Raise ValueError unless a function takes the parameters of a config.

    Args:
        function: The function.
        keys: Names of the parameters.
        where: Whose they are, for the error.
        given: Parameters that the config does not say.
    """
    wanted = list(keys)
    if not wanted:
        return  # functions without a Python signature are fine then
    known = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    # What a partial has positionally is not in its signature.
    names = [name for name in known if name not in given]
    for key in wanted:
        if key not in names:
            raise ValueError(unknown_name("parameter", key, names, where=where))
