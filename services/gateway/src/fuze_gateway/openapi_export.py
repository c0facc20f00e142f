"""Export of the OpenAPI document and of the problem registry as files for docs/reference/."""

import json
from pathlib import Path

from pydantic import SecretStr

from fuze_gateway.app import create_app
from fuze_gateway.problems.registry import REGISTRY
from fuze_gateway.settings import GatewaySettings

_PROBLEMS_INTRODUCTION = """\
# Problems

Every error response is `application/problem+json` (RFC 9457). Branch on `type`: a problem type is
never renamed and never changes its status. `detail` is for people and may change. `request_id`
and `trace_id` identify the log lines and the trace.

| type | status | meaning |
| --- | --- | --- |
"""


def build_documents() -> dict[str, str]:
    """Return the content of each document by its file name."""
    # Nothing connects: the documents depend on the code alone.
    settings = GatewaySettings.model_construct(database_url=SecretStr("postgresql://nowhere/"))
    openapi = create_app(settings).openapi()
    return {
        "openapi.json": json.dumps(openapi, indent=2, ensure_ascii=False) + "\n",
        "problems.md": _build_problems_page(),
    }


def write_documents(directory: Path) -> None:
    """Write the documents into a directory."""
    for name, text in build_documents().items():
        (directory / name).write_text(text)


def _build_problems_page() -> str:
    problem_types = sorted(REGISTRY.values(), key=lambda one: (one.status, one.slug))
    rows = [f"| `{one.uri}` | {one.status.value} | {one.meaning} |\n" for one in problem_types]
    return _PROBLEMS_INTRODUCTION + "".join(rows)
