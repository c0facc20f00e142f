"""Patches functions of a service in memory, and fails if a target has changed or is gone."""

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias
from uuid import UUID

Foreign: TypeAlias = Any
"""An object of a service. Chaos imports no service, so its types are unknown here."""

Wrapper = Callable[[Callable[..., Foreign]], Callable[..., Foreign]]
"""Takes the original function, and returns its replacement."""

_ONE_IN = 3


class PatchTargetError(Exception):
    """The function to patch is gone, renamed, or has other parameters."""


class Patches:
    """Replaces functions, and records which."""

    def __init__(self) -> None:
        self.applied: list[str] = []

    def replace(
        self, module: str, name: str, wrap: Wrapper, *, parameters: tuple[str, ...]
    ) -> None:
        """Replace a function that has exactly these parameters.

        Raises:
            PatchTargetError: there is none. A defect that changes nothing would prove nothing.

        """
        target = f"{module}:{name}"
        *path, last = name.split(".")
        try:
            owner = functools.reduce(getattr, path, import_module(module))
            original = vars(owner)[last]
        except (ImportError, AttributeError, KeyError) as error:
            raise PatchTargetError(
                f"{target} does not exist; patch what replaced it ({error!r})"
            ) from error
        if not inspect.isfunction(original):
            raise PatchTargetError(f"{target} is not a function; patch what replaced it")
        found = tuple(inspect.signature(original).parameters)
        if found != parameters:
            raise PatchTargetError(
                f"{target} has the parameters {found}, not {parameters}; adapt the patch"
            )
        setattr(owner, last, functools.wraps(original)(wrap(original)))
        self.applied.append(target)


def is_affected(identity: UUID) -> bool:
    """Whether a defect that affects one in three affects this one; constant across retries."""
    return identity.int % _ONE_IN == 0
