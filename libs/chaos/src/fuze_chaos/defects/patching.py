"""Changing code in memory, and never without noticing that it is not there any more."""

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias
from uuid import UUID

Foreign: TypeAlias = Any
"""Something of a service, none of which the devstack imports: it is found by name."""

Make = Callable[[Callable[..., Foreign]], Callable[..., Foreign]]
"""Takes what is there, and returns what is to be there."""

_ONE_IN = 3


class DisarmedError(Exception):
    """What was to be changed is not there any more, or is called otherwise."""


class Patches:
    """Replaces functions, and remembers which."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def replace(self, module: str, name: str, make: Make, *, takes: tuple[str, ...]) -> None:
        """Put another function in the place of one that takes just these arguments.

        Raises:
            DisarmedError: there is none. A defect that changes nothing would prove nothing.

        """
        where = f"{module}:{name}"
        *path, last = name.split(".")
        try:
            owner = functools.reduce(getattr, path, import_module(module))
            original = vars(owner)[last]
        except (ImportError, AttributeError, KeyError) as error:
            raise DisarmedError(
                f"there is no {where} to plant a defect in; follow what it became ({error!r})"
            ) from error
        if not inspect.isfunction(original):
            raise DisarmedError(f"{where} is no function any more; follow what it became")
        found = tuple(inspect.signature(original).parameters)
        if found != takes:
            raise DisarmedError(f"{where} takes {found}, not {takes}; see what that means for it")
        setattr(owner, last, functools.wraps(original)(make(original)))
        self.made.append(where)


def is_chosen(identity: UUID) -> bool:
    """Whether a defect that only some have is this one's: the same at each attempt."""
    return identity.int % _ONE_IN == 0
