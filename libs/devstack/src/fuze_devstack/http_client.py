"""HTTP to this machine only."""

import httpx


def create_client(
    base_url: str = "", *, timeout: float = 5, connections: int = 100
) -> httpx.AsyncClient:
    """Return a client that uses no proxy, no netrc and no certificates.

    Loading the certificates of public authorities would take longer than the requests do.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=timeout,
        trust_env=False,
        verify=False,  # noqa: S501 - nothing here is https
        limits=httpx.Limits(max_connections=connections),
    )
