"""Strict parsing of JSON request bodies."""

import json
from typing import Any, NoReturn

from starlette.requests import Request

_FIRST_INEXACT = 2**53


class StrictRequest(Request):
    """A request whose JSON body must have unique keys and finite numbers.

    Parsers differ in which of two duplicate keys they use. A proxy that validated one value must
    not be followed by a gateway that acts on the other.
    """

    async def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the parsed body.

        Raises:
            JSONDecodeError: the body is not JSON, not UTF-8, too deep, or not strict.

        """
        body = await self.body()
        try:
            return json.loads(
                body.decode(),  # json.loads of bytes would also accept UTF-16
                object_pairs_hook=_unique_keys,
                parse_float=_parse_number,
                parse_constant=_reject_constant,
            )
        except RecursionError:
            raise json.JSONDecodeError("too deep", "", 0) from None
        except UnicodeDecodeError:
            raise json.JSONDecodeError("not UTF-8", "", 0) from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("duplicate key", "", 0)
    return found


def _parse_number(text: str) -> int | float:
    """Return 3.0 as 3: JSON has one number type."""
    number = float(text)
    exact = number.is_integer() and abs(number) < _FIRST_INEXACT
    return int(number) if exact else number


def _reject_constant(constant: str) -> NoReturn:
    raise json.JSONDecodeError(f"{constant} is not JSON", "", 0)
