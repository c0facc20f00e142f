"""Bodies that mean one thing to everyone who reads them."""

import json
from typing import Any, NoReturn

from starlette.requests import Request

_FIRST_INEXACT = 2**53


class StrictRequest(Request):
    """A request whose JSON says nothing twice, and has only numbers that JSON has.

    Parsers differ in which of two equal keys they believe: what a proxy checked must be what we do.
    """

    async def json(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the body.

        Raises:
            JSONDecodeError: it is not JSON, or not JSON of this kind.

        """
        body = await self.body()
        try:
            return json.loads(
                body.decode(),  # by itself the parser would guess UTF-16, too
                object_pairs_hook=_each_once,
                parse_float=_number,
                parse_constant=_refuse,
            )
        except RecursionError:
            raise json.JSONDecodeError("too deep", "", 0) from None
        except UnicodeDecodeError:
            raise json.JSONDecodeError("not UTF-8", "", 0) from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("a key comes twice", "", 0)
    return found


def _number(text: str) -> int | float:
    """Read 3.0 as 3: to JSON they are one number."""
    number = float(text)
    exact = number.is_integer() and abs(number) < _FIRST_INEXACT
    return int(number) if exact else number


def _refuse(constant: str) -> NoReturn:
    raise json.JSONDecodeError(f"{constant} is no JSON", "", 0)
