"""The OHIF viewer on one origin with a PACS, and a browser without a screen that looks at it.

`DICOMNODE_OHIF` names the folder of a built viewer: `dist` in the package @ohif/app of npm.
"""

import http.client
import json
import mimetypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, Route
from pydicom import Dataset

from tests.browser import chromium
from tests.tools import ohif_folder

__all__ = ["Looking", "Seen", "looking"]

_PROXIED = ("/dicom-web", "/wado", "/instances/")
_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "pacs",
    "configuration": {
        "friendlyName": "PACS",
        "name": "pacs",
        "wadoUriRoot": "/wado",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    },
}
_CONFIG = {
    "name": "tests",
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "pacs",
    "dataSources": [_SOURCE],
}


class _Handler(BaseHTTPRequestHandler):
    """A file of the viewer, its settings, or what the PACS answers; else the viewer's page."""

    protocol_version = "HTTP/1.1"
    folder: Path
    archive: str

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        file = (self.folder / path.lstrip("/")).resolve()
        if path.startswith(_PROXIED):
            self._pass_on()
        elif path == "/app-config.js":
            settings = f"window.config = {json.dumps(_CONFIG)};"
            self._answer(200, settings.encode(), "text/javascript")
        elif file.is_relative_to(self.folder) and file.is_file():
            kind = {".js": "text/javascript", ".wasm": "application/wasm"}.get(file.suffix)
            guess = mimetypes.guess_type(file.name)[0]
            self._answer(200, file.read_bytes(), kind or guess or "application/octet-stream")
        else:
            self._answer(200, (self.folder / "index.html").read_bytes(), "text/html")

    def _pass_on(self) -> None:
        there = urlsplit(self.archive)
        connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=60)
        here = self.headers["Host"]
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Host": here}
        connection.request("GET", self.path, headers={**headers, "Forwarded": f"host={here}"})
        answer = connection.getresponse()
        kind = answer.getheader("Content-Type", "application/octet-stream")
        self._answer(answer.status, answer.read(), kind)
        connection.close()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # what a page needs to share memory with its workers
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has
        """Nothing: a test says what it found."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a viewer shows of one series."""

    text: str  #: in the viewport: lines of the overlay, labels, or the report as text
    asked: bool  #: whether it asks to track the report's measurements
    errors: tuple[str, ...]  #: of the page and its console, but for the browser's own remarks
    lit: float  #: share of the viewport that is not black
    png: bytes  #: the whole window


class Looking:
    """A viewer with a browser before it."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url
        self._errors: list[str] = []
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not _OF_THE_BROWSER.search(text):
            self._errors.append(f"{kind}: {text}")

    def at(self, study_uid: str, result: Dataset) -> Seen:
        """Open a study, and in it the series of a result, which is found by number and name."""
        self._errors.clear()
        page = self._page
        page.goto(f"{self._url}/viewer?StudyInstanceUIDs={study_uid}")
        pane = page.locator("[data-cy=viewport-pane]").first
        pane.wait_for(timeout=90_000)
        thumbnails = page.locator("[data-cy^=study-browser-thumbnail]")
        thumbnails.first.wait_for(timeout=90_000)
        _until_lit(page, pane, 30)
        numbered = f"[data-cy^=study-browser-thumbnail][data-series='{result.SeriesNumber}']"
        chosen = page.locator(numbered).filter(has_text=result.SeriesDescription).first
        chosen.scroll_into_view_if_needed()
        chosen.dblclick()
        self._settle()
        lit = _until_lit(page, pane, 4)
        return Seen(
            text=re.sub(r"\s+", " ", pane.inner_text()).strip(),
            asked=page.locator("[data-cy=yes-hydrate-btn]").count() > 0,
            errors=tuple(self._errors),
            lit=lit,
            png=page.screenshot(),
        )

    def _settle(self) -> None:
        """Outlines are sometimes drawn with the next rendering only: ask for one."""
        page = self._page
        page.wait_for_timeout(2000)
        size = page.viewport_size
        assert size
        for less in (24, 0):
            page.set_viewport_size({"width": size["width"], "height": size["height"] - less})
            page.wait_for_timeout(700)
        page.mouse.move(size["width"] - 3, size["height"] - 3)


_OF_THE_PAGE = ("data", "blob", "chrome", "chrome-extension")  # the last two: Chromium's PDF viewer
_OF_THE_BROWSER = re.compile(r"GPU stall|WEBGL_|WebGL|willReadFrequently|dataSource=|Permissions")


def _until_lit(page: Page, pane: Locator, limit_s: int) -> float:
    """The share of the viewport that is not black, waited for."""
    for _ in range(2 * limit_s):
        grey = np.asarray(Image.open(BytesIO(pane.screenshot())).convert("L"))
        height, width = grey.shape
        middle = grey[height // 10 : -height // 10, width // 10 : -width // 10]
        lit = float((middle > 24).mean())
        if lit > 0.02:
            break
        page.wait_for_timeout(500)
    return lit


@contextmanager
def looking(archive_url: str, size: tuple[int, int] = (1400, 900)) -> Iterator[Looking]:
    """A browser before OHIF on the images of an archive that speaks DICOMweb."""
    folder = ohif_folder()
    assert folder
    handler = type("Handler", (_Handler,), {"folder": folder.resolve(), "archive": archive_url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with chromium(size) as page:
            page.route("**/*", _stay_here)
            yield Looking(page, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _stay_here(route: Route) -> None:
    """Nothing is fetched from elsewhere."""
    there = urlsplit(route.request.url)
    if there.scheme in _OF_THE_PAGE or there.hostname == "127.0.0.1":
        route.continue_()
    else:
        route.abort()
