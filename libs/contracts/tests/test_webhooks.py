"""Which addresses and URLs webhooks can be sent to."""

import pytest

from fuze_contracts.webhooks import is_public_address, validate_webhook_url


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104 - as an address to refuse
        *("100.64.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("2002:7f00:1::", "64:ff9b::10.0.0.1", "2001:0:53aa:64c::"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_a_public_address_is_none_of_those(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://shop.example/", "https://"),
        ("ftp://shop.example/", "https://"),
        ("https://user:secret@shop.example/", "credentials"),
        ("https://user@shop.example/", "credentials"),
        ("https:///path", "name a host"),
        ("https://shop.example:0/", "name a host"),
        ("https://shop.example:99999/", "Port out of range"),
        ("https://shop.example/#here", "fragment"),
        ("https://shöp.example/", "ASCII"),
        ("https://shop.example\\@10.0.0.1/", "ASCII"),
        ("https://shop.example/\r\nx: y", "ASCII"),
        ("https://10.0.0.1/", "private"),
        ("https://[::ffff:127.0.0.1]/", "private"),
        ("https://localhost/", "private"),
        ("https://[bad/", "Invalid IPv6"),
    ],
)
def test_a_url_that_cannot_be_an_endpoint_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        validate_webhook_url(url, allow_insecure=False)


@pytest.mark.parametrize("url", ["https://shop.example/a?b=c", "https://8.8.8.8:8443/"])
def test_a_public_https_url_is_accepted(url: str) -> None:
    assert validate_webhook_url(url, allow_insecure=False) == url


def test_plain_http_to_any_host_is_accepted_where_it_is_allowed() -> None:
    url = "http://127.0.0.1:9000/webhooks"

    assert validate_webhook_url(url, allow_insecure=True) == url
