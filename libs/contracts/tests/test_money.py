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


def test_the_currencies_have_no_two_or_three_decimals() -> None:
    assert len(CURRENCY_EXPONENTS) > 140
    assert set(CURRENCY_EXPONENTS.values()) == {0, 2, 3}
    decimals = {"JPY": 0, "UGX": 0, "ISK": 0, "USD": 2, "KWD": 3, "BHD": 3}
    assert {code: CURRENCY_EXPONENTS[code] for code in decimals} == decimals


@pytest.mark.parametrize("code", ["XCG", "ZWG", "SLE", "VED"])
def test_a_currency_that_has_replaced_another_is_known(code: str) -> None:
    assert code in CURRENCY_EXPONENTS


@pytest.mark.parametrize("code", ["ANG", "HRK", "ZWL", "SLL", "BGN"])
def test_a_currency_that_was_replaced_is_unknown(code: str) -> None:
    assert code not in CURRENCY_EXPONENTS


@pytest.mark.parametrize("code", ["XXX", "XTS", "XAU", "XDR", "CLF", "CHE", "UYW", "XAD"])
def test_metals_funds_and_test_codes_are_no_currencies(code: str) -> None:
    assert code not in CURRENCY_EXPONENTS
