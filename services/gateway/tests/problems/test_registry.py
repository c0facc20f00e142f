"""The problem registry."""

import httpx


async def test_the_type_of_a_problem_links_to_its_meaning(gateway: httpx.AsyncClient) -> None:
    problem = (await gateway.post("/orders", json={"address": {"zip_code": "1"}})).json()

    found = (await gateway.get(problem["type"])).json()

    assert (found["type"], found["status"]) == (problem["type"], problem["status"])
    assert found["meaning"]
    assert (await gateway.get("/problems/none-of-allowed")).status_code == 404
