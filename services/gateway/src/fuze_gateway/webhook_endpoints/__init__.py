"""Endpoints of outgoing webhooks: what an operator decides, and what was delivered."""
