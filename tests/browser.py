"""Chromium without a screen, as it is installed on this machine: nothing is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

__all__ = ["chromium"]

_FLAGS = (
    "--no-sandbox",  # a test may run as root
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(size: tuple[int, int] = (1400, 900)) -> Iterator[Page]:
    """A page of so many pixels (width, height)."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        try:
            yield browser.new_page(viewport={"width": size[0], "height": size[1]})
        finally:
            browser.close()
