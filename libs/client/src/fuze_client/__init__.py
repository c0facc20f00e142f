"""A typed client of Fuze's API: `FuzeClient`, and `AsyncFuzeClient` with the same methods.

    with FuzeClient("https://fuze.example", token="fz_…") as fuze:
        for order in fuze.orders.list(status=["awaiting_approval"]):
            fuze.orders.approve(order.order_id, actor="grace")

docs/reference/command-line.md explains retries, problems, lists and streams.
"""

from fuze_client._async.client import AsyncFuzeClient
from fuze_client._sync.client import FuzeClient
from fuze_client.errors import (
    FuzeError,
    NoResponseError,
    Problem,
    ProblemError,
    UnexpectedResponseError,
)

__all__ = [
    "AsyncFuzeClient",
    "FuzeClient",
    "FuzeError",
    "NoResponseError",
    "Problem",
    "ProblemError",
    "UnexpectedResponseError",
]
