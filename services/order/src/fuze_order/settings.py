"""Settings of the order service."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from fuze_contracts.address_rules import COUNTRIES
from fuze_runtime.settings import Duration, WorkerSettings


def _parse_countries(value: object) -> object:
    """Return the countries of `DE,AT,CH`.

    Raises:
        ValueError: one is no ISO 3166-1 alpha-2 code.

    """
    if not isinstance(value, str):
        return value
    codes = [code.strip().upper() for code in value.split(",") if code.strip()]
    if unknown := sorted(set(codes) - COUNTRIES):
        raise ValueError(f"must be ISO 3166-1 alpha-2 codes such as DE,AT, not {unknown[0]}")
    return codes


class OrderSettings(WorkerSettings):
    """What the order worker needs."""

    ships_to: Annotated[list[str], NoDecode, BeforeValidator(_parse_countries)] = Field(
        [],
        description="Countries to which orders are shipped, such as `DE,AT,CH`; without any, all.",
        examples=[["DE", "AT", "CH"]],
    )
    max_order_totals: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {},
        description="The largest totals of an order, in minor units by currency. An order above is"
        " rejected before its approval.",
        examples=[{"USD": 1_000_000}],
    )
    order_reconcile_interval: Duration = Field(
        timedelta(minutes=5),
        description="How often orders are compared with Temporal, payments and shipments.",
    )
    order_reconcile_look_back: Duration = Field(
        timedelta(hours=1),
        description="How long before the last comparison ended orders are compared again.",
    )
    order_reconcile_idle: Duration = Field(
        timedelta(minutes=1), description="An order that changed within this time is left out."
    )
