"""The orders of a seed: what each of them is, and what happens to it from outside.

Order `n` of a seed is the same however many there are. What becomes of it depends on the faults;
what is right, whatever becomes of it, is the checker's business.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fuze_chaos.life import ENDS

Body = dict[str, Any]

AWAITS_METHOD = frozenset({"awaiting_payment_method"})
AWAITS_ADDRESS = frozenset({"awaiting_address"})


@dataclass(frozen=True)
class Act:
    """Something that somebody does about an order.

    `after` seconds after the act before it; `when` waits for a status first, and does nothing
    where the order ends without it. `times` identical requests go out together.
    """

    do: str
    after: float = 0
    when: frozenset[str] | None = None
    body: Body = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True)
class Play:
    """One order: how it is placed, and what is done about it. `key` is for those without an id."""

    kind: str
    order_id: UUID
    body: Body
    acts: tuple[Act, ...] = ()
    key: str | None = None
    places: int = 1
    is_misused: bool = False
    """Whether another request comes under the same id or key, which has to be refused."""


_METHODS = ("delayed_commit", "response_dropped", "error_once", "rate_limited", "slow")
_LINES = ("response_dropped", "delayed_commit", "error_once", "rate_limited", "slow")
_DECLINES = ("pm_declined", "pm_insufficient_funds", "pm_fraud")


class _Author:
    """Draws everything about one order."""

    def __init__(self, seed: int, number: int) -> None:
        self.chance = random.Random(f"{seed}/order/{number}")  # noqa: S311 - the same each time
        self.order_id = UUID(int=self.chance.getrandbits(128), version=4)
        self.number = number

    def soon(self, longest: float = 1.5) -> float:
        return round(self.chance.uniform(0, longest), 3)

    def body(self, **changes: Any) -> Body:  # noqa: ANN401 - a request's fields
        body: Body = {
            "customer": f"customer-{self.number % 97}@example.com",
            "lines": [
                {
                    "sku": "TEAPOT-1",
                    "quantity": self.chance.randint(1, 9),
                    # Beyond FUZE_AUTO_APPROVE_LIMITS, whatever the quantity.
                    "unit_price_minor": self.chance.randint(1001, 99_999),
                }
            ],
            "currency": self.chance.choice(("USD", "EUR", "JPY")),
            "payment_method": self.method(),
            "address": self.address(),
        }
        return body | changes

    def method(self) -> str:
        if self.chance.random() < 0.35:  # noqa: PLR2004 - the share of payments that go wrong
            return f"pm_{self.chance.choice(_METHODS)}"
        return "pm_card_visa"

    def address(self) -> Body:
        address = {"zip_code": f"{self.chance.randint(10_000, 99_999)}", "name": "Ada"}
        if self.chance.random() < 0.25:  # noqa: PLR2004 - the share of parcels that go wrong
            address["line1"] = self.chance.choice(_LINES)
        return address

    def approve(self, longest: float = 1.5, *, times: int = 1) -> Act:
        how = self.chance.choice(("approve", "approve", "signal-approve"))
        return Act(how, self.soon(longest), body={"actor": "grace"}, times=times)

    def cancel(self, longest: float) -> Act:
        body = {"actor": "ada", "reason": "bought elsewhere"}
        return Act("cancel", self.soon(longest), body=body)


def _plain(author: _Author) -> Play:
    return Play("plain", author.order_id, author.body(), (author.approve(),))


def _approved_often(author: _Author) -> Play:
    approvals = (author.approve(times=5), author.approve(times=3))
    return Play("approved-often", author.order_id, author.body(), approvals, places=3)


def _small(author: _Author) -> Play:
    line = {"sku": "SPOON-1", "quantity": 1, "unit_price_minor": 900}
    return Play("small", author.order_id, author.body(lines=[line], currency="USD"))


def _free(author: _Author) -> Play:
    return Play("free", author.order_id, author.body(lines=[]), (author.approve(),))


def _invalid(author: _Author) -> Play:
    nowhere = {"zip_code": "NOWHERE"}
    return Play("invalid", author.order_id, author.body(address=nowhere), (author.approve(),))


def _rejected(author: _Author) -> Play:
    reject = Act("reject", author.soon(), body={"actor": "grace", "reason": "too many teapots"})
    return Play("rejected", author.order_id, author.body(), (reject,))


def _forgotten(author: _Author) -> Play:
    late = Act("approve", author.soon(), when=ENDS, body={"actor": "grace"})
    acts = author.chance.choice(((), (late,)))
    return Play("forgotten", author.order_id, author.body(), acts)


def _cancelled_early(author: _Author) -> Play:
    return Play("cancelled-early", author.order_id, author.body(), (author.cancel(1.5),))


def _cancelled_any_time(author: _Author) -> Play:
    acts = (author.approve(), author.cancel(author.chance.choice((0.3, 2, 8))))
    return Play("cancelled-any-time", author.order_id, author.body(), acts)


def _cancelled_otherwise(author: _Author) -> Play:
    how = author.chance.choice(("signal-cancel", "temporal-cancel"))
    acts = (author.approve(), Act(how, author.soon(5)))
    return Play("cancelled-otherwise", author.order_id, author.body(), acts)


def _moved(author: _Author) -> Play:
    moves = tuple(
        Act(
            author.chance.choice(("address", "address", "signal-address")),
            author.soon(2.5),
            body={"address": author.address(), "actor": "ada"},
        )
        for _ in range(author.chance.randint(1, 3))
    )
    acts = [author.approve(), *moves]
    return Play("moved", author.order_id, author.body(), tuple(acts))


def _refused_address(author: _Author) -> Play:
    body = author.body(address=author.address() | {"line1": "rejected"})
    corrected = Act(
        "address", author.soon(3), when=AWAITS_ADDRESS, body={"address": author.address()}
    )
    acts = [author.approve()]
    if author.chance.random() < 0.7:  # noqa: PLR2004 - the share that somebody corrects
        acts.append(corrected)
    return Play("refused-address", author.order_id, body, tuple(acts))


def _declined(author: _Author) -> Play:
    body = author.body(payment_method=author.chance.choice(_DECLINES))
    another = Act(
        "payment-method",
        author.soon(2),
        when=AWAITS_METHOD,
        body={"payment_method": author.method(), "actor": "ada"},
    )
    acts = [author.approve()]
    if author.chance.random() < 0.6:  # noqa: PLR2004 - the share that pays otherwise
        acts.append(another)
    return Play("declined", author.order_id, body, tuple(acts))


def _held(author: _Author) -> Play:
    decision = author.chance.choice(("charged", "charged", "declined"))
    acts = [author.approve(), Act("decide", author.soon(4), body={"status": decision})]
    if author.chance.random() < 0.3:  # noqa: PLR2004 - the share that is cancelled meanwhile
        acts.insert(1, author.cancel(3))
    return Play(
        "under_review", author.order_id, author.body(payment_method="pm_under_review"), tuple(acts)
    )


def _without_id(author: _Author) -> Play:
    return Play(
        "without-id",
        author.order_id,
        author.body(),
        (author.approve(),),
        key=f"key-{author.order_id}",
        places=author.chance.randint(1, 4),
        is_misused=author.chance.random() < 0.3,  # noqa: PLR2004 - the share under a used key
    )


def _misused(author: _Author) -> Play:
    return Play(
        "misused", author.order_id, author.body(), (author.approve(),), places=2, is_misused=True
    )


def _refunded(author: _Author) -> Play:
    refund = Act("refund", author.soon(), when=ENDS, body={"reason": "one was broken"}, times=2)
    return Play("refunded", author.order_id, author.body(), (author.approve(), refund))


def _argued(author: _Author) -> Play:
    together = [
        Act("approve", 0, body={"actor": "grace"}),
        Act("reject", 0, body={"actor": "linus", "reason": "no"}),
        Act("cancel", 0, body={"actor": "ada"}),
        Act("address", 0, body={"address": author.address()}),
    ]
    author.chance.shuffle(together)
    first, *rest = together
    return Play(
        "argued",
        author.order_id,
        author.body(),
        (Act(first.do, author.soon(), body=first.body), *rest),
    )


_PLOTS: dict[Callable[[_Author], Play], int] = {
    _plain: 24,
    _approved_often: 5,
    _small: 6,
    _free: 4,
    _invalid: 5,
    _rejected: 5,
    _forgotten: 4,
    _cancelled_early: 4,
    _cancelled_any_time: 13,
    _cancelled_otherwise: 5,
    _moved: 6,
    _refused_address: 5,
    _declined: 6,
    _held: 4,
    _without_id: 6,
    _misused: 3,
    _refunded: 4,
    _argued: 4,
}


def order(seed: int, number: int) -> Play:
    """Return one order of a seed."""
    author = _Author(seed, number)
    (plot,) = author.chance.choices(list(_PLOTS), list(_PLOTS.values()))
    return plot(author)
