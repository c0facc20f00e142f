"""Money: an integer number of minor units and an ISO 4217 currency code, never a float."""

from iso4217 import raw_xml
from pydantic import Field

from fuze_contracts.base import Message

MAX_AMOUNT_MINOR = 10**15
"""The largest amount Fuze accepts, in minor units: far inside a bigint, far above any order."""


_UNITS_OF_ACCOUNT = {"UYW", "XAD"}
"""Nothing is paid in these, but the list does not mark them as funds, as it does others."""


def _list_exponents() -> dict[str, int]:
    """Return the decimals of each currency: funds, metals and test codes are no currencies."""
    exponents = {}
    for entry in raw_xml.iter("CcyNtry"):
        name, code, exponent = (entry.find(tag) for tag in ("CcyNm", "Ccy", "CcyMnrUnts"))
        if name is None or code is None or exponent is None or name.get("IsFund"):
            continue
        if not code.text or code.text in _UNITS_OF_ACCOUNT:
            continue
        if exponent.text and exponent.text.isdecimal():
            exponents[code.text] = int(exponent.text)
    return exponents


CURRENCY_EXPONENTS: dict[str, int] = _list_exponents()
"""The currencies of ISO 4217 and the number of decimals of their minor unit.

From the package `iso4217`, which has the list that the maintenance agency publishes: an upgrade of
the package is an upgrade of the list.
"""


class Money(Message):
    """An amount in minor units (cents, yen, fils) of one currency.

    `Money(amount_minor=1999, currency="USD")` is 19.99 dollars.
    """

    amount_minor: int = Field(ge=0, le=MAX_AMOUNT_MINOR)
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    def __str__(self) -> str:
        """Format the amount in major units: `19.99 USD`."""
        exponent = CURRENCY_EXPONENTS.get(self.currency, 0)
        if exponent == 0:
            return f"{self.amount_minor} {self.currency}"
        whole, fraction = divmod(self.amount_minor, 10**exponent)
        return f"{whole}.{fraction:0{exponent}d} {self.currency}"
