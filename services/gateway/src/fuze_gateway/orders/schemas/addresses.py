"""Request and response models of addresses, and the check against their country's rules."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from fuze_contracts.address import Address as AddressMessage
from fuze_contracts.address_rules import AddressRules, FieldError, normalize_address
from fuze_gateway.problems import errors
from fuze_gateway.types import TEXT_PATTERN, Country, RequestModel, reject_control_characters

EXAMPLE_ADDRESS: JsonDict = {
    "country": "US",
    "name": "Ada Lovelace",
    "company": None,
    "line1": "12 Elm Street",
    "line2": None,
    "city": "New York",
    "region": "NY",
    "postal_code": "10001",
    "phone": "+12125550100",
    "email": "ada@example.com",
}

AddressText = Annotated[
    str,
    # Before the validator: after it, the length would be that of any sequence.
    Field(max_length=255),
    AfterValidator(reject_control_characters),
    Field(json_schema_extra={"pattern": TEXT_PATTERN}),
]


class CompleteAddressRequest(RequestModel):
    """An address. Its country's rules decide which fields are required, and their form.

    A field without text is the same as an absent one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{name: text for name, text in EXAMPLE_ADDRESS.items() if text}]
        }
    )

    country: Country
    name: AddressText | None = Field(None, description="The recipient.")
    company: AddressText | None = None
    line1: AddressText | None = Field(None, description="Street and number.")
    line2: AddressText | None = None
    city: AddressText | None = None
    region: AddressText | None = Field(
        None, description="State, province, …: its name or its code, in any spelling."
    )
    postal_code: AddressText | None = Field(None, description="In any spelling.")
    zip_code: AddressText | None = Field(
        None, description="Another name of `postal_code` in requests; responses do not have it."
    )
    phone: AddressText | None = Field(
        None, description="International, or as it is dialled in the country."
    )
    email: AddressText | None = None

    def to_entered(self) -> AddressMessage:
        """Return the address in the caller's spelling."""
        fields = self.model_dump(exclude={"zip_code", "postal_code"})
        has_postal_code = bool(self.postal_code and self.postal_code.strip())
        return AddressMessage(
            **fields, postal_code=self.postal_code if has_postal_code else self.zip_code
        )


class AddressRequest(CompleteAddressRequest):
    """The delivery address of a new order.

    Locally only its postal code is required. With `FUZE_ADDRESS_RULES=deliverable`, the default in
    production, so is the country and what the country's rules require.
    """

    country: Country = "US"


class Address(BaseModel):
    """An address, in its country's own form: see the events for the caller's spelling."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ADDRESS]})

    country: str
    name: str | None
    company: str | None
    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    phone: str | None = Field(description="In E.164.")
    email: str | None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Address":
        """Build the response of a row's column, which was validated when it was stored."""
        fields: dict[str, Any] = {name: row.get(name) for name in cls.model_fields}
        return Address.model_construct(**fields)


def normalize_addresses(
    requests: Mapping[str, CompleteAddressRequest],
    rules: AddressRules,
    *,
    needs_recipient: bool = False,
) -> tuple[dict[str, AddressMessage], list[errors.FieldError]]:
    """Return each address of a body, by its field, in its country's own form, and what is wrong.

    One with an error is returned as it was entered.
    """
    addresses: dict[str, AddressMessage] = {}
    wrong: list[errors.FieldError] = []
    for field, request in requests.items():
        entered = request.to_entered()
        found = list(_check_request(request, rules))
        result = normalize_address(entered, rules, needs_recipient=needs_recipient)
        if isinstance(result, AddressMessage):
            addresses[field] = result
        else:
            addresses[field] = entered
            found += (_name_as_sent(error, request) for error in result)
        wrong += [(("body", field, error.field), error.message) for error in found]
    return addresses, wrong


def keep_spelling(
    request: CompleteAddressRequest, normalized: AddressMessage
) -> AddressMessage | None:
    """Return the address in the caller's spelling, or None where it is the normalised one."""
    entered = request.to_entered()
    return None if entered == normalized else entered


def _check_request(request: CompleteAddressRequest, rules: AddressRules) -> Iterator[FieldError]:
    if rules == "deliverable" and "country" not in request.model_fields_set:
        yield FieldError("country", "is required: give its ISO 3166-1 alpha-2 code, such as DE")
    entered = {(text or "").strip() for text in (request.zip_code, request.postal_code)} - {""}
    if len(entered) > 1:
        yield FieldError("zip_code", "is another name of postal_code: send one of the two")


def _name_as_sent(error: FieldError, request: CompleteAddressRequest) -> FieldError:
    is_zip_code = error.field == "postal_code" and "zip_code" in request.model_fields_set
    return error._replace(field="zip_code") if is_zip_code else error
