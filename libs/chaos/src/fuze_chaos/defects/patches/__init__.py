"""How each defect is planted, a module for each service that can have one."""

from collections.abc import Callable

from fuze_chaos.defects import Defect
from fuze_chaos.patches import Patches
from fuze_chaos.seeds import gateway, order, payment, shipping

_SEEDS: dict[Defect, Callable[[Patches], None]] = {
    Defect.SKIP_REFUND: payment.skip_refund,
    Defect.DROP_PROVIDER_KEY: payment.drop_provider_key,
    Defect.CHARGE_WITHOUT_RECORDING: payment.charge_without_recording,
    Defect.SHIP_BEFORE_CAPTURE: payment.ship_before_capture,
    Defect.SKIP_EVENT: order.skip_event,
    Defect.FORGET_ROW: order.forget_row,
    Defect.DISPATCH_TWICE: shipping.dispatch_twice,
    Defect.IGNORE_CANCEL: shipping.ignore_cancel,
    Defect.FORGET_CANCEL: gateway.forget_cancel,
    Defect.LOSE_ORDER: gateway.lose_order,
    Defect.ANSWER_OTHERWISE: gateway.answer_otherwise,
}


def arm(defect: Defect) -> list[str]:
    """Plant a defect in this process, and return what was changed.

    Raises:
        DisarmedError: what it changes is not there any more.

    """
    patches = Patches()
    _SEEDS[defect](patches)
    return patches.made
