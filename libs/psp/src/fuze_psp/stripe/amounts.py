"""Amounts in Stripe's units. Pure.

Stripe counts in ISO 4217 minor units, except for some currencies, where a mistake is a factor of a
hundred. An amount whose representation is not certain is not converted.
"""

_AS_TWO_DECIMALS = frozenset({"ISK"})
"""No minor unit in ISO 4217; Stripe uses two decimals, which are always 00."""

_WITHOUT_DECIMALS = frozenset({"MGA"})
"""A minor unit of two decimals in ISO 4217; Stripe uses whole units."""

_LAST_DIGIT_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals, of which Stripe requires the last to be 0."""

_UNSUPPORTED = frozenset({"IQD", "LYD", "UGX"})
"""IQD and LYD: three decimals, which Stripe does not document. UGX: documented both as 0 and 2."""


def to_stripe(amount_minor: int, currency: str) -> int | None:
    """Return the amount in Stripe's units, from ISO 4217 minor units; None if it has none."""
    if currency in _UNSUPPORTED:
        return None
    if currency in _AS_TWO_DECIMALS:
        return amount_minor * 100
    if currency in _WITHOUT_DECIMALS:
        return None if amount_minor % 100 else amount_minor // 100
    return None if currency in _LAST_DIGIT_ZERO and amount_minor % 10 else amount_minor


def explain_unsupported(amount_minor: int, currency: str) -> str | None:
    """Return why Stripe cannot charge the amount, and what it can; None if it can."""
    if to_stripe(amount_minor, currency) is not None:
        return None
    if currency in _UNSUPPORTED:
        return f"Stripe cannot charge {currency}; use another currency"
    step = 100 if currency in _WITHOUT_DECIMALS else 10
    return f"Stripe charges {currency} in steps of {step} minor units; round the total"


def from_stripe(amount: int, currency: str) -> int:
    """Return ISO 4217 minor units, from Stripe's units; `currency` in upper or lower case.

    A fraction of a króna, from before Stripe rejected them, is truncated.
    """
    if currency.upper() in _AS_TWO_DECIMALS:
        return amount // 100
    return amount * 100 if currency.upper() in _WITHOUT_DECIMALS else amount
