"""Forms of the configuration in a test: what a browser sends of a page, looked at and confirmed."""

import html
import json
import re
from collections.abc import Mapping

from fastapi.testclient import TestClient

from dicomnode.config.load import digest_of, read
from dicomnode.logbook import audit
from dicomnode.web.site import Site

__all__ = ["PACS", "confirm", "form", "hidden", "look", "pacs_file", "save", "trail"]

PACS = """\
# Our archive.
ae_title = "PACS"   # as its vendor says
host = "127.0.0.1"
port = 4242
#may_send = false
timeout_s = 2.0
"""


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"the page has no {name}"
    return html.unescape(found[1])


def form(page: str, **changes: str) -> dict[str, list[str]]:
    """What a browser sends of a page's form, with changes of some values."""
    body = page[page.index("data-typing") :].split("</form>")[0]
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and ('type="checkbox"' not in tag or " checked" in tag):
            sent.setdefault(name[1], []).append(html.unescape(value[1]) if value else "")
    for name, text in re.findall(
        r'<textarea[^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', body, re.S
    ):
        sent.setdefault(name, []).append(html.unescape(text))
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', body, re.S):
        chosen = re.search(r"<option selected[^>]*>([^<]*)", options)
        sent[name] = [chosen[1] if chosen else ""]
    return sent | {f"v.{name.replace('__', '.')}": [text] for name, text in changes.items()}


def look(browser: TestClient, path: str, *, do: str = "", **changes: str) -> str:
    """The answer to a form with some values changed; `do` is the button."""
    page = browser.get(path)
    assert page.status_code == 200
    answer = browser.post(path, data=form(page.text, **changes) | {"do": do})
    assert answer.status_code == 200
    return answer.text


def confirm(browser: TestClient, page: str, words: str = "") -> int:
    names = ("changes", "seen", "back")
    data = {name: hidden(page, name) for name in names} | {"words": words}
    return browser.post("/configuration/save", data=data).status_code


def pacs_file(site: Site) -> str:
    return (site.config / "peers" / "pacs.toml").read_text()


def trail(site: Site) -> list[str]:
    with site.database.reading() as tx:
        return [f"{entry.user} {entry.action} {entry.detail}" for _, entry in audit.listed(tx)]


def save(browser: TestClient, site: Site, changes: Mapping[str, str | None]) -> tuple[int, str]:
    """Save texts without looking at them; the status and the page."""
    texts = read(site.config)
    seen = digest_of({name: texts[name] for name in changes if name in texts})
    data = {"changes": json.dumps(changes), "seen": seen}
    answer = browser.post("/configuration/save", data=data)
    return answer.status_code, answer.text
