"""The page of a soak: what was found in words, and plots as SVG, in one file without links."""

import html
from collections.abc import Mapping, Sequence
from itertools import count, takewhile

from dicomnode.cli.soak import Sample

__all__ = ["page"]

_WIDTH, _HEIGHT = 920, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 32, 12, 30
_COLOURS = ("#2a78d6", "#c2571a", "#2f8f4e")
_MOST_POINTS = 1500  #: in a line; more are thinned, and peaks stay

#: Title, unit, and which columns are drawn together, each with its words in the legend.
_PLOTS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("Resident memory of the process tree", "MB", {"rss_mb": ""}),
    (
        "Threads, descriptors, processes",
        "",
        {"threads": "threads", "descriptors": "descriptors", "processes": "processes"},
    ),
    ("Request to response", "ms", {"p50_ms": "median", "p99_ms": "99th percentile"}),
    ("Processor", "% of one core", {"cpu_percent": ""}),
    ("Objects stored", "", {"objects": ""}),
)


def page(
    title: str,
    findings: Sequence[tuple[str, bool]],
    facts: Mapping[str, str],
    samples: Sequence[Sample],
) -> str:
    """The whole page; a finding is its words and whether it is good. Words are escaped."""
    hours = [sample.seconds / 3600 for sample in samples]
    plots = "\n".join(
        _plot(
            heading,
            unit,
            hours,
            {words: [getattr(one, field) for one in samples] for field, words in lines.items()},
        )
        for heading, unit, lines in _PLOTS
    )
    said = "\n".join(
        f'<li class="{"good" if good else "bad"}">{html.escape(words)}</li>'
        for words, good in findings
    )
    rows = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return _PAGE.format(title=html.escape(title), findings=said, facts=rows, plots=plots)


def _plot(
    heading: str, unit: str, hours: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> str:
    """One plot, from zero, with its own legend."""
    minutes = hours[-1] < 2
    times = [hour * 60 for hour in hours] if minutes else list(hours)
    most_x, most_y = times[-1], max(1.0, *(max(line) for line in lines.values())) * 1.08

    def across(x: float) -> float:
        return _LEFT + x / most_x * (_WIDTH - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _TOP - _BOTTOM)

    grid = [_level(up(y), f"{y:g}") for y in _ticks(most_y)]
    grid += [_mark(across(x), f"{x:g} {'min' if minutes else 'h'}") for x in _ticks(most_x)]
    drawn, legend = [], []
    for (words, values), colour in zip(lines.items(), _COLOURS, strict=False):
        points = " ".join(
            f"{across(x):.1f},{up(y):.1f}"
            for x, y in _thinned(list(zip(times, values, strict=True)))
        )
        drawn.append(f'<polyline points="{points}" stroke="{colour}"/>')
        if words:
            legend.append(f'<span><i style="background:{colour}"></i>{words}</span>')
    aside = f" <small>{unit}</small>" if unit else ""
    return (
        f"<figure><figcaption><h2>{heading}{aside}</h2>{''.join(legend)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{heading}">'
        f"{''.join(grid)}{''.join(drawn)}</svg></figure>"
    )


def _level(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _mark(x: float, label: str) -> str:
    y = _HEIGHT - _BOTTOM
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 4}"/>'
    return f'{line}<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">{label}</text>'


def _ticks(most: float) -> list[float]:
    """Round numbers from zero, four to eight of them."""
    size = 10.0 ** (len(f"{most:.0f}") - 1) if most >= 1 else 10.0 ** -len(f"{1 / most:.0f}")
    step = next(size * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2, 5) if most / (size * part) <= 7)
    return list(takewhile(lambda y: y <= most, (round(n * step, 9) for n in count())))


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of many points, the highest of each small group."""
    group = -(-len(points) // _MOST_POINTS)
    groups = (points[at : at + group] for at in range(0, len(points), group))
    return [max(one, key=lambda point: point[1]) for one in groups]


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; --soft: #8886; --quiet: #777 }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
h1 {{ font-size: 1.4rem }}
h2 {{ font-size: 1rem; margin: 0 auto 0 0 }}
small, th {{ font-weight: normal; color: var(--quiet) }}
th {{ text-align: left; padding-right: 1.5rem }}
ul {{ list-style: none; padding: 0 }}
li::before {{ display: inline-block; width: 1.4rem }}
.good::before {{ content: "\\2713"; color: #2f8f4e }}
.bad::before {{ content: "\\2717"; color: #d03b3b }}
.bad {{ font-weight: bold }}
figure {{ margin: 2rem 0 }}
figcaption {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: baseline }}
figcaption i {{ display: inline-block; width: .8rem; height: .2rem; margin: 0 .4rem .25rem 0 }}
svg {{ width: 100%; height: auto }}
svg line {{ stroke: var(--soft); stroke-width: .6 }}
svg text {{ font: 12px system-ui, sans-serif; fill: var(--quiet) }}
svg polyline {{ fill: none; stroke-width: 1.6; stroke-linejoin: round }}
</style>
<h1>{title}</h1>
<ul>
{findings}
</ul>
<table>
{facts}
</table>
{plots}
</html>
"""
