"""Looks at the built site in Chromium: overflow, console errors, search.

    .venv/bin/mkdocs build --strict -f .mkdocs.yml && .venv/bin/python .ci/site.py

Needs Chromium and ChromeDriver (Debian: chromium, chromium-driver) and the extra docs.
At 1,400 pixels no block of code and no table may be cut off. At 390 pixels, a
telephone, they may scroll by themselves, but the page must not.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import pathlib
import shutil
import sys
import threading
from collections.abc import Iterator

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SITE = pathlib.Path(__file__).resolve().parent.parent / "site"
WIDTHS = (1400, 390)
QUERIES = ("from_directory", "text", "accuracy")
# What is wider than its place: the page, and at the first width also what scrolls.
CUT_OFF = """
const cut = [];
const root = document.documentElement;
if (root.scrollWidth > window.innerWidth) cut.push(`the page: ${root.scrollWidth}px`);
if (arguments[0]) {
  for (const one of document.querySelectorAll("pre code, .md-typeset__scrollwrap")) {
    if (one.scrollWidth > one.clientWidth + 1)
      cut.push(`${one.tagName.toLowerCase()} "${one.innerText.slice(0, 60)}"`);
  }
}
return cut;
"""


def main() -> int:
    """Prints what is wrong; returns how the process ends."""
    if not (SITE / "index.html").exists():
        sys.exit("there is no site/: run mkdocs build --strict -f .mkdocs.yml")
    pages = sorted(p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html"))
    pages = [page for page in pages if page != "404.html"]
    with served() as address, browser() as driver:
        wrong = [
            problem
            for width in WIDTHS
            for page in pages
            for problem in problems(driver, f"{address}/{page}", page, width)
        ]
        wrong += [problem for query in QUERIES for problem in search(driver, query)]
    print("\n".join(wrong))
    print(f"{len(pages)} pages at {WIDTHS} pixels, {len(QUERIES)} searches: ", end="")
    print(f"{len(wrong)} problems")
    return int(bool(wrong))


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The site on this machine's own address: search does not work from the disk."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "no-first-run",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()


def problems(
    driver: webdriver.Chrome, address: str, page: str, width: int
) -> Iterator[str]:
    """What is cut off on a page, and what its console says."""
    # A window of the browser cannot be narrower than 500 pixels; a device can.
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.get(address)
    wait = WebDriverWait(driver, 20)
    wait.until(lambda d: d.execute_script("return document.readyState") == "complete")
    for cut in driver.execute_script(CUT_OFF, width == WIDTHS[0]):
        yield f"{page} at {width} pixels cuts off {cut}"
    for entry in driver.get_log("browser"):
        if entry["level"] == "SEVERE":
            yield f"{page}: {entry['message']}"


def search(driver: webdriver.Chrome, query: str) -> Iterator[str]:
    """Types a query into the search box of the last page; says if nothing is found."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.set_window_size(1400, 900)
    driver.refresh()  # without the results of another query
    box = driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
    driver.execute_script("arguments[0].focus()", box)
    box.send_keys(query)
    try:
        WebDriverWait(driver, 20).until(
            lambda d: d.find_elements(By.CSS_SELECTOR, ".md-search-result__item")
        )
    except TimeoutException:
        yield f"search finds nothing for {query!r}"


if __name__ == "__main__":
    sys.exit(main())
