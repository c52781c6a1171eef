"""Numbers of an evaluation in words, the same on the page and in the terminal."""

from dicomnode.learn.measures.figures import Figure

__all__ = ["MEASURES", "percent", "plain", "probability", "share"]

#: How measures are headed.
MEASURES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "ece": "calibration error",
    "brier": "Brier score",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}

_DASH = "\N{EN DASH}"
_SMALL = 0.01


def plain(figure: Figure, *, sign: bool = False) -> str:
    """Value and interval, with one more decimal where it is small; a dash where there is none."""
    if figure.value is None:
        return "-"
    form = "+.3f" if sign else ".3f" if figure.value >= _SMALL else ".4f"
    if figure.low is None or figure.high is None:
        return f"{figure.value:{form}} (-)"
    between = " to " if sign else _DASH
    return f"{figure.value:{form}} ({figure.low:{form}}{between}{figure.high:{form}})"


def percent(figure: Figure) -> str:
    """The same as a percentage, with more decimals the nearer it is to none or to all."""
    if figure.value is None:
        return "-"
    values = [v * 100 for v in (figure.value, figure.low, figure.high) if v is not None]
    near = min(values[0], 100 - values[0])
    digits = 0 if near >= 10 or near == 0 else 1 if near >= 0.5 else 2
    first, *interval = (f"{value:.{digits}f}" for value in values)
    return f"{first} ({_DASH.join(interval)})" if interval else f"{first} (-)"


def share(part: float | None) -> str:
    """A share without an interval, in percent."""
    if part is None:
        return "-"
    return f"{part * 100:.{1 if part < 0.1 else 0}f} %"


def probability(p: float | None) -> str:
    """A p-value."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
