"""The contract of the webhooks service: outgoing webhooks, as in Standard Webhooks.

The gateway writes what an operator decides, and reads what became of it, in two views of the
service's schema (`fuze_contracts.read_models`). No workflow is started by another service: the
workers start the workflow of each endpoint.
"""

import ipaddress
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

WEBHOOKS_TASK_QUEUE = "webhooks"

TEST_EVENT_TYPE: Final = "webhook.test"
"""The type of a message that an operator sends to try an endpoint."""

SECRETS_TABLE = "webhooks.secrets"
"""The gateway inserts signing secrets and lets them expire; it cannot read them."""

MAX_URL_LENGTH = 2000

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IETF_PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")
"""Some versions of Python count a part of it as public; a cloud has its metadata server there."""


class WebhookDeliveryState(StrEnum):
    """What became of an event at an endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDisabledReason(StrEnum):
    """Why the service itself disabled an endpoint."""

    GONE = "gone"
    FAILING = "failing"


def is_public_address(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    Private, loopback, link-local, multicast and reserved addresses are not, nor is an IPv6 address
    that carries such an IPv4 address: mapped, of 6to4, or translated by a NAT64 gateway.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public_address(str(inner))
        if parsed.is_site_local:
            return False
    elif parsed in _IETF_PROTOCOLS:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def validate_webhook_url(url: str, *, allow_insecure: bool) -> str:
    """Return the URL of an endpoint; `allow_insecure` allows http and addresses that are private.

    The addresses that a name resolves to are checked when the service connects.

    Raises:
        ValueError: the URL cannot be one of an endpoint.

    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("must be a URL in ASCII; write its name as xn--… and escape its path")
    parts = urlsplit(url)
    if parts.scheme not in ({"https", "http"} if allow_insecure else {"https"}):
        raise ValueError("must begin with https://, such as https://shop.example/webhooks")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain credentials: webhooks are signed instead")
    if not parts.hostname or parts.port == 0:
        raise ValueError("must name a host, such as https://shop.example/webhooks")
    if "#" in url:
        raise ValueError("must not contain a fragment")
    if not allow_insecure and _is_private_host(parts.hostname):
        raise ValueError("must not be an address of a private network")
    return url


def _is_private_host(host: str) -> bool:
    try:
        return not is_public_address(host)
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")
