"""The base of every message that crosses between processes."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """An immutable message on the wire.

    Different versions of the services run at the same time, so a message ignores fields it does
    not know, and a field is only ever added with a default. `tests/golden` holds the promise.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
