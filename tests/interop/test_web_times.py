"""Every time that a person reads is one of the browser's zone, and the page names it."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.pacs import free_port
from tests.tools import require
from tests.web_browser import person, served


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Adelaide"])
def test_plots_and_days_are_in_the_zone_that_the_page_names(tmp_path: Path, zone: str) -> None:
    require("chromium")
    with served(tmp_path, free_port()) as there, person(there) as page:
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setTimezoneOverride", {"timezoneId": zone})
        page.goto(there.address)
        expect(page.locator("footer")).to_contain_text(f"Times are those of {zone}.")
        expect(page.locator("svg [data-clock]")).not_to_have_count(0)
        for mark in page.locator("svg [data-clock]").all():
            at = datetime.fromisoformat(str(mark.get_attribute("data-clock")))
            shown = " ".join(str(mark.text_content()).split())
            assert shown == at.astimezone(ZoneInfo(zone)).strftime("%I:%M %p").lstrip("0")
        page.get_by_role("link", name="Audit").click()
        page.get_by_label("From").fill("2026-02-24")
        page.get_by_role("button", name="Search").click()
        assert f"zone={zone.replace('/', '%2F')}" in page.url
        expect(page.get_by_label("From")).to_have_value("2026-02-24")
