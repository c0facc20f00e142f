"""What the scripts that write files from the code have in common: templates, and `--check`."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).parents[1]


def render(template: str, **values: object) -> str:
    """Return a template of the folder `deploy`, filled in; a value that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(ROOT / "deploy"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML
    )
    return environment.get_template(template).render(values)


def write_or_check(
    description: str | None, generate: Callable[[], Mapping[Path, str]], *, source: str, target: str
) -> None:
    """Write the files that differ; with `--check` write none, and fail if one differs.

    `source` is what the files are made from, `target` the target of make that writes them.

    Raises:
        SystemExit: a file differs.

    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="only fail when a file differs")
    is_check = parser.parse_args().check
    files = generate()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if is_check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        raise SystemExit(f"differs from {source}: {names}; run: make {target}")
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
