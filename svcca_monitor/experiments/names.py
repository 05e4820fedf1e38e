"""`module:function` names, as configs may use them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any


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
        raise ValueError(f"{key}: cannot import {name!r} (module:function): {error}") from error
    if not callable(function):
        raise ValueError(f"{key}: {name!r} is a {type(function).__name__}, not a function.")
    return function
