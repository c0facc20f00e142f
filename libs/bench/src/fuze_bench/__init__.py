"""Measures Fuze beside programs that do the same work: a bare Temporal one, DBOS, and Celery."""
