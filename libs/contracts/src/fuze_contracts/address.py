"""A postal address, with the phone number and e-mail address of its recipient."""

from fuze_contracts.base import Message


class Address(Message):
    """A postal address. `country` is an ISO 3166-1 alpha-2 code, and never has a default.

    In an order's row and in a shipment it is normalised (`fuze_contracts.address_rules`):
    `postal_code` and `region` in the country's own form, `phone` in E.164.
    """

    country: str
    name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    phone: str | None = None
    email: str | None = None
