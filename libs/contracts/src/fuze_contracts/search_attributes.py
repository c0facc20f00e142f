"""What an operator searches Temporal for: the search attributes of an order's workflow.

They have to exist in the namespace before an order is placed that has them. They never have
personal data: Temporal stores them in plain text, whatever encrypts the payloads.
"""

from temporalio.common import SearchAttributeKey

ORDER_STATUS = SearchAttributeKey.for_keyword("FuzeOrderStatus")
WAITING_FOR = SearchAttributeKey.for_keyword("FuzeWaitingFor")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("FuzeNeedsAttention")

SEARCH_ATTRIBUTES = (ORDER_STATUS, WAITING_FOR, NEEDS_ATTENTION)
