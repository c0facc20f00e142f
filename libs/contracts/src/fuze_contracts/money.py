"""Money: an integer number of minor units and an ISO 4217 currency code, never a float."""

from pydantic import Field

from fuze_contracts.base import Message

MAX_AMOUNT_MINOR = 10**15
"""The largest amount Fuze accepts, in minor units: far inside a bigint, far above any order."""

_TWO_DECIMALS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"

CURRENCY_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}
"""The circulating currencies of ISO 4217 and the number of decimals of their minor unit."""


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
