"""Webhook receivers: processes that record what they receive, and fail on command."""
