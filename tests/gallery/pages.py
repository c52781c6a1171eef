"""Every page of the administrator's site after a morning's work: light, dark, wide, narrow."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from tests.gallery.drawn import Picture
from tests.web_browser import SIZES, person
from tests.web_scene import PAGES, morning

__all__ = ["of_pages"]

_SCHEMES = ("light", "dark")
_SETTLES_MS = 700  #: pictures and live parts come after the page


def of_pages(folder: Path) -> tuple[list[Picture], list[str]]:
    """A picture of each page, with its other looks beside it; lines about what is missing."""
    if not shutil.which("chromium"):
        return [], ["No pictures of the administrator's page: Chromium is missing."]
    with TemporaryDirectory() as name, morning(Path(name)) as there, person(there) as page:
        return [_shown(page, there.address, title, folder) for title in PAGES], []


def _shown(page: Page, address: str, title: str, folder: Path) -> Picture:
    print(f"page: {title}", flush=True)
    page.goto(address + PAGES[title])
    page.wait_for_timeout(_SETTLES_MS)
    stem = "page-" + "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    looks = {}
    for scheme in _SCHEMES:
        for size, (width, height) in SIZES.items():
            page.emulate_media(
                color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
            )
            page.set_viewport_size({"width": width, "height": height})
            looks[f"{size}, {scheme}"] = f"{stem}-{size}-{scheme}.png"
            page.wait_for_timeout(100)
            page.screenshot(path=folder / looks[f"{size}, {scheme}"], full_page=True)
    return Picture(title=title, file=looks.pop("wide, light"), also=looks)
