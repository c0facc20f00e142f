"""Callers, and what each may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a route asks of its caller."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_APPROVE = "orders:approve"
    ORDERS_OPERATE = "orders:operate"
    PAYMENTS_REFUND = "payments:refund"
    KEYS_MANAGE = "keys:manage"


class Role(StrEnum):
    """What a caller is, as keys and identity providers name it."""

    VIEWER = "viewer"
    MERCHANT = "merchant"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)

_SCOPES = {
    Role.VIEWER: frozenset({Scope.ORDERS_READ}),
    Role.MERCHANT: frozenset({Scope.ORDERS_READ, Scope.ORDERS_WRITE}),
    Role.APPROVER: frozenset({Scope.ORDERS_READ, Scope.ORDERS_APPROVE}),
    Role.OPERATOR: frozenset(
        {Scope.ORDERS_READ, Scope.ORDERS_WRITE, Scope.ORDERS_OPERATE, Scope.PAYMENTS_REFUND}
    ),
    Role.ADMIN: ALL_SCOPES,
}


def scopes_of(roles: Iterable[str]) -> frozenset[Scope]:
    """Return what the roles allow together; a role that we do not know allows nothing."""
    known = [Role(role) for role in roles if role in set(Role)]
    return frozenset().union(*(_SCOPES[role] for role in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. `name` is None where nobody is asked who they are."""

    name: str | None
    scopes: frozenset[Scope]

    def acting_as(self, actor: str | None) -> str:
        """Return who goes into the events: the caller, and whom the caller acts for."""
        if self.name is None:
            return actor or "unknown"
        return self.name if actor in {None, self.name} else f"{actor} via {self.name}"


ANYONE = Caller(name=None, scopes=ALL_SCOPES)
"""The caller of a gateway that asks nobody who they are."""


class NotAuthenticatedError(Exception):
    """The credentials are missing or not good; `why` is for the caller to read."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
