"""A newcomer's way through the real app in a real browser: demo, verdict, Compare, Search, Space, a download."""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.vectors.worlds import better_new

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A real server over an empty runs folder, as after a first ``make app``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    environment = os.environ | {"COMPATBENCH_RUNS": str(folder / "runs")}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{_up(port, server)}"
        finally:
            server.terminate()
            server.wait(10)
    text = (folder / "server.log").read_text()
    assert "Traceback" not in text, text


def _up(port: int, server: subprocess.Popen) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
            return port
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the server did not start")


def no_exception(page):
    assert page.locator('[data-testid="stException"]').count() == 0


def digit() -> bytes:
    """A real digit of the bundled set, enlarged, as a photograph of one would be."""
    from sklearn.datasets import load_digits

    pixels = (load_digits().images[3] * 15.9).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((160, 160), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def test_journey(page, address):
    page.goto(address)
    page.get_by_role("heading", name="CompatBench").wait_for()
    page.get_by_role("button", name="Run the demo").click()
    page.get_by_role("button", name="Cancel").wait_for()

    page.reload()  # the run goes on, and the page finds it again
    page.get_by_text("The verdict").wait_for(timeout=240_000)
    page.get_by_text("Naive swap").first.wait_for()
    no_exception(page)

    page.get_by_role("link", name="See curves, costs and classes in Compare").click()
    page.get_by_role("heading", name="Verdicts").wait_for()
    page.get_by_role("heading", name="Cost against gain").wait_for()
    with page.expect_download() as download:
        page.locator('[data-testid="stDownloadButton"] button', has_text="CSV").first.click()
    text = Path(download.value.path()).read_text()
    assert "fct" in text and "old/old" in text
    no_exception(page)

    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_role("heading", name="Search", exact=True).wait_for()
    page.get_by_text("old query, old gallery").first.wait_for()
    page.locator('input[type="file"]').set_input_files(
        {"name": "three.png", "mimeType": "image/png", "buffer": digit()}
    )
    page.get_by_text("as the models see it").wait_for()
    page.get_by_text("old query, old gallery").first.wait_for()
    page.locator('input[type="file"]').set_input_files(
        {"name": "broken.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.get_by_text("cannot be read").wait_for()
    no_exception(page)

    page.get_by_role("link", name="Space", exact=True).click()
    page.get_by_role("button", name="Compute the projection").click()
    page.get_by_text("UMAP keeps neighbourhoods").wait_for(timeout=180_000)
    page.locator(".js-plotly-plot").first.wait_for()
    no_exception(page)

    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("heading", name="Runs").wait_for()
    no_exception(page)


def test_two_files_of_vectors_become_a_decision(page, address, tmp_path):
    given = better_new()
    page.goto(f"{address}/vectors")
    page.get_by_role("button", name="Judge every option").wait_for()
    for place, name in enumerate(("old", "new", "labels")):
        path = tmp_path / f"{name}.npy"
        np.save(path, getattr(given, name))
        page.locator('input[type="file"]').nth(place).set_input_files(path)
        page.get_by_text(path.name).first.wait_for()
    page.get_by_text("How options are judged").click()
    steps = page.get_by_label(re.compile("^steps", re.IGNORECASE))
    steps.fill("100")  # a quick look is enough here
    steps.press("Enter")
    page.get_by_role("button", name="Judge every option").click()
    page.get_by_text("It goes on when you leave this page").wait_for()
    page.reload()  # the decision goes on, and the page finds it again
    page.get_by_text("Recommended:").first.wait_for(timeout=240_000)
    page.get_by_role("heading", name="Who gets worse").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="decision.html").click()
    assert "Every option" in Path(download.value.path()).read_text()
    no_exception(page)


@pytest.mark.parametrize(
    "name", ["launch", "runs", "compare", "space", "search", "backfill", "vectors", "claims", "methods"]
)
def test_every_page_opens_at_its_own_address(name, page, address):
    page.goto(f"{address}/{name}")
    page.get_by_role("heading", level=1).first.wait_for()
    page.get_by_role("link", name="Start", exact=True).wait_for()
    no_exception(page)
