"""Principals: the authenticated callers, their roles and scopes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """A permission that an operation requires of its caller."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_APPROVE = "orders:approve"
    ORDERS_OPERATE = "orders:operate"
    PAYMENTS_REFUND = "payments:refund"
    KEYS_MANAGE = "keys:manage"
    WEBHOOKS_OPERATE = "webhooks:operate"
    WEBHOOKS_MANAGE = "webhooks:manage"


class Role(StrEnum):
    """A named set of scopes, assigned to API keys and by identity providers."""

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
        {
            Scope.ORDERS_READ,
            Scope.ORDERS_WRITE,
            Scope.ORDERS_OPERATE,
            Scope.PAYMENTS_REFUND,
            Scope.WEBHOOKS_OPERATE,
        }
    ),
    Role.ADMIN: ALL_SCOPES,
}


def get_scopes(roles: Iterable[str]) -> frozenset[Scope]:
    """Return the union of the roles' scopes; an unknown role has none."""
    known = [Role(role) for role in roles if role in set(Role)]
    return frozenset().union(*(_SCOPES[role] for role in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller of a request. `name` and `id` are None when authentication is off.

    `name` is for people: the actor in events. `id` is unique: an API client and a person at the
    identity provider can have the same name.
    """

    name: str | None
    id: str | None
    scopes: frozenset[Scope]

    @property
    def can_access_all_orders(self) -> bool:
        """Whether the caller works on the orders of others: approves or operates them."""
        return not self.scopes.isdisjoint({Scope.ORDERS_APPROVE, Scope.ORDERS_OPERATE})

    def actor_name(self, on_behalf_of: str | None) -> str:
        """Return the actor for an order's events: the caller, and whom the caller acts for."""
        if self.name is None:
            return on_behalf_of or "unknown"
        if on_behalf_of in {None, self.name}:
            return self.name
        return f"{on_behalf_of} via {self.name}"


ANONYMOUS = Principal(name=None, id=None, scopes=ALL_SCOPES)
"""The caller of every request when authentication is off."""


class UnauthenticatedError(Exception):
    """The credentials are missing or invalid; `detail` is for the caller to read.

    `key_id` is the id of the API key, if they name one.
    """

    def __init__(self, detail: str, key_id: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.key_id = key_id
