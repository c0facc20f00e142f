"""What each defect patches, one module per service."""

from collections.abc import Callable

from fuze_chaos.defects.defect import Defect
from fuze_chaos.defects.patches import gateway, order, payment, shipping, webhooks
from fuze_chaos.defects.patching import Patches

_PATCHES: dict[Defect, Callable[[Patches], None]] = {
    Defect.SKIP_REFUND: payment.skip_refund,
    Defect.DROP_PROVIDER_KEY: payment.drop_provider_key,
    Defect.CHARGE_WITHOUT_RECORDING: payment.charge_without_recording,
    Defect.SHIP_BEFORE_CAPTURE: payment.ship_before_capture,
    Defect.SKIP_EVENT: order.skip_event,
    Defect.WRONG_FINAL_STATUS: order.wrong_final_status,
    Defect.FORGET_VOID_AFTER_RESET: order.forget_void_after_reset,
    Defect.IGNORE_MISSING_WORKFLOW: order.ignore_missing_workflow,
    Defect.DISPATCH_TWICE: shipping.dispatch_twice,
    Defect.IGNORE_CANCEL: shipping.ignore_cancel,
    Defect.DROP_RETURN: shipping.drop_return,
    Defect.DROP_WEBHOOK: webhooks.drop_webhook,
    Defect.DROP_CANCELLATION: gateway.drop_cancellation,
    Defect.LOSE_ORDER: gateway.lose_order,
    Defect.IGNORE_IDEMPOTENCY_KEY: gateway.ignore_idempotency_key,
}


def apply_defect(defect: Defect) -> list[str]:
    """Apply a defect in this process, and return the patched functions.

    Raises:
        PatchTargetError: a function that it patches is gone or has changed.

    """
    patches = Patches()
    _PATCHES[defect](patches)
    return patches.applied
