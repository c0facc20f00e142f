"""Webhooks of the payment providers and the carrier."""
