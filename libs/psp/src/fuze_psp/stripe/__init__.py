"""Stripe: PaymentIntents that are confirmed while the customer is absent (off session)."""
