"""Draw the diagrams and charts of docs/pictures, in a light and a dark scheme: `make diagrams`.

D2 and Vega are in an environment of their own, and deterministic: the same sources give the same
files. Each file ends with the hash of its source. `--check` compares these hashes with the code,
and needs neither of the programs.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from pictures import charts
from pictures.charge_states import draw_charge_states
from pictures.order_states import draw_order_states
from pictures.palette import read_palettes, to_d2_classes

_ROOT = Path(__file__).parents[2]
_PICTURES = _ROOT / "docs/pictures"
_TOOLS = _ROOT / ".venv/pictures/bin"
_D2 = (
    str(_TOOLS / "d2"),
    *("--layout", "elk", "--elk-nodeNodeBetweenLayers", "34", "--elk-edgeNodeBetweenLayers", "22"),
    *("--elk-padding", "[top=44,left=26,bottom=26,right=26]", "--pad", "16", "--omit-version"),
    *("-", "-"),
)
_VEGA = (
    str(_TOOLS / "python"),
    "-c",
    "import sys, vl_convert; print(vl_convert.vegalite_to_svg(sys.stdin.read()))",
)


def _make_sources() -> dict[Path, tuple[tuple[str, ...], str]]:
    """Return the program and the source of each picture."""
    diagrams = {
        "system": (Path(__file__).parent / "system.d2").read_text(),
        "order-states": draw_order_states(),
        "charge-states": draw_charge_states(),
    }
    sources: dict[Path, tuple[tuple[str, ...], str]] = {}
    for scheme, palette in read_palettes(_ROOT).items():
        for name, diagram in diagrams.items():
            source = to_d2_classes(palette) + diagram
            sources[_PICTURES / f"{name}-{scheme}.svg"] = (_D2, source)
        for name, chart in {
            "timeline": charts.draw_timeline(palette),
            "trace": charts.draw_trace(palette),
        }.items():
            sources[_PICTURES / f"{name}-{scheme}.svg"] = (_VEGA, chart)
    return sources


def _sign(program: tuple[str, ...], source: str) -> str:
    digest = hashlib.sha256("\n".join([*program[1:], source]).encode()).hexdigest()
    return f"<!-- {digest} -->\n"


def main() -> None:
    """Draw all pictures, or check that none has to be drawn again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="draw nothing; fail if one is old")
    is_check = parser.parse_args().check
    for path, (program, source) in _make_sources().items():
        signature = _sign(program, source)
        name = path.relative_to(_ROOT)
        if is_check:
            if not path.exists() or not path.read_text().endswith(signature):
                sys.exit(f"{name} is not what the code says: make diagrams")
            continue
        drawn = subprocess.run(program, input=source, capture_output=True, text=True, check=False)
        if drawn.returncode:
            sys.exit(f"{name}: {drawn.stderr}")
        path.write_text(f"{drawn.stdout.rstrip()}\n{signature}")
        sys.stdout.write(f"{name}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
