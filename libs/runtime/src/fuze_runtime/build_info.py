"""The build that a process runs: its version, and the revision that its image came from."""

import os
from collections.abc import Mapping
from importlib.metadata import version

UNKNOWN = "unknown"
"""The revision of a process that runs from the source tree."""


def get_build_info(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return `version` and `revision`. All packages of a release have the same version."""
    revision = environment.get("FUZE_REVISION") or UNKNOWN
    return {"version": version("fuze-runtime"), "revision": revision}


def describe_build(package: str) -> str:
    """Return the line that `--version` prints."""
    return "{package} {version} (revision {revision})".format(package=package, **get_build_info())
