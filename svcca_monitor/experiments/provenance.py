"""What a run came from, beside its config: versions, the machine and the revision of the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# What numbers may depend on.
PACKAGES = ("svcca-monitor", "keras", "numpy", "scipy", "tensorflow", "jax", "torch")


def provenance(backend: str) -> dict[str, Any]:
    """Facts of this process and of the directory that it was started in.

    Args:
        backend: Of Keras.

    Returns:
        `started` (UTC), `command`, `directory` (that functions of a config are looked for in),
        `backend`, `versions`, `host`, and `git`: revision, and whether files differ from it; None
        outside a repository or without git.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": os.getcwd(),
        "backend": backend,
        "versions": {"python": platform.python_version(), **_versions()},
        "host": {
            "name": platform.node(),
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "git": _git(),
    }


def to_json(facts: dict[str, Any]) -> bytes:
    """For a file."""
    return json.dumps(facts, indent=2).encode()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any] | None:
    def ask(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"revision": ask("rev-parse", "HEAD"), "changed": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
