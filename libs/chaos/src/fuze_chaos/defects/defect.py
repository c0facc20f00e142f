"""The defects that can be injected into a service, each of which the checker has to find.

No service contains them: the stack starts the affected service through `fuze_chaos.defects.runner`,
which patches it in memory. This package is in no image of a service.
"""

import sys
from collections.abc import Mapping
from enum import StrEnum

from fuze_devstack.errors import StackError
from fuze_devstack.topology import ServiceOverride

VARIABLE = "FUZE_CHAOS_DEFECT"
"""Selects the defect. Only the runner reads it; a service started as usual ignores it."""


class Defect(StrEnum):
    """A defect. The first word of each description is the service that has it."""

    SKIP_REFUND = "skip-refund"
    """Payment reports a refund, but sends none to the provider and posts none to the ledger."""
    DROP_PROVIDER_KEY = "drop-provider-key"
    """Payment sends every charge with a new idempotency key, and retries without a look-up."""
    CHARGE_WITHOUT_RECORDING = "charge-without-recording"
    """Payment omits some captures from the ledger."""
    SHIP_BEFORE_CAPTURE = "ship-before-capture"
    """Payment reports some charges as captured seconds before it sends them."""
    SKIP_EVENT = "skip-event"
    """Order updates the row of some orders on approval, but writes no event."""
    WRONG_FINAL_STATUS = "wrong-final-status"
    """Order gives the row of some orders another final status than their last event."""
    FORGET_VOID_AFTER_RESET = "forget-void-after-reset"
    """Order cancels an approved order without a void if its workflow was reset."""
    IGNORE_MISSING_WORKFLOW = "ignore-missing-workflow"
    """Order does not report open orders whose workflow is gone."""
    DISPATCH_TWICE = "dispatch-twice"
    """Shipping dispatches some orders twice, with two keys."""
    IGNORE_CANCEL = "ignore-cancel"
    """Shipping reports a shipment as cancelled, and dispatches it nevertheless."""
    DROP_RETURN = "drop-return"
    """Shipping records a returned parcel as one in transit."""
    DROP_WEBHOOK = "drop-webhook"
    """Webhooks records some messages as delivered, and does not send them."""
    DROP_CANCELLATION = "drop-cancellation"
    """Gateway accepts a cancellation, and sends it to no workflow."""
    LOSE_ORDER = "lose-order"
    """Gateway accepts some orders, and starts no workflow."""
    IGNORE_IDEMPOTENCY_KEY = "ignore-idempotency-key"
    """Gateway creates a second order for a repeat with the same idempotency key."""

    @property
    def service(self) -> str:
        """The service that has the defect."""
        return _SERVICES[self]

    @property
    def override(self) -> ServiceOverride:
        """The command that starts that service with the defect."""
        return ServiceOverride(
            command=[sys.executable, "-m", "fuze_chaos.defects.runner", self.service],
            environment={VARIABLE: self.value},
        )


_SERVICES = {
    Defect.SKIP_REFUND: "payment",
    Defect.DROP_PROVIDER_KEY: "payment",
    Defect.CHARGE_WITHOUT_RECORDING: "payment",
    Defect.SHIP_BEFORE_CAPTURE: "payment",
    Defect.SKIP_EVENT: "order",
    Defect.WRONG_FINAL_STATUS: "order",
    Defect.FORGET_VOID_AFTER_RESET: "order",
    Defect.IGNORE_MISSING_WORKFLOW: "order",
    Defect.DISPATCH_TWICE: "shipping",
    Defect.IGNORE_CANCEL: "shipping",
    Defect.DROP_RETURN: "shipping",
    Defect.DROP_WEBHOOK: "webhooks",
    Defect.DROP_CANCELLATION: "gateway",
    Defect.LOSE_ORDER: "gateway",
    Defect.IGNORE_IDEMPOTENCY_KEY: "gateway",
}


def selected_defect(environment: Mapping[str, str]) -> Defect | None:
    """Return the defect that the environment selects, if any.

    Raises:
        StackError: there is no such defect.

    """
    name = environment.get(VARIABLE)
    if not name:
        return None
    try:
        return Defect(name)
    except ValueError:
        raise StackError(
            f"{VARIABLE}: there is no defect {name}; choose one of: {', '.join(Defect)}"
        ) from None
