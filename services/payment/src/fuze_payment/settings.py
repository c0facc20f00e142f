"""Settings of the payment service."""

from datetime import timedelta

from pydantic import Field, HttpUrl, model_validator

from fuze_payment.rules import ProviderPromise
from fuze_runtime.settings import Duration, WorkerSettings


class PaymentSettings(WorkerSettings):
    """What the payment worker needs."""

    psp_url: HttpUrl = Field(description="Where the payment service provider answers.")
    psp_timeout: float = Field(10.0, gt=0, description="Seconds for one request.")
    payment_lease: float = Field(
        20.0, lt=30, description="Seconds for which one attempt has a payment to itself."
    )
    psp_keys_kept: Duration = Field(
        timedelta(hours=24), description="How long the provider remembers an idempotency key."
    )
    psp_settle_window: Duration = Field(
        timedelta(seconds=60), description="How long after it was sent a request may still land."
    )
    psp_review_interval: Duration = Field(
        timedelta(seconds=10), description="How often a payment under review is looked at."
    )

    reconcile_every: Duration = Field(
        timedelta(minutes=15), description="How often the provider's books are compared with ours."
    )
    reconcile_look_back: Duration = Field(timedelta(days=3), description="From how far back.")

    @model_validator(mode="after")
    def _order_of_times(self) -> "PaymentSettings":
        """Request < lease < the activity's own 30 s: else two attempts could ask at once."""
        if not self.psp_timeout < self.payment_lease:
            raise ValueError("FUZE_PSP_TIMEOUT must be shorter than FUZE_PAYMENT_LEASE")
        return self

    @property
    def promise(self) -> ProviderPromise:
        """What we rely on of the provider."""
        return ProviderPromise(keys_kept=self.psp_keys_kept, settle_window=self.psp_settle_window)
