"""The demo page in a real Chromium: `nox -s browser` runs this where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gateway.processes import free_port

from unbroken._cli.demo import ANSWER

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
SCREENSHOT = os.environ.get("SCREENSHOT")

playwright = pytest.importorskip("playwright.sync_api", reason="run by `nox -s browser`")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def demo():
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "unbroken", "serve", "--demo", "--port", url[17:]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/healthz")
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.1)
            else:
                break
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, demo):
    context = chromium.new_context(viewport={"width": 900, "height": 640})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(demo)
    yield page
    context.close()


def wait_for_text(page, chars) -> Any:
    page.wait_for_function(
        "n => document.querySelector('.answered')?.textContent.length >= n", arg=chars, polling=50
    )


def wait_for_end(page, status) -> Any:
    page.wait_for_selector(f".answered[data-status={status}]", timeout=60_000)
    return page.eval_on_selector(".answered", "one => one.textContent")


def test_text_comes_as_it_is_written(page):
    page.click("#send")
    page.wait_for_selector(".answered.thinking")
    wait_for_text(page, 1)
    early = len(page.inner_text(".answered"))
    assert early < len(ANSWER) / 2
    wait_for_text(page, early + 100)
    assert wait_for_end(page, "complete") == ANSWER


def test_cuts_a_reload_and_a_killed_worker(page):
    page.click("#send")
    for chars in (100, 300):
        wait_for_text(page, chars)
        page.click("#cut")
    wait_for_text(page, 500)
    page.reload()
    wait_for_text(page, 700)
    page.click("#kill")
    page.wait_for_selector("#status:has-text('reconn')")
    wait_for_text(page, 1200)
    if SCREENSHOT:
        Path(SCREENSHOT).write_bytes(page.screenshot())
    assert wait_for_end(page, "complete") == ANSWER


def test_stop_stops(page, demo):
    page.click("#send")
    wait_for_text(page, 100)
    stream = page.evaluate("JSON.parse(sessionStorage.getItem('unbroken.demo')).state.id")
    page.click("#stop")
    text = wait_for_end(page, "stopped")
    assert ANSWER.startswith(text)
    page.wait_for_timeout(500)
    told = httpx.get(f"{demo}/v1/streams/{stream}/message").json()
    assert told["status"] == "stopped"
    assert len(told["content"][0]["text"]) < len(ANSWER)


def test_the_keyboard_is_enough(page):
    page.wait_for_selector("#question:focus")
    page.keyboard.press("Enter")
    wait_for_text(page, 50)
    page.keyboard.press("Tab")
    names = []
    for _ in range(6):
        names.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert {"stop", "cut", "kill"} <= set(names)
    page.keyboard.press("Escape")
    wait_for_end(page, "stopped")
    page.wait_for_selector("#question:focus")


def test_it_scrolls_along_unless_the_reader_scrolled_up(page):
    page.set_viewport_size({"width": 500, "height": 400})
    page.click("#send")
    far = "one => one.scrollHeight - one.scrollTop - one.clientHeight"
    wait_for_text(page, 900)
    assert page.eval_on_selector("#talk", far) < 40
    page.eval_on_selector("#talk", "one => { one.scrollTop = 0 }")
    wait_for_text(page, 1300)
    assert page.eval_on_selector("#talk", "one => one.scrollTop") == 0
    page.keyboard.press("Escape")
