"""The task queues of Temporal, and whether workers poll them."""
