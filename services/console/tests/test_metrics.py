"""The metrics of the console."""

import socket

import httpx
from console_harness import ServeConsole


async def test_pages_are_counted_by_route_template_and_status(serve: ServeConsole) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
    async with serve(metrics_address=address) as http, httpx.AsyncClient(trust_env=False) as own:
        await http.get("/sign-in")
        await http.get("/nothing")
        page = (await own.get(f"http://{address}/metrics")).text

    name = "fuze_console_http_request_duration_seconds_count"
    assert f'{name}{{method="GET",route="/sign-in",status="200"}} 1' in page
    assert f'{name}{{method="GET",route="unmatched",status="404"}} 1' in page
