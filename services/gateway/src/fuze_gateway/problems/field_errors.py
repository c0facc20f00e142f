"""What a 422 says of each invalid field: what is wrong, and what to do.

The messages of pydantic are for developers of Python. They say "item" of a character, and name
types of Python. Never is the input in a message.
"""

from collections.abc import Mapping
from typing import Any

_MAX_FIELD_ERRORS = 20
_MAX_NAME_LENGTH = 64

_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request; remove it",
    "none_required": "must be null",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_unicode": "must be valid Unicode",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "int_type": "must be an integer, without quotes",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be an integer, without a fraction",
    "bool_type": "must be true or false, without quotes",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
    "timezone_aware": "must have an offset, such as Z or +01:00 (in a URL: %2B01:00)",
    "value_error": "{error}",
}
"""By pydantic's error type. The fields in braces are in the error's context."""

_CHARACTERS_OF_TEXT = {"too_long": "string_too_long", "too_short": "string_too_short"}
"""What pydantic says of a string whose length is checked after a validator of ours."""


def describe(errors: list[Any]) -> list[dict[str, Any]]:
    """Return the location and the message of each of the first errors of pydantic."""
    return [
        {"loc": [_shorten(part) for part in error["loc"]], "message": _to_message(error)}
        for error in errors[:_MAX_FIELD_ERRORS]
    ]


def _to_message(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if isinstance(error.get("input"), str):
        kind = _CHARACTERS_OF_TEXT.get(kind, kind)
    context = error.get("ctx", {})
    if kind.startswith("datetime") and "error" in context:
        return f"must be a valid date and time: {context['error']}"
    template = _MESSAGES.get(kind)
    if template is None or (not context and "{" in template):
        return str(error["msg"]).removeprefix("Value error, ")
    message = template.format_map(context)
    return message.replace("at least 1 characters", "at least 1 character").replace(
        "at least 1 items", "at least 1 item"
    )


def _shorten(part: str | int) -> str | int:
    """Bound the name of an unknown field, which the caller chose."""
    return part[:_MAX_NAME_LENGTH] if isinstance(part, str) else part
