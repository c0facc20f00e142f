"""Every provider that Fuze can use."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from fuze_contracts.money import Money
from fuze_psp.provider import PaymentProvider
from fuze_psp.sandbox.provider import open_sandbox
from fuze_psp.sandbox.settings import SandboxSettings, SandboxWebhookSettings
from fuze_psp.sandbox.webhook import SANDBOX_WEBHOOK
from fuze_psp.settings import PaymentProviderName
from fuze_psp.stripe.amounts import explain_unsupported
from fuze_psp.stripe.provider import open_stripe
from fuze_psp.stripe.settings import StripeSettings, StripeWebhookSettings
from fuze_psp.stripe.webhook import STRIPE_WEBHOOK
from fuze_psp.webhooks import Webhook


class ProviderSettings(SandboxSettings, StripeSettings):
    """The settings of every provider; only those of the selected one are required."""


class WebhookSettings(SandboxWebhookSettings, StripeWebhookSettings):
    """The webhook secrets of every provider."""


_OPEN: dict[
    PaymentProviderName,
    Callable[[ProviderSettings, timedelta], AbstractAsyncContextManager[PaymentProvider]],
] = {"sandbox": open_sandbox, "stripe": open_stripe}

WEBHOOKS: tuple[Webhook[WebhookSettings], ...] = (SANDBOX_WEBHOOK, STRIPE_WEBHOOK)
"""The webhook endpoint of each provider, whichever is selected: an old one may still send."""


_EXPLAIN_UNSUPPORTED: dict[PaymentProviderName, Callable[[int, str], str | None]] = {
    "stripe": explain_unsupported
}
"""The providers that cannot charge every amount of every currency."""


def explain_unsupported_amount(provider: PaymentProviderName, amount: Money) -> str | None:
    """Return why the provider cannot charge the amount, and what it can; None if it can.

    An amount of zero is never sent to a provider.
    """
    explain = _EXPLAIN_UNSUPPORTED.get(provider)
    if explain is None or not amount.amount_minor:
        return None
    return explain(amount.amount_minor, amount.currency)


def open_provider(
    settings: ProviderSettings, *, request_timeout: timedelta
) -> AbstractAsyncContextManager[PaymentProvider]:
    """Connect to the selected provider; one operation takes at most `request_timeout`."""
    return _OPEN[settings.payment_provider](settings, request_timeout)
