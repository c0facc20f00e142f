"""Payments and refunds of orders, and what reconciliation found."""
