"""What the checker reads of the payment service: its published views, and the ledger.

No view publishes the ledger, so this file depends on `payments.ledger_entries`.
"""

QUERIES = {
    "payments": "SELECT * FROM payments.published_payments",
    "refunds": "SELECT * FROM payments.published_refunds",
    "ledger": "SELECT l.*, p.order_id FROM payments.ledger_entries l"
    " JOIN payments.published_payments p ON p.payment_id = l.payment_id",
    "discrepancies": "SELECT * FROM payments.published_discrepancies",
}

UNRESOLVED = """
SELECT (SELECT count(*) FROM payments.published_payments
        WHERE state NOT IN ('charged', 'declined', 'voided'))
     + (SELECT count(*) FROM payments.published_refunds WHERE state NOT IN ('refunded', 'rejected'))
     + (SELECT count(*) FROM payments.published_discrepancies)
"""
