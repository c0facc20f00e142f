"""The templates, and what every page has."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from fuze_client import Problem
from fuze_console import formatting
from fuze_console.sessions import Session
from fuze_runtime.build_info import get_build_info


@dataclass(frozen=True)
class Destination:
    """An entry of the navigation. `key` is pressed after `g`."""

    title: str
    url: str
    icon: str
    key: str
    scope: str = "orders:read"


NAVIGATION = {
    "": (
        Destination("Overview", "/", "chart", "o"),
        Destination("Orders", "/orders", "list", "s"),
    ),
    "Work": (
        Destination("Approvals", "/work/approvals", "check", "a"),
        Destination("Needs attention", "/work/attention", "alert", "n"),
        Destination("Returns", "/work/returns", "return", "r", "orders:operate"),
        Destination("Discrepancies", "/work/discrepancies", "scale", "d", "orders:operate"),
        Destination("Webhooks", "/work/webhooks", "send", "w", "webhooks:operate"),
    ),
}
"""Every page that the navigation leads to, by its heading."""


class Renderer:
    """Renders templates as responses."""

    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("fuze_console"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            {
                "short": lambda order_id: str(order_id)[:8],
                "label": formatting.format_label,
                "tone": formatting.get_tone,
                "time": formatting.format_time,
                "relative": formatting.format_relative,
                "duration": formatting.format_duration,
            }
        )
        environment.globals.update(
            {
                "amount": formatting.format_amount,
                "number": formatting.format_number,
                "navigation": NAVIGATION,
                "quote": lambda text: quote(text, safe=""),
                "version": get_build_info()["version"],
            }
        )
        self._environment = environment

    def render(
        self,
        request: Request,
        template: str,
        *,
        session: Session,
        status_code: int = HTTPStatus.OK,
        **context: Any,  # noqa: ANN401 - what the template needs
    ) -> HTMLResponse:
        """Return a template as a response. htmx swaps a fragment of it into the page."""
        text = self._environment.get_template(template).render(
            session=session,
            path=request.url.path,
            is_fragment=is_fragment(request),
            **context,
        )
        return HTMLResponse(text, status_code=status_code)

    def render_problem(self, request: Request, session: Session, problem: Problem) -> HTMLResponse:
        """Return what the gateway answered, with its status."""
        return self.render(
            request, "problem.html", session=session, status_code=problem.status, problem=problem
        )


def is_fragment(request: Request) -> bool:
    """Return whether htmx requested a part of a page."""
    return "hx-request" in request.headers
