"""The gallery's page: a section a study, a tile a picture, which opens large."""

from collections.abc import Mapping, Sequence
from html import escape

from tests.gallery.drawn import Picture

__all__ = ["page"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dicomnode: what comes back</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #f4f5f7; color: #1d2329 }}
header, section {{ max-width: 90rem; margin: 0 auto; padding: 1rem 2rem }}
nav a {{ margin-right: 1rem }} a {{ color: #1f5fa8 }}
h2 {{ border-bottom: 1px solid #d5d9de; padding-bottom: .3rem; scroll-margin-top: 1rem }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem }}
figure {{ margin: 0; background: #fff; border: 1px solid #d5d9de; border-radius: 6px;
  overflow: hidden }}
.look {{ display: block; height: 14rem; background: #14171a; position: relative;
  overflow: hidden }}
.look img {{ width: 100%; height: 100%; object-fit: contain }}
.look iframe {{ width: 250%; height: 250%; transform: scale(.4); transform-origin: 0 0; border: 0;
  background: #fff; pointer-events: none }}
figcaption {{ padding: .5rem .8rem }} small {{ color: #5b6570; display: block }}
</style></head><body>
<header><h1>What comes back from dicomnode</h1>
<p>Each kind of result of drawn images, which are nobody's. Not for clinical use.</p>
<nav>{links}</nav>{notes}</header>
{sections}
</body></html>
"""


def page(shown: Mapping[str, Sequence[Picture]], notes: Sequence[str]) -> str:
    """All studies by name, with a line for each thing that is missing."""
    return _PAGE.format(
        links=" ".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in shown),
        notes="".join(f"<p>{escape(note)}</p>" for note in notes),
        sections="\n".join(_section(name, pictures) for name, pictures in shown.items()),
    )


def _anchor(name: str) -> str:
    return name.replace(" ", "-").lower()


def _section(name: str, pictures: Sequence[Picture]) -> str:
    tiles = "".join(_tile(picture) for picture in pictures)
    return (
        f'<section><h2 id="{_anchor(name)}">{escape(name.capitalize())}</h2>'
        f'<div class="tiles">{tiles}</div></section>'
    )


def _tile(picture: Picture) -> str:
    also = [
        f'<a href="{escape(file)}">{escape(name)}</a>'
        for name, file in (picture.also or {}).items()
    ]
    said = f"<small>{escape(picture.note)}</small>" if picture.note else ""
    return (
        f"<figure>{_look(picture)}<figcaption>{escape(picture.title)} "
        f"{' '.join(also)}{said}</figcaption></figure>"
    )


def _look(picture: Picture) -> str:
    if not picture.file:
        return ""
    file = escape(picture.file)
    inner = (
        f'<iframe src="{file}" loading="lazy" tabindex="-1"></iframe>'
        if file.endswith(".html")
        else f'<img src="{file}" loading="lazy" alt="{escape(picture.title)}">'
    )
    return f'<a class="look" href="{file}">{inner}</a>'
