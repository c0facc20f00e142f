import pytest
from pydantic import ValidationError

from fuze_contracts.money import CURRENCY_EXPONENTS, MAX_AMOUNT_MINOR, Money


@pytest.mark.parametrize(
    ("amount_minor", "currency", "reads"),
    [(1999, "USD", "19.99 USD"), (5, "EUR", "0.05 EUR"), (500, "JPY", "500 JPY"),
     (1234, "BHD", "1.234 BHD")],
)  # fmt: skip
def test_an_amount_reads_with_its_currencys_decimals(
    amount_minor: int, currency: str, reads: str
) -> None:
    assert str(Money(amount_minor=amount_minor, currency=currency)) == reads


@pytest.mark.parametrize("amount_minor", [-1, MAX_AMOUNT_MINOR + 1, 1.5])
def test_an_amount_out_of_bounds_is_refused(amount_minor: float) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": amount_minor, "currency": "USD"})


def test_no_currency_has_two_exponents() -> None:
    assert len(CURRENCY_EXPONENTS) > 140
    assert set(CURRENCY_EXPONENTS.values()) == {0, 2, 3}
