"""Which carrier is called, and how."""

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fuze_contracts.address import Address
from fuze_contracts.address_rules import COUNTRIES, normalize_address
from fuze_runtime.settings import Duration

CarrierName: TypeAlias = Literal["sandbox", "easypost"]

Ounces = Annotated[float, Field(gt=0)]

_REQUIRED_BY = {
    "carrier_url": "sandbox",
    "easypost_api_key": "easypost",
    "easypost_from_address": "easypost",
    "easypost_unit_weight": "easypost",
}


class CarrierSettings(BaseSettings):
    """The settings of every carrier; only those of the selected one are required."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    carrier: CarrierName = Field(
        "sandbox", description="The carrier to use.", examples=["easypost"]
    )
    carrier_url: HttpUrl | None = Field(
        None,
        validate_default=True,
        description="Base URL of the sandbox carrier's API.",
        examples=["https://sandbox.example/carrier"],
    )
    carrier_timeout: Duration = Field(
        timedelta(seconds=10),
        lt=timedelta(seconds=30),
        description="Timeout of one operation of the carrier, with every request that it needs;"
        " below the activity's own timeout.",
    )
    carrier_settle_window: Duration = Field(
        timedelta(minutes=5),
        description="After it, a request that the carrier does not know had no effect.",
    )
    easypost_api_key: SecretStr | None = Field(
        None, validate_default=True, description="EasyPost's API key."
    )
    easypost_api_base: HttpUrl = Field(
        HttpUrl("https://api.easypost.com/v2"), description="The URL of EasyPost's API."
    )
    easypost_from_address: Address | None = Field(
        None,
        validate_default=True,
        description="Where parcels are sent from, with the fields of an order's address.",
        examples=[
            {
                "country": "US",
                "company": "Shop",
                "line1": "388 Townsend St",
                "city": "San Francisco",
                "region": "CA",
                "postal_code": "94107",
                "phone": "+14155550100",
            }
        ],
    )
    easypost_unit_weight: Ounces | None = Field(
        None,
        validate_default=True,
        description="The weight of one unit in ounces: orders have no weights.",
        examples=[16],
    )
    easypost_sku_weights: dict[str, Ounces] = Field(
        {},
        description="The weights of units by SKU in ounces, where they differ.",
        examples=[{"TEAPOT-1": 40.5}],
    )
    easypost_parcel: dict[str, float | str] = Field(
        {},
        description="What else EasyPost's `parcel` has: a size in inches, or a predefined package.",
        examples=[{"length": 12, "width": 9, "height": 6}],
    )
    easypost_services: list[str] = Field(
        [],
        description="Carriers, or services of carriers, of which the cheapest is bought; all"
        " without it.",
        examples=[["USPS/GroundAdvantage", "UPS"]],
    )
    easypost_verify_addresses: bool = Field(
        default=False,
        description="Whether EasyPost verifies and corrects each address before a label is bought;"
        " one that it does not find is rejected.",
    )

    @field_validator(*_REQUIRED_BY, mode="after")
    @classmethod
    def _require(cls, value: object, info: ValidationInfo) -> object:
        """Fail where a setting of the selected carrier is missing or empty."""
        carrier = _REQUIRED_BY[str(info.field_name)]
        if info.data.get("carrier") == carrier and not (
            value.get_secret_value() if isinstance(value, SecretStr) else value
        ):
            raise ValueError(f"required with FUZE_CARRIER={carrier}")
        return value

    @field_validator("easypost_from_address", mode="after")
    @classmethod
    def _normalize_address(cls, address: Address | None) -> Address | None:
        """Return the address as orders have theirs; fail where a field is missing or wrong."""
        if address is None:
            return None
        if address.country not in COUNTRIES:
            raise ValueError("country must be a code of ISO 3166-1, such as US")
        normalized = normalize_address(address, "deliverable", needs_recipient=True)
        if isinstance(normalized, Address):
            return normalized
        raise ValueError("\n".join(f"{one.field} {one.message}" for one in normalized))
