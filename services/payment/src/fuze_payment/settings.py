"""Settings of the payment service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from fuze_payment.domain import ProviderGuarantees
from fuze_psp.registry import ProviderSettings
from fuze_runtime.settings import Duration, WorkerSettings


class PaymentSettings(ProviderSettings, WorkerSettings):
    """What the payment worker needs, with the settings of its provider."""

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
