"""Settings of the payment service."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, model_validator

from fuze_payment.domain import ProviderGuarantees
from fuze_psp.registry import ProviderSettings
from fuze_runtime.deployment import Refusal, Settings, refuse_plain_http, refuse_sandbox
from fuze_runtime.settings import Duration, WorkerSettings

_STRIPE_TEST_KEYS = ("sk_test_", "rk_test_")


def _refuse_stripe_test_key(key: SecretStr | None, settings: Settings) -> str | None:
    is_test_key = key is not None and key.get_secret_value().startswith(_STRIPE_TEST_KEYS)
    if is_test_key and settings.get("environment") == "production":
        return "must not be a test key in production"
    return None


class PaymentSettings(ProviderSettings, WorkerSettings):
    """What the payment worker needs, with the settings of its provider."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("payment_provider", "allow_sandbox_provider", refuse_sandbox),
        Refusal("stripe_api_key", "allow_stripe_test_key", _refuse_stripe_test_key),
        Refusal("stripe_api_base", "allow_plain_http", refuse_plain_http),
        Refusal("psp_url", "allow_plain_http", refuse_plain_http),
    )

    psp_timeout: Duration = Field(
        timedelta(seconds=10), description="Time limit of one request to the provider."
    )
    payment_lease: Annotated[Duration, Field(lt=timedelta(seconds=30))] = Field(
        timedelta(seconds=20), description="How long one attempt has an operation to itself."
    )
    psp_idempotency_key_ttl: Duration = Field(
        timedelta(hours=24), description="How long the provider keeps an idempotency key."
    )
    psp_settle_window: Duration = Field(
        timedelta(seconds=60),
        description="How long after it was sent a request may still take effect.",
    )
    psp_review_poll_interval: Duration = Field(
        timedelta(seconds=10), description="How often a payment under review is looked up."
    )
    reconcile_interval: Duration = Field(
        timedelta(minutes=15),
        description="How often the provider's records are compared with ours.",
    )
    reconcile_look_back: Duration = Field(
        timedelta(days=3), description="The age of the oldest records that are compared."
    )

    @model_validator(mode="after")
    def _check_order_of_timeouts(self) -> "PaymentSettings":
        """Request < lease < the activity's timeout: else two attempts could send at once."""
        if not self.psp_timeout < self.payment_lease:
            raise ValueError("FUZE_PSP_TIMEOUT must be shorter than FUZE_PAYMENT_LEASE")
        return self

    @property
    def guarantees(self) -> ProviderGuarantees:
        """Return what the protocol relies on."""
        return ProviderGuarantees(
            idempotency_key_ttl=self.psp_idempotency_key_ttl, settle_window=self.psp_settle_window
        )
