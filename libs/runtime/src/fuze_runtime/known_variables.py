"""The `FUZE_*` variables that a deployment has, to find those that are misspelt."""

import difflib
import re
from collections.abc import Mapping
from importlib.resources import files

import structlog

_OF_KUBERNETES = re.compile(r"FUZE_.*_(SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP|SCTP).*)?)")
"""What Kubernetes sets for each Service of the namespace, such as `fuze-gateway`."""

_OF_TESTS = "FUZE_CHAOS_"
"""What begins so is set where faults are injected; the images know none of it."""


def warn_of_unknown_variables(environment: Mapping[str, str]) -> None:
    """Log a warning for each `FUZE_*` variable that no process of Fuze reads.

    The list, `known_variables.txt`, is generated: `make settings`.
    """
    known = files("fuze_runtime").joinpath("known_variables.txt").read_text().split()
    for name in sorted(environment):
        if not name.upper().startswith("FUZE_") or name.upper() in known:
            continue
        if name.startswith(_OF_TESTS) or _OF_KUBERNETES.fullmatch(name):
            continue
        nearest = difflib.get_close_matches(name.upper(), known, n=1)
        structlog.get_logger(__name__).warning(
            "unknown variable", variable=name, nearest=nearest[0] if nearest else None
        )
