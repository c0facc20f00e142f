"""What Fuze sends to EasyPost, and what each of its responses means. Pure.

`Rejected` is returned only for what EasyPost says about the address. Whatever else is refused is
`NotAttempted`: an operator repairs it, and the dispatch is retried. What may have bought a label is
`Indeterminate`, and is looked up.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, JsonValue

from fuze_contracts.address import Address
from fuze_contracts.base import Message
from fuze_contracts.shipping import DeliveryStatus
from fuze_shipping.carrier import Accepted, Indeterminate, NotAttempted, NotFound, Rejected
from fuze_shipping.carrier.settings import CarrierSettings
from fuze_shipping.messages import Shipment

_MAX_RATE_AGE = timedelta(hours=1)
"""EasyPost does not say how long it sells at a rate. Older ones are requested again."""

_STATUSES = {
    "in_transit": DeliveryStatus.IN_TRANSIT,
    "out_for_delivery": DeliveryStatus.IN_TRANSIT,
    "available_for_pickup": DeliveryStatus.IN_TRANSIT,
    "failure": DeliveryStatus.IN_TRANSIT,
    "delivered": DeliveryStatus.DELIVERED,
    "return_to_sender": DeliveryStatus.RETURNED,
}
"""The others, such as `pre_transit` and `unknown`, say nothing about the parcel's way."""

_MAY_HAVE_BOUGHT = {
    "SHIPMENT.POSTAGE.EXISTS",
    "SHIPMENT.PURCHASE.IN_PROGRESS",
    "SHIPMENT.POSTAGE.NO_RESPONSE",
    "SHIPMENT.POSTAGE.TIMED_OUT",
}
_NOT_ABOUT_THE_ADDRESS = {
    "ADDRESS.VERIFY.UPSTREAM_UNAVAILABLE",
    "ADDRESS.VERIFY.INTL_NOT_ENABLED",
    "ADDRESS.VERIFY.ONLY_US",
    "ADDRESS.VERIFY.CARRIER_INVALID",
}
_REFUNDED = {"submitted", "refunded"}
"""The refund statuses of labels that must not be used; `rejected` ones can still be."""


class ApiError(Message):
    """An error that EasyPost reports: it did not do what was requested, unless `code` says so."""

    status: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"EasyPost responded with {self.status} {self.code}: {self.message}"


class ErrorBody(Message):
    """The body of an error."""

    class Error(Message):
        """`message` is a text, and a list or an object in some errors."""

        code: str
        message: JsonValue = ""

    error: Error


class Rate(Message):
    """An offer for a label of the Shipment; `rate` is its price."""

    id: str
    carrier: str
    service: str
    rate: Decimal
    created_at: AwareDatetime


class Rates(Message):
    """The rates of a Shipment, and why carriers offer none."""

    class CarrierMessage(Message):
        """A carrier's error."""

        carrier: str | None = None
        message: JsonValue = None

    rates: tuple[Rate, ...] = ()
    messages: tuple[CarrierMessage, ...] = ()


class EasyPostShipment(Rates):
    """EasyPost's Shipment. It has a `tracking_code` once its label is bought."""

    class Tracker(Message):
        """How far the parcel has come."""

        status: str

    id: str
    status: str = "unknown"
    tracking_code: str | None = None
    refund_status: str | None = None
    selected_rate: Rate | None = None
    tracker: Tracker | None = None

    @property
    def is_refunded(self) -> bool:
        """Whether the label is refunded, or will be unless the carrier refuses."""
        return self.refund_status in _REFUNDED


class VerifiedAddress(Message):
    """EasyPost's Address."""

    id: str


def build_reference(shipment: Shipment) -> str:
    """Return our name of the parcel: the shipment's id, and a digest of the address.

    A parcel to an earlier address of the shipment has another one.
    """
    address = shipment.address.model_dump_json() if shipment.address else ""
    return f"{shipment.id}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


def build_address(address: Address) -> dict[str, str]:
    """Return the fields of an address that it has."""
    fields = {
        "name": address.name,
        "company": address.company,
        "street1": address.line1,
        "street2": address.line2,
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
        "country": address.country,
        "phone": address.phone and address.phone.partition(";")[0],  # without an extension
        "email": address.email,
    }
    return {name: value for name, value in fields.items() if value}


def build_shipment(
    shipment: Shipment, to_address: dict[str, str], settings: CarrierSettings
) -> dict[str, Any]:
    """Return the request for a Shipment; weights are in ounces."""
    assert settings.easypost_from_address, "settings require it"  # noqa: S101 - narrows the type
    assert settings.easypost_unit_weight, "settings require it"  # noqa: S101 - likewise
    weights, default = settings.easypost_sku_weights, settings.easypost_unit_weight
    weight = sum(one.quantity * weights.get(one.sku, default) for one in shipment.items or ())
    return {
        "shipment": {
            "reference": build_reference(shipment),
            "to_address": to_address,
            "from_address": build_address(settings.easypost_from_address),
            "parcel": {**settings.easypost_parcel, "weight": round(weight, 1)},
        }
    }


def keep_recent(rates: Sequence[Rate], now: datetime) -> list[Rate]:
    """Return the rates that a label can surely be bought at."""
    return [rate for rate in rates if now - rate.created_at < _MAX_RATE_AGE]


def choose_rate(rates: Sequence[Rate], services: Sequence[str]) -> Rate | None:
    """Return the cheapest rate of a carrier or service that is allowed."""
    allowed = [
        rate
        for rate in rates
        if not services or {rate.carrier, f"{rate.carrier}/{rate.service}"} & set(services)
    ]
    return min(allowed, key=lambda rate: rate.rate, default=None)


def explain_no_rate(rates: Rates) -> NotAttempted:
    """Return why no label can be bought: the carriers' errors, if there are any."""
    errors = "; ".join(f"{one.carrier}: {one.message}" for one in rates.messages)
    return NotAttempted(reason=f"no rate that the settings allow: {errors or 'no reason given'}")


def map_label(shipment: EasyPostShipment) -> Accepted | NotFound:
    """Return the parcel that a label was bought for; a refunded one is none."""
    if shipment.tracking_code is None or shipment.is_refunded:
        return NotFound()
    status = shipment.tracker.status if shipment.tracker else shipment.status
    return Accepted(
        carrier=shipment.selected_rate.carrier if shipment.selected_rate else "EasyPost",
        tracking_number=shipment.tracking_code,
        status=_STATUSES.get(status, DeliveryStatus.ACCEPTED),
    )


def map_unbought(
    failure: ApiError | NotAttempted | Indeterminate,
) -> Rejected | NotAttempted:
    """Return the result of a request that buys nothing, whatever became of it."""
    if isinstance(failure, ApiError):
        is_address = failure.code.startswith("ADDRESS.")
        if is_address and failure.code not in _NOT_ABOUT_THE_ADDRESS:
            return Rejected(code=failure.code)
        return NotAttempted(reason=str(failure))
    return NotAttempted(reason=failure.reason)


def map_purchase(
    failure: ApiError | NotAttempted | Indeterminate,
) -> Rejected | NotAttempted | Indeterminate:
    """Return the result of a failed request for a label."""
    if isinstance(failure, ApiError) and failure.code in _MAY_HAVE_BOUGHT:
        return Indeterminate(reason=str(failure))
    return failure if isinstance(failure, Indeterminate) else map_unbought(failure)
