"""Patches of the webhooks service."""

from collections.abc import Callable
from importlib import import_module

from fuze_chaos.defects.patching import Foreign, Patches, is_affected


def drop_webhook(patches: Patches) -> None:
    """Record a message as delivered, and do not send it."""
    messages = import_module("fuze_webhooks.messages")

    def sending(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def send(
            self: Foreign, endpoint: Foreign, delivery: Foreign, deadline: float
        ) -> Foreign:
            if delivery.event is not None and is_affected(delivery.event["order_id"]):
                return messages.Attempt(response_status=200)
            return await original(self, endpoint, delivery, deadline)

        return send

    patches.replace(
        "fuze_webhooks.sender",
        "WebhookSender.send",
        sending,
        parameters=("self", "endpoint", "delivery", "deadline"),
    )
