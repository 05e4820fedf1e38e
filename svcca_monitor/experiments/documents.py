"""YAML as configs are written in: no key twice in a section, and 1e-3 is a number."""

from __future__ import annotations

import re
from typing import Any

import yaml

# YAML 1.1, which PyYAML reads, asks for a point and a sign: 1e-3 would be a text.
EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML readers silently take the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                problem = f"the key {key.value!r} is there twice in one section"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add(name)
        return node


class _Dumper(yaml.SafeDumper):
    """Puts texts that would be read as numbers in quotes."""


for each in (_Loader, _Dumper):
    each.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789"))


def parse(text: str) -> Any:
    """What a text says.

    Raises:
        yaml.YAMLError: If it is not valid YAML, or a section has a key twice.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def written(values: Any) -> str:
    """As text that `parse` reads as the same."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)
