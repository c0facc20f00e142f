"""What the tutorials say is done, word for word, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import httpx
import pytest
from tutorial_page import TutorialError, Workplace, matches, run_page

from fuze_devstack.ports import Ports
from fuze_testing import unmeasured_environment

_ROOT = Path(__file__).parents[1]
_PAGES = _ROOT / "docs/tutorials"
_PACKAGES = Path(sysconfig.get_path("purelib"))
_SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    """A copy of this repository, as it is now, with an environment like that of `make setup`."""
    copy = tmp_path / "fuze"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=_ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (_ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_ROOT / name, copy / name)
    for bytecode in _ROOT.glob("*/*/src/**/__pycache__"):  # else each process compiles for itself
        shutil.copytree(bytecode, copy / bytecode.relative_to(_ROOT), dirs_exist_ok=True)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)  # noqa: S607 - as it is on the PATH
    _create_environment(copy)
    standard, free = Ports(), Ports.free()
    changes = {f"127.0.0.1:{port}": f"127.0.0.1:{free[name]}" for name, port in standard.items()}
    ports = " ".join(f"--{name}-port {port}" for name, port in free.items())
    changes["fuze up"] = f"fuze up --ports auto {ports}"

    def translate(text: str) -> str:
        return reduce(lambda so_far, change: so_far.replace(*change), changes.items(), text)

    inherited = {
        name: value
        for name, value in unmeasured_environment().items()
        if not name.startswith(("FUZE_", "TEMPORAL_", "PYTEST_", "MAKE", "MFLAGS"))
    }
    environment = inherited | {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "TZ": "UTC",
        "FUZE_URL": f"http://127.0.0.1:{free.gateway}",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free.temporal}",
    }
    # A package that the page adds is on the path already: make installs nothing.
    yield Workplace(copy, environment, translate, prelude="touch .venv/.runs .venv/.ready")
    if (copy / ".fuze/stack.json").exists():  # the page leaves it, or has failed
        stop = [copy / ".venv/bin/fuze", "down"]
        subprocess.run(stop, cwd=copy, env=environment, check=False)


def _create_environment(copy: Path) -> None:
    """Give the copy a `.venv` with the packages of this one, its own ones from the copy."""
    folder = copy / ".venv"
    venv.create(folder, symlinks=True)
    for script in _SCRIPTS.iterdir():
        target = folder / "bin" / script.name
        if target.exists() or script.name.startswith("activate"):
            continue
        content = script.read_bytes()
        if content.startswith(b"#!"):
            target.write_bytes(content.replace(bytes(_SCRIPTS), bytes(folder / "bin")))
            target.chmod(0o755)
        else:
            target.symlink_to(script)
    [packages] = folder.glob("lib/python*/site-packages")
    own = [*sorted(copy.glob("*/*/src")), copy / "services/inventory/src"]
    (packages / "copy.pth").write_text("\n".join(map(str, (*own, _PACKAGES))))
    # Installed before it is there: a page adds this service.
    (packages / "fuze_inventory.dist-info").mkdir()
    metadata = "Metadata-Version: 2.4\nName: fuze-inventory\nVersion: 0.1.0\n"
    (packages / "fuze_inventory.dist-info/METADATA").write_text(metadata)
    (folder / ".runs").write_text(f"{copy}\n")
    (folder / "bin/uv").unlink()  # nor does it lock, which needs an index
    (folder / "bin/uv").symlink_to("/usr/bin/true")


def test_the_first_order(workplace: Workplace) -> None:
    run_page(_PAGES / "first-order.md", workplace)


@pytest.mark.proof
def test_the_first_change(workplace: Workplace) -> None:
    run_page(_PAGES / "first-change.md", workplace)

    order = "/orders/55555555-5555-4555-8555-555555555555"
    console = workplace.translate("http://127.0.0.1:8070")
    with httpx.Client(base_url=console, trust_env=False, follow_redirects=True) as browser:
        found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/sign-in").text)
        assert found
        form = {"actor": "grace", "csrf_token": found[1], "next": order}
        page = browser.post("/sign-in", data=form, headers={"Origin": console})
    assert "<p>Happy birthday!</p>" in page.text


@pytest.mark.proof
def test_the_first_service(workplace: Workplace) -> None:
    run_page(_PAGES / "first-service.md", workplace)


def _run(folder: Path, text: str) -> None:
    (folder / ".git").mkdir(exist_ok=True)
    page = folder / "page.md"
    page.write_text(text)
    run_page(page, Workplace(folder, {"PATH": os.environ["PATH"]}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\nx = 1\n```", r"page.md:1: give it a way to run"),
        ("A text.\n\n    echo indented\n", r"page.md:3: give it a way to run"),
        ("```bash\nfalse\n```", r"page.md:1: exit code 1"),
        ("<!-- fails -->\n```bash\ntrue\n```", r"page.md:2: exit code 0"),
        ("<!-- not run: -->\n```bash\nfalse\n```", r"page.md:2: exit code 1"),
        ("```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n```", r"page.md:1: error: x"),
        ('```bash\necho a b\n```\n\n```text title="Output"\na c\n```', r"page.md:5: expected"),
    ],
)
def test_a_block_that_does_not_do_what_the_page_says_is_found(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(TutorialError, match=problem):
        _run(tmp_path, text)


def test_a_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    _run(
        tmp_path,
        "<!-- not run: it would fail -->\n```bash\nfalse\n```\n\n"
        '```text title="a/file"\nfirst\n```\n\n'
        "```diff\n--- a/a/file\n+++ b/a/file\n@@ -1 +1,2 @@\n first\n+second\n```\n\n"
        "```bash\nexport FILE=a/file\n```\n\n"
        '```bash\ncat $FILE\n```\n\n```text title="Output"\nfirst\nsecond\n```\n',
    )


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("placed ... at ...", "placed 1 at 2"),
        ("by grace  ...", "by grace"),
        ("...\nfirst\n...\nlast\n...", "first\n2\n3\nlast"),
        ("2026-01-05 10:00:00  ready in 1.2 s", "2027-12-31 23:59:59 ready in 10.25 s"),
        ("a  | b", "a |  b   \n"),
    ],
)
def test_what_varies_in_an_output_is_the_same(expected: str, printed: str) -> None:
    assert matches(expected, printed)
