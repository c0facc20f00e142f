"""Write the sync client from the async one: `make client`. `--check` fails when it differs."""

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync
from generated import ROOT, write_or_check

_PACKAGE = ROOT / "libs/client/src/fuze_client"
_CLASSES = (
    *("FuzeClient", "Client", "Transport"),
    *("Orders", "Events", "Payments", "Returns", "Webhooks"),
)
_NAMES = {
    **{f"Async{name}": name for name in _CLASSES},
    "_async": "_sync",
    "aclose": "close",
    "aiter_sse": "iter_sse",
    "aread": "read",
    "asyncio": "time",
}


def main() -> None:
    """Write the files, or check them."""
    write_or_check(__doc__, generate, source="fuze_client/_async", target="client")


def generate() -> dict[Path, str]:
    """Return the text of every file of the sync client."""
    sources = sorted(_PACKAGE.glob("_async/*.py"))
    with tempfile.TemporaryDirectory() as folder:
        rule = unasync.Rule(f"{_PACKAGE}/_async", folder, _NAMES)
        unasync.unasync_files([str(path) for path in sources], [rule])
        ours = "lint.isort.known-first-party = ['fuze_client']"  # modules that are new, too
        sort = ["check", "--fix", "--select", "I", "--quiet", "--config", ours]
        for command in (sort, ["format", "--quiet"]):
            subprocess.run(
                [sys.executable, "-m", "ruff", *command, folder, "--config", "pyproject.toml"],
                check=True,
                cwd=ROOT,
            )
        texts = {path.name: (Path(folder) / path.name).read_text() for path in sources}
    texts["__init__.py"] = '"""The sync client, generated from `_async`: `make client`."""\n'
    return {_PACKAGE / "_sync" / name: text for name, text in texts.items()}


if __name__ == "__main__":
    main()
