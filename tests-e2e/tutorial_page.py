"""Runs a tutorial: the blocks of a Markdown page, in their order, in a copy of the repository.

The first line of a fenced block says what is done with it:

- `bash` is run. `text title="Output"` after it is what it prints; `...` is any text.
- `diff` is applied with `git apply`.
- `title="a/path"`, in any other language, is written to that file.

A comment before a block changes that: `<!-- not run: a reason -->`, or `<!-- fails -->`.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

_TIMEOUT_SECONDS = 240
_TITLE = re.compile(r'title="([^"]+)"')
_REASON = re.compile(r"<!-- not run: .+ -->")
# What differs each time: times, durations, ids, parcels, spaces of a table.
_VARYING = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?"
    r"|\b\d+\.\d+ ?s\b|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bFZ[0-9A-Z]{12}\b|[ \t]+"
)
# Each block has a shell of its own; what one exports, the next one has.
_SHELL = """
set -euo pipefail
if [ -f "$PAGE_STATE" ]; then . "$PAGE_STATE"; fi
trap 'declare -px > "$PAGE_STATE"' EXIT
"""


class TutorialError(AssertionError):
    """A block does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block, and the comment right before it."""

    place: str
    language: str
    title: str
    text: str
    comment: str

    @property
    def is_output(self) -> bool:
        return self.title == "Output"


@dataclass(frozen=True)
class Workplace:
    """The copy of the repository, and what is different there.

    `translate` maps text of the page. `prelude` is run before each block of commands.
    """

    folder: Path
    environment: Mapping[str, str]
    translate: Callable[[str], str] = str
    prelude: str = ""

    def run(self, block: Block) -> str:
        """Run a block's commands, and return what they print."""
        done = subprocess.run(
            ["bash", "-c", f"{_SHELL}{self.prelude}\n{self.translate(block.text)}"],  # noqa: S607 - as it is on the PATH
            cwd=self.folder,
            env={**self.environment, "PAGE_STATE": str(self.folder / ".git/page-state")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        print(f"{block.place}\n{done.stdout}")  # what an author copies; pytest shows it on failure
        if (done.returncode != 0) != (block.comment == "<!-- fails -->"):
            raise TutorialError(f"{block.place}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def apply(self, block: Block) -> None:
        """Apply a block that is a diff."""
        command = ["git", "apply", "--whitespace=error", "-"]
        done = subprocess.run(
            command, cwd=self.folder, input=block.text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise TutorialError(f"{block.place}: {done.stderr}")

    def write(self, block: Block) -> None:
        """Write a block to the file that it names."""
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    comment = ""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in {"fence", "code_block"}:
            title = _TITLE.search(token.info)
            yield Block(
                place=f"{page.name}:{(token.map or [0])[0] + 1}",
                language=token.info.partition(" ")[0],
                title=title[1] if title else "",
                text=token.content,
                comment=comment,
            )
        comment = token.content.strip() if token.type == "html_block" else ""


def run_page(page: Path, workplace: Workplace) -> None:
    """Do what the page says.

    Raises:
        TutorialError: a block fails, prints something else, or cannot be run and has no reason.

    """
    printed: str | None = None
    is_left_out = False
    for block in read_blocks(page):
        if block.is_output and (printed is not None or is_left_out):
            if not is_left_out and not matches(workplace.translate(block.text), printed or ""):
                raise TutorialError(f"{block.place}: expected\n{block.text}\nbut got\n{printed}")
            printed = None
            continue
        printed, is_left_out = None, bool(_REASON.fullmatch(block.comment))
        if is_left_out:
            continue
        if block.language == "bash":
            printed = workplace.run(block)
        elif block.language == "diff":
            workplace.apply(block)
        elif block.title and not block.is_output:
            workplace.write(block)
        else:
            raise TutorialError(f"{block.place}: give it a way to run, or the reason why not")


def matches(expected: str, printed: str) -> bool:
    """Whether the output is the expected one; `...` is any text, alone on a line any lines."""
    pattern = "".join(
        r"(.*\n)*"
        if line == "..."
        else ".*".join(re.escape(part.strip()) for part in line.split("...")) + r"\n"
        for line in _normalize(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _normalize(printed))) is not None


def _normalize(text: str) -> list[str]:
    replaced = _VARYING.sub(lambda found: " " if found[0].isspace() else "#", text)
    return [line.strip() for line in replaced.strip().splitlines()]
