"""Pages from templates; each shows only what its caller may do."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dicomnode import __version__
from dicomnode.report.wording import percent
from dicomnode.web.access import Caller
from dicomnode.worklist.overview import COUNTED
from dicomnode.worklist.states import CALLED

__all__ = ["STATIC", "is_of_script", "page", "part", "text_of"]

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

_CODE = re.compile(r"`([^`]+)`")

_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, name: str, caller: Caller | None, **values: object) -> HTMLResponse:
    """A whole page: a template of `templates/` that extends `base.html`."""
    return part(name, caller, values | {"path": request.url.path, "version": __version__})


def part(
    name: str, caller: Caller | None, values: Mapping[str, object], *, status: int = 200
) -> HTMLResponse:
    """A piece of a page, as it comes live or after a button."""
    return HTMLResponse(text_of(name, caller, values), status)


def is_of_script(request: Request) -> bool:
    """Did `app.js` send this? It puts the answer into the page that is there."""
    return "x-csrf-token" in request.headers


def text_of(name: str, caller: Caller | None, values: Mapping[str, object]) -> str:
    """The same as text, to be sent with others."""
    return _environment.get_template(name).render(values, caller=caller)


def _at(value: datetime | None) -> str:
    """A time in UTC, as it stands in an attribute."""
    return value.astimezone(UTC).isoformat(timespec="seconds") if value else ""


def _time(value: datetime | None) -> Markup:
    """A time for people, in UTC; `app.js` shows it in the zone of the browser."""
    at = _at(value)
    return Markup('<time datetime="{0}">{0}</time>').format(at)


def _lasting(seconds: float | timedelta | None) -> str:
    """How long: 0.4 s, 12 s, 3 min, 2 h, 5 d."""
    if seconds is None:
        return "-"
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if left >= 2 * size:
            return f"{left / size:.0f} {unit}"
    return f"{left:.0f} s" if left >= 10 else f"{left:.1f} s"


def _bytes(count: float) -> str:
    """1 GiB, 2.5 MiB: as settings are given, in powers of 1024."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        del units[0]
    number = f"{count:.0f}" if count >= 10 else f"{count:.1f}".removesuffix(".0")
    return f"{number} {units[0]}"


def _many(count: int) -> str:
    """A count that the overview took no further than it counts."""
    return f"{count:,}" if count <= COUNTED else f"more than {COUNTED:,}"


def _coded(words: str) -> Markup:
    """Words in which `this` is shown as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(words))))  # noqa: S704  # is escaped


_environment.filters |= {
    "at": _at,
    "time": _time,
    "lasting": _lasting,
    "bytes": _bytes,
    "many": _many,
    "percent": percent,
    "coded": _coded,
}
_environment.globals["called"] = CALLED
