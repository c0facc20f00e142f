"""Hooks of MkDocs: pages that are kept outside docs/, and links that lead out of it.

A link is written for those who read the file in the repository. Here one to a file that is a page
leads to that page, one to another file becomes its text, with the file's path as a tooltip, and
`ADR 4` leads to that decision.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[1]
_OUTSIDE = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""The page of each file at the top of the repository."""
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
_DECISION = re.compile(r"(?<![\[\w])ADR (?P<number>\d+)\b")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are kept outside docs/."""
    for path, uri in _OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(_ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: MkDocsConfig) -> str:
    """Rewrite the links."""
    uri = page.file.src_uri
    sources = {target: path for path, target in _OUTSIDE.items()}
    folder = dirname(sources.get(uri, join("docs", uri)))

    def link_to(target: str, text: str, anchor: str = "") -> str:
        return f"[{text}]({relpath(target, dirname(uri) or '.')}{anchor})"

    def rewrite(link: re.Match[str]) -> str:
        path = normpath(join(folder, link["path"]))
        target = _OUTSIDE.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(target):
            return link_to(target, link["text"], link["anchor"] or "")
        if path.startswith("docs/") or not (_ROOT / path).exists():
            return link[0]  # MkDocs reports it
        return f'<span title="{path}">{link["text"]}</span>'

    def find_decision(mention: re.Match[str]) -> str:
        prefix = f"explanation/adr/{int(mention['number']):04}-"
        found = [
            one.src_uri for one in files.documentation_pages() if one.src_uri.startswith(prefix)
        ]
        return link_to(found[0], mention[0]) if found else mention[0]

    return _DECISION.sub(find_decision, _LINK.sub(rewrite, markdown))
