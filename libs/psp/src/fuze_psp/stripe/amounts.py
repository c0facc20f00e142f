"""How Stripe writes an amount. Pure.

Stripe counts in minor units as ISO 4217 does, but for some currencies, and there a mistake is a
factor of a hundred. What is not surely right is refused.
"""

_AS_TWO_DECIMALS = frozenset({"ISK"})
"""Without a minor unit, but written with two decimals that are always 00."""

_WITHOUT_DECIMALS = frozenset({"MGA"})
"""With a minor unit of two decimals, but written in whole ones."""

_LAST_DIGIT_ZERO = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals, the last of them always 0."""

_UNSURE = frozenset({"IQD", "LYD", "UGX"})
"""Three decimals that Stripe does not tell of; and one of which its pages say both 0 and 2."""


def to_stripe(amount_minor: int, currency: str) -> int | None:
    """Return the amount as Stripe writes it, from ISO 4217 minor units; None if it cannot."""
    if currency in _UNSURE:
        return None
    if currency in _AS_TWO_DECIMALS:
        return amount_minor * 100
    if currency in _WITHOUT_DECIMALS:
        return None if amount_minor % 100 else amount_minor // 100
    return None if currency in _LAST_DIGIT_ZERO and amount_minor % 10 else amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """Return ISO 4217 minor units, from an amount as Stripe writes it; `currency` in any case.

    A fraction of a krona, from before Stripe refused them, is cut.
    """
    if currency.upper() in _AS_TWO_DECIMALS:
        return amount // 100
    return amount * 100 if currency.upper() in _WITHOUT_DECIMALS else amount
