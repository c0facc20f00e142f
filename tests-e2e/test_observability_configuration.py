"""The alerts and dashboards of deploy/observability: `make observability-check`."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from stack_client import eventually

from fuze_devstack.ports import Ports

_ROOT = Path(__file__).parents[1]
_FOLDER = _ROOT / "deploy/observability"
_RULES = (_FOLDER / "rules.yml").read_text()
_METRIC = re.compile(r"\b(?:fuze|temporal)_\w+")
_EXPRESSIONS = {
    target["expr"]: f"{dashboard['title']}: {panel['title']}"
    for path in sorted((_FOLDER / "grafana/dashboards").glob("*.json"))
    for dashboard in [json.loads(path.read_text())]
    for panel in dashboard["panels"]
    for target in panel["targets"]
}

_PROMETHEUS, _PROMTOOL = shutil.which("prometheus") or "", shutil.which("promtool") or ""

needs_prometheus = pytest.mark.skipif(
    not (_PROMETHEUS and _PROMTOOL), reason="needs prometheus and promtool"
)


def test_alerts_and_dashboards_use_documented_metrics_alone() -> None:
    documented = set(_METRIC.findall((_ROOT / "docs/reference/metrics.md").read_text()))

    used = {
        re.sub("_(bucket|sum|count)$", "", name)
        for text in (_RULES, *_EXPRESSIONS)
        for name in _METRIC.findall(text)
    }

    assert used - documented == set()


def test_each_alert_is_in_the_runbook_and_is_tested() -> None:
    alerts = re.findall(r"- alert: (\w+)", _RULES)

    runbook = re.findall(
        r"^\| `([A-Z]\w+)` \|", (_ROOT / "docs/how-to/runbook.md").read_text(), re.MULTILINE
    )
    tested = set(re.findall(r"alertname: (\w+)\n", (_FOLDER / "rules_test.yml").read_text()))

    assert runbook == alerts
    assert tested == set(alerts)


@needs_prometheus
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_accepts(arguments: list[str]) -> None:
    done = subprocess.run(
        [_PROMTOOL, *arguments], cwd=_FOLDER, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus with the configuration of the folder, whose targets are down."""
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{Ports.free().gateway}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(_PROMETHEUS, f"--config.file={_FOLDER / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    with httpx.Client(base_url=f"http://{address}", trust_env=False) as http:
        try:
            eventually(lambda: _is_ready(http), "Prometheus is ready")
            yield http
        finally:
            server.terminate()
            server.wait()


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


@needs_prometheus
def test_every_query_of_the_dashboards_runs(prometheus: httpx.Client) -> None:
    assert _EXPRESSIONS
    for expression, panel in _EXPRESSIONS.items():
        answer = prometheus.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (panel, answer)


@needs_prometheus
def test_every_alert_is_evaluated(prometheus: httpx.Client) -> None:
    def evaluated() -> list[dict[str, str]]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        rules: list[dict[str, str]] = [rule for group in groups for rule in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in rules) else rules

    rules = eventually(evaluated, "the rules are evaluated")

    assert [rule for rule in rules if rule["health"] != "ok"] == []
