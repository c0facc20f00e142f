"""What protects a browser, and the orders from other sites."""

import httpx
import pytest
from console_harness import PUBLIC_URL, MakeKey, get_csrf_token, submit

from fuze_gateway.auth.principals import Role

_CANCEL = "/orders/123e4567-e89b-12d3-a456-426614174000/actions/cancel"


@pytest.fixture
async def signed_in(browser: httpx.AsyncClient, make_key: MakeKey) -> httpx.AsyncClient:
    await submit(browser, "/sign-in", {"api_key": await make_key(Role.ADMIN), "next": "/orders"})
    return browser


@pytest.mark.parametrize("path", ["/sign-in", "/", "/orders", "/static/console.js", "/nothing"])
async def test_every_response_forbids_inline_code_and_frames(
    signed_in: httpx.AsyncClient, path: str
) -> None:
    headers = (await signed_in.get(path)).headers

    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "expected"), [("/orders", "no-store"), ("/static/console.js", "no-cache")]
)
async def test_no_page_is_kept_by_a_browser(
    signed_in: httpx.AsyncClient, path: str, expected: str
) -> None:
    assert (await signed_in.get(path)).headers["cache-control"] == expected


@pytest.mark.parametrize("path", ["/sign-in", "/", "/orders", "/work/approvals", "/nothing"])
async def test_no_page_has_inline_code_or_another_origin(
    signed_in: httpx.AsyncClient, path: str
) -> None:
    text = (await signed_in.get(path)).text

    assert "<style" not in text
    assert " style=" not in text
    assert " onclick=" not in text
    assert "<script>" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("origin", "has_token"),
    [("https://evil.example", True), (None, True), (PUBLIC_URL, False), ("null", True)],
    ids=["another site", "no origin", "no token", "a sandboxed frame"],
)
async def test_a_form_of_another_site_changes_nothing(
    signed_in: httpx.AsyncClient, origin: str | None, *, has_token: bool
) -> None:
    token = get_csrf_token(await signed_in.get("/orders"))
    form = {"reason": "forged"} | ({"csrf_token": token} if has_token else {})

    refused = await signed_in.post(_CANCEL, data=form, headers={"Origin": origin} if origin else {})

    assert refused.status_code == 403
    assert "not of this session" in refused.text


async def test_a_foreign_name_of_the_console_is_no_origin_of_it(
    signed_in: httpx.AsyncClient,
) -> None:
    token = get_csrf_token(await signed_in.get("/orders"))

    refused = await signed_in.post(
        _CANCEL,
        data={"csrf_token": token},
        headers={"Origin": PUBLIC_URL, "Host": "rebound.example"},
    )

    assert refused.status_code == 403


async def test_the_token_of_another_session_is_refused(
    signed_in: httpx.AsyncClient, make_key: MakeKey
) -> None:
    old = get_csrf_token(await signed_in.get("/orders"))
    await submit(signed_in, "/sign-in", {"api_key": await make_key(Role.ADMIN)})

    refused = await signed_in.post(
        _CANCEL, data={"csrf_token": old}, headers={"Origin": PUBLIC_URL}
    )

    assert refused.status_code == 403


async def test_a_changed_cookie_is_no_session(signed_in: httpx.AsyncClient) -> None:
    value = signed_in.cookies["fuze_session"]
    signed_in.cookies.clear()
    signed_in.cookies.set("fuze_session", value[:-4] + "AAAA")

    assert (await signed_in.get("/orders")).url.path == "/sign-in"


async def test_texts_of_a_form_are_escaped(signed_in: httpx.AsyncClient) -> None:
    page = await signed_in.get("/orders", params={"q": "<script>alert(1)</script>"})

    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text
