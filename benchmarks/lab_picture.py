"""Draws docs/pictures/lab.png: the page of `gradline lab` on the flights. Needs Playwright and a Chromium.

python benchmarks/lab_picture.py
"""

import json
import shutil
import threading
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import sync_playwright

from gradline.lab.server import LabServer
from gradline.lab.table import LabTable

PICTURE = Path(__file__).parents[1] / "docs/pictures/lab.png"
STATE = {"runs": [{"rate": 1.9}], "step": 14}
SIZE = {"width": 1280, "height": 800}


def main() -> None:
    """Open the page with a state, and keep what is to be seen."""
    server = LabServer(LabTable.open(None))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(server.url + "#s=" + quote(json.dumps(STATE)))
        page.wait_for_selector("body[data-ready=yes]")
        page.wait_for_timeout(2_000)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
