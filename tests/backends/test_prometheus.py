"""Prometheus scrapes the metrics, takes the alert rules, and answers the dashboard's queries."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from tests.backends.programs import APPLICATION, eventually, free_port, get, recipe, running

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
FOLDER = resources.files("unbroken._telemetry")
RULES = str(FOLDER / "alerts.yml")
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))

if PROMETHEUS is None or PROMTOOL is None:
    pytest.skip("prometheus is not installed", allow_module_level=True)
pytest.importorskip("opentelemetry.exporter.prometheus")

CONFIGURATION = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: application
    static_configs: [targets: ["127.0.0.1:%d"]]
"""


def program(port: int) -> str:
    served = recipe("Prometheus")
    return f"{served}\nserve_metrics({port})\nwhile True:\n" + "".join(
        f"    {line}\n" for line in APPLICATION.replace("INSTRUMENT", "").splitlines()
    )


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    scraped, port = free_port(), free_port()
    (folder / "prometheus.yml").write_text(CONFIGURATION % (RULES, scraped))
    with (
        running(sys.executable, "-c", program(scraped), log=folder / "application.log"),
        running(
            str(PROMETHEUS),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            log=folder / "prometheus.log",
        ),
    ):
        url = f"http://127.0.0.1:{port}"
        ready = eventually(lambda: values(url, "min_over_time(unbroken_calls_total[5s]) > 3"))
        assert ready, (folder / "application.log").read_text()
        yield url


def values(url: str, query: str) -> list[Any]:
    answer = json.loads(get(f"{url}/api/v1/query?{urlencode({'query': query})}"))
    assert answer["status"] == "success"
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: str(panel["title"]))
def test_every_panel_has_an_answer(prometheus, panel):
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "10s").replace("$__range", "10s")
        if panel["title"] == "Calls given up":
            continue  # all were saved
        assert values(prometheus, query.replace("$model", ".*"))


@pytest.mark.timeout(300)
def test_the_rules_are_loaded(prometheus):
    loaded = json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in loaded for rule in group["rules"]]
    assert len(rules) == 8
    assert eventually(lambda: all_evaluated(prometheus))


def all_evaluated(url: str) -> bool:
    groups = json.loads(get(f"{url}/api/v1/rules"))["data"]["groups"]
    return all(rule["health"] == "ok" for group in groups for rule in group["rules"])


def test_promtool_has_no_complaint():
    checked = subprocess.run(
        [str(PROMTOOL), "check", "rules", "--lint-fatal", RULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr + checked.stdout
