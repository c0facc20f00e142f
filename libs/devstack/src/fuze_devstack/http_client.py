"""HTTP to this machine, and nowhere else."""

import httpx


def create_client(
    base_url: str = "", *, timeout: float = 5, connections: int = 100
) -> httpx.AsyncClient:
    """Return a client that knows no proxy, no netrc and no certificates.

    Reading the certificates of the whole world takes longer than what it is used for here.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=timeout,
        trust_env=False,
        verify=False,  # noqa: S501 - nothing here is https
        limits=httpx.Limits(max_connections=connections),
    )
