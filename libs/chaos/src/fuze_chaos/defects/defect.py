"""Defects on purpose, each of which has to turn the checker red.

No service knows of them: the stack starts the affected one through `fuze_chaos.defective`,
which changes it in memory. They are in no image but the sandbox's, which holds no service.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum

from fuze_devstack.errors import StackError
from fuze_devstack.topology import ServiceOverride

VARIABLE = "FUZE_CHAOS_DEFECT"
"""Which defect it is. Only the wrapper reads it: a service that is started as itself does not."""


class Defect(StrEnum):
    """What is wrong with a stack. The first word of each sentence is the service that has it."""

    SKIP_REFUND = "skip-refund"
    """Payment says that the money was given back; neither provider nor ledger hears of it."""
    DROP_PROVIDER_KEY = "drop-provider-key"
    """Payment charges under another key at each request, and again before it looks it up."""
    CHARGE_WITHOUT_RECORDING = "charge-without-recording"
    """Payment leaves some captures out of the ledger."""
    SHIP_BEFORE_CAPTURE = "ship-before-capture"
    """Payment says of some orders that they are paid, and asks the provider seconds later."""
    SKIP_EVENT = "skip-event"
    """Order moves the row of some orders at their approval, and writes no event."""
    FORGET_ROW = "forget-row"
    """Order lets the row of some orders name another end than their last event."""
    DISPATCH_TWICE = "dispatch-twice"
    """Shipping hands some orders over twice, under two keys."""
    IGNORE_CANCEL = "ignore-cancel"
    """Shipping says that a parcel is called off, and hands it over all the same."""
    FORGET_CANCEL = "forget-cancel"
    """Gateway says that an order is being cancelled, and tells nobody."""
    LOSE_ORDER = "lose-order"
    """Gateway accepts some orders, and starts nothing."""
    ANSWER_OTHERWISE = "answer-otherwise"
    """Gateway makes another order of a repeat under the same idempotency key."""

    @property
    def service(self) -> str:
        """The service that has it."""
        return _SERVICE_OF[self]

    @property
    def overrides(self) -> dict[str, ServiceOverride]:
        """What starts that service with the defect in it."""
        return {
            self.service: ServiceOverride(
                command=[sys.executable, "-m", "fuze_chaos.defective", self.service],
                environment={VARIABLE: self.value},
            )
        }


_SERVICE_OF = {
    Defect.SKIP_REFUND: "payment",
    Defect.DROP_PROVIDER_KEY: "payment",
    Defect.CHARGE_WITHOUT_RECORDING: "payment",
    Defect.SHIP_BEFORE_CAPTURE: "payment",
    Defect.SKIP_EVENT: "order",
    Defect.FORGET_ROW: "order",
    Defect.DISPATCH_TWICE: "shipping",
    Defect.IGNORE_CANCEL: "shipping",
    Defect.FORGET_CANCEL: "gateway",
    Defect.LOSE_ORDER: "gateway",
    Defect.ANSWER_OTHERWISE: "gateway",
}


def seeded_in(environment: Mapping[str, str]) -> Defect | None:
    """Return the defect that an environment asks for.

    Raises:
        StackError: there is none of this name.

    """
    name = environment.get(VARIABLE)
    if not name:
        return None
    try:
        return Defect(name)
    except ValueError:
        raise StackError(
            f"{VARIABLE}: there is no defect {name}; there are: {', '.join(Defect)}"
        ) from None
