"""A real Chromium at the console of a stack, which notices what a page must not do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from stack_client import StackClient

HOW_TO_INSTALL = "no Chromium: apt-get install chromium (as root), then run the test again"

Browser = Any
"""A browser of Playwright, which may be missing."""

Device = Literal["desktop", "phone"]
_SIZES: dict[Device, dict[str, int]] = {
    "desktop": {"width": 1360, "height": 900},
    "phone": {"width": 390, "height": 844},
}


def find_chromium() -> str:
    """Return the program, or skip the test."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip(HOW_TO_INSTALL)
    return found


@dataclass
class Console:
    """A page of the console, signed in. `complaints` are errors that the browser has written."""

    page: Any
    url: str
    screenshots: Path
    complaints: list[str] = field(default_factory=list)

    def note(self, message: Any) -> None:  # noqa: ANN401 - Playwright may be missing
        """Note what the content security policy has refused."""
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        """Open a page of the console."""
        self.page.goto(f"{self.url}{path}")

    def sign_in(self, name: str = "grace") -> None:
        """Sign in at a gateway without authentication."""
        self.open("/")
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_role("heading", name="Overview").wait_for()

    def act(self, action: str, *, reason: str | None = None, confirm: str | None = None) -> None:
        """Open the dialog of an action, confirm it, and close the dialog with the answer."""
        self.page.get_by_role("main").get_by_role("link", name=action, exact=True).first.click()
        dialog = self.page.get_by_role("dialog")
        if reason:
            dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("button", name=confirm or action, exact=True).click()
        dialog.get_by_text("The gateway accepted it.").wait_for()
        dialog.get_by_role("button", name="Close", exact=True).last.click()
        dialog.wait_for(state="hidden")

    def shoot(self, name: str) -> None:
        """Take a picture of the whole page."""
        self.page.screenshot(path=self.screenshots / f"{name}.png", full_page=True)


@contextmanager
def launch_chromium() -> Iterator[Browser]:
    """Launch a browser, or skip the test where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    # Root's processes have no sandbox of their own in a container.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    program = find_chromium()
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@contextmanager
def open_console(
    browser: Browser,
    stack: StackClient,
    folder: Path,
    *,
    device: Device = "desktop",
    dark: bool = False,
) -> Iterator[Console]:
    """Sign in at the stack's console, in a context of its own.

    `CONSOLE_SCREENSHOTS` names the folder of the pictures, to look at them.
    """
    folder = Path(os.environ.get("CONSOLE_SCREENSHOTS", folder))
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        viewport=_SIZES[device],
        color_scheme="dark" if dark else "light",
        has_touch=device == "phone",
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    console = Console(page, stack.connection_info["console"]["url"], folder)
    page.on("pageerror", lambda error: console.complaints.append(str(error)))
    page.on("console", console.note)
    console.sign_in()
    yield console
    context.close()
    assert not console.complaints
