"""Synthetic frontal chest radiographs with known truth: the same seed is the same patient.

Nobody's images: a thorax is drawn from a few curves as a sum of densities, then exposed. The
findings planted in it are the labels of the demonstration model. Good for trying the node and for
tests; says nothing about how a model fares on people.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FINDINGS", "Box", "Radiograph", "draw"]

FINDINGS = ("cardiomegaly", "pleural effusion", "nodule", "pneumothorax")

Plane = NDArray[np.floating[Any]]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Radiograph:
    """One image and what was planted in it."""

    pixels: NDArray[np.uint16]  #: (rows, columns), 12 bits, dense is bright
    masks: dict[str, NDArray[np.bool_]]  #: by finding: which pixels it lies on, (rows, columns)

    @property
    def boxes(self) -> dict[str, Box]:
        """By finding: left, top, right, bottom in pixels."""
        return {name: _box(mask) for name, mask in self.masks.items()}


def draw(seed: int, findings: Collection[str] = (), *, rows: int = 1024) -> Radiograph:
    """Draw one patient; planting a finding changes nothing else about them."""
    if unknown := set(findings) - set(FINDINGS):
        raise ValueError(f"{sorted(unknown)} cannot be drawn, only {FINDINGS}")
    thorax = _Thorax(seed, rows)
    masks = thorax.plant(findings)
    pixels = _expose(thorax.density(), _rng(seed, "exposure"))
    return Radiograph(pixels=pixels, masks=masks)


def _rng(seed: int, part: str) -> np.random.Generator:
    """Each part of a patient has its own dice, so that one part does not change another."""
    return np.random.default_rng([seed, *part.encode()])


def _soft(distance: Plane, width: float = 0.012) -> Plane:
    """1 inside, 0 outside, and an edge as wide as blur makes it."""
    inside: Plane = 0.5 + 0.5 * np.tanh(distance / np.float32(2 * width))
    return inside


def _bump(distance: Plane, width: float) -> Plane:
    """1 on a line, falling off on both sides."""
    bump: Plane = np.exp(-((distance / np.float32(width)) ** 2))
    return bump


def _noise(rng: np.random.Generator, shape: tuple[int, int], down: Plane, right: Plane) -> Plane:
    """Smooth noise of mean 0 from a grid of `shape`, sampled at places of 0..1."""
    grid = rng.standard_normal((shape[0] + 2, shape[1] + 2)).astype(np.float32)
    down, right = np.clip(down, 0, 1) * shape[0], np.clip(right, 0, 1) * shape[1]
    i, j = down.astype(np.intp), right.astype(np.intp)
    v, u = down - i, right - j
    v, u = v * v * (3 - 2 * v), u * u * (3 - 2 * u)
    upper = grid[i, j] * (1 - u) + grid[i, j + 1] * u
    lower = grid[i + 1, j] * (1 - u) + grid[i + 1, j + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, dtype=np.float32)


def _box(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


class _Thorax:
    """One patient. Lengths are in halves of the image's width; x points left of the patient."""

    def __init__(self, seed: int, rows: int) -> None:
        self._seed = seed
        rng = _rng(seed, "anatomy")
        columns = round(rows * rng.uniform(0.86, 1.08))
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        x, y = (2 * x + 1) / columns - 1, (2 * y + 1 - rows) / columns
        angle, size = math.radians(rng.normal(0, 2.5)), rng.uniform(0.94, 1.08)
        x, y = (x - rng.normal(0, 0.03)) / size, (y - rng.normal(0, 0.03)) / size
        self.x = math.cos(angle) * x + math.sin(angle) * y
        self.y = math.cos(angle) * y - math.sin(angle) * x
        self.apex, self.base = rng.uniform(-0.88, -0.80), rng.uniform(0.44, 0.58)
        self.width = rng.uniform(0.72, 0.82)
        height = np.clip((self.y - self.apex) / (self.base - self.apex), 0, 1)
        self.wall = self.width * np.sqrt(1 - (1 - height) ** 2.4)  # half the inner width, by row
        self.across = np.abs(self.x) / np.maximum(self.wall, np.float32(0.05))  # 0 middle, 1 wall
        self.dome = self.base + rng.uniform(-0.07, -0.03) * (self.x < 0).astype(np.float32)
        self.dome = self.dome + 0.55 * (np.abs(self.x) / self.width - 0.45) ** 2
        medial = 0.11 + 0.16 * (1 - height) ** 3 + rng.uniform(-0.01, 0.02)
        self.cage = _soft(self.wall - np.abs(self.x)) * _soft(np.abs(self.x) - medial)
        self.lung = self.cage * _soft(self.dome - self.y, 0.008)
        self.ratio = rng.uniform(0.40, 0.49)  # cardiothoracic
        self.fluid = np.zeros_like(self.x)
        self.nodule = np.zeros_like(self.x)
        self.free_air = np.zeros_like(self.x)
        self.pleura = np.zeros_like(self.x)
        self.heart = self._heart()

    # findings

    def plant(self, findings: Collection[str]) -> dict[str, NDArray[np.bool_]]:
        """Put findings into the patient; returns where each one lies."""
        masks = {}
        if "cardiomegaly" in findings:
            self.ratio = _rng(self._seed, "cardiomegaly").uniform(0.58, 0.70)
            self.heart = self._heart()
            masks["cardiomegaly"] = self.heart > 0.5
        if "pleural effusion" in findings:
            self.fluid = self._fluid()
            masks["pleural effusion"] = self.fluid * self.lung > 0.5
        if "pneumothorax" in findings:
            self.free_air, self.pleura = self._collapse()
            masks["pneumothorax"] = self.free_air > 0.5
        if "nodule" in findings:
            self.nodule = self._nodule()
            masks["nodule"] = self.nodule > 0
        return masks

    def _heart(self) -> Plane:
        rng = _rng(self._seed, "heart")
        half = self.ratio * self.width
        x = self.x - half * rng.uniform(0.26, 0.38)
        y = self.y - (self.base - 0.10 - 0.42 * half)
        tilt = rng.uniform(0.35, 0.6)
        along = math.cos(tilt) * x + math.sin(tilt) * y
        aside = math.cos(tilt) * y - math.sin(tilt) * x
        radius = np.sqrt((along / 1.06) ** 2 + (aside / rng.uniform(0.80, 0.9)) ** 2)
        return _soft(half - radius, 0.014)

    def _fluid(self) -> Plane:
        """Fluid that stands level in the middle and climbs along the wall: the meniscus."""
        rng = _rng(self._seed, "effusion")
        side = 1 if rng.random() < 0.5 else -1
        level = self.base - rng.uniform(0.02, 0.42)
        surface = level + 0.10 - rng.uniform(0.22, 0.34) * self.across**3
        return _soft(self.y - surface, 0.02) * _soft(side * self.x, 0.01)

    def _collapse(self) -> tuple[Plane, Plane]:
        """Air between wall and lung, widest above, and the pleura as a thin line."""
        rng = _rng(self._seed, "pneumothorax")
        side = 1 if rng.random() < 0.5 else -1
        depth = rng.uniform(0.12, 0.30)
        below = np.clip((self.y - self.apex) / (self.base - self.apex), 0, 1)
        gap = depth * (1.15 - rng.uniform(0.7, 1.0) * below) * self.width
        top = self.apex + rng.uniform(0.9, 1.2) * depth
        inside = np.minimum(self.wall - gap - np.abs(self.x), (self.y - top) * 0.8)
        here = self.lung * _soft(side * self.x, 0.01)
        return here * _soft(-inside, 0.006), here * _bump(inside, 0.007)

    def _nodule(self) -> Plane:
        """A round shadow in free lung; 0 outside it."""
        rng = _rng(self._seed, "nodule")
        radius = rng.uniform(0.045, 0.085)
        free = self.lung * (1 - self.heart) * (1 - self.fluid) * (1 - self.free_air)
        clear = (free > 0.97) & (self.across > 0.35) & (self.across < 0.85)
        places = np.argwhere(clear & (self.y > self.apex + 0.25) & (self.y < self.dome - 0.1))
        if not len(places):  # both lungs are filled with other findings
            places = np.argwhere(free == free.max())
        row, column = places[int(rng.random() * len(places))]
        distance = np.hypot(self.x - self.x[row, column], self.y - self.y[row, column])
        shadow: Plane = np.clip(1 - (distance / radius) ** 2, 0, 1) ** 0.6
        return shadow

    # everything together

    def density(self) -> Plane:
        """What the beam meets, summed up: about 0 for air, 1 for the spine."""
        rng = _rng(self._seed, "tissue")
        air = self.lung * (1 - 0.80 * self.heart) * (1 - 0.92 * self.fluid)
        knob = np.hypot(self.x - 0.17, self.y - (self.apex + 0.44))
        air = air * (1 - 0.55 * _soft(0.09 - knob, 0.02))
        body = self._body(rng)
        density = body * (0.60 + 0.10 * _soft(self.y - self.dome, 0.05))
        density = density - air * (0.36 + 0.03 * self.free_air)
        density = density + air * (1 - self.free_air) * self._vessels(rng)
        density = density + 0.05 * self.heart * _soft(self.dome - self.y, 0.03) + 0.09 * self.pleura
        density = density + rng.uniform(0.14, 0.22) * self.nodule
        whole: Plane = density + body * (self._bones(rng) + self._soft_parts(rng))
        return whole

    def _body(self, rng: np.random.Generator) -> Plane:
        """Neck, shoulders and flanks against air."""
        heights = self.apex + np.array([-0.30, -0.12, 0.02, 0.20, 0.5, 1.6])
        halves = rng.uniform(0.96, 1.12) * np.array([0.30, 0.38, 0.98, 1.10, 0.99, 1.03])
        edge = np.interp(self.y, heights, halves).astype(np.float32)
        return _soft(edge - np.abs(self.x), 0.02)

    def _vessels(self, rng: np.random.Generator) -> Plane:
        """Lung markings: streaks that radiate from each hilum and thin out towards the wall."""
        x, y = np.abs(self.x) - 0.15, self.y - (self.apex + 0.62)
        reach = np.hypot(x, y)
        turn = (np.arctan2(y, x * np.sign(self.x)) + np.pi) / (2 * np.pi)
        bent = turn + 0.02 * _noise(rng, (9, 9), turn, np.sqrt(reach))
        streaks = np.zeros_like(reach)
        for count, weight in ((26, 1.3), (50, 1.0), (100, 0.5)):
            ridge = 1 - np.abs(_noise(rng, (9, count), np.sqrt(reach), bent))
            streaks = streaks + weight * np.clip(ridge, 0, 1) ** 6
        hilum = 0.10 * _bump(reach, 0.13)
        markings: Plane = hilum + streaks * (0.02 + 0.05 * _bump(reach, 0.30)) * rng.uniform(
            0.7, 1.3
        )
        return markings

    def _bones(self, rng: np.random.Generator) -> Plane:
        u = np.abs(self.x) / self.width
        inside = _soft(self.wall + 0.05 - np.abs(self.x), 0.01) * _soft(self.y - self.apex + 0.04)
        gap, strength = rng.uniform(0.125, 0.15), rng.uniform(0.045, 0.085)
        back = (self.y - self.apex - 0.02 * u - 0.26 * u**2) / gap
        back = np.abs(back - np.round(back)) * gap
        ribs = (_soft(0.030 - back, 0.006) * 0.7 + _bump(back - 0.028, 0.008) * 0.6) * strength
        front = (self.y - self.apex - 0.32 + 0.34 * u - 0.12 * u**2) / (gap * 1.1)
        front = np.abs(front - np.round(front)) * gap * 1.1
        ribs = ribs + _soft(0.026 - front, 0.008) * 0.5 * strength * _soft(u - 0.5, 0.04)
        ribs = ribs * inside * _soft(self.dome + 0.12 - self.y, 0.1)
        spine = np.exp(-((self.x / 0.095) ** 4)) * (
            0.15 + 0.02 * np.sin(self.y * 2 * np.pi / 0.115)
        )
        line = self.y - self.apex - 0.20 + 0.20 * u - 0.03 * np.sin(u * 6)
        clavicle = _bump(line, 0.026) * _soft(u - 0.10) * _soft(1.0 - u) * strength * 2.2
        blade = _soft(0.05 - np.abs(u - 1.08 + 0.15 * (self.y - self.apex)), 0.01) * 0.05
        bones: Plane = ribs + spine + clavicle + blade * _soft(self.base - 0.5 - self.y, 0.05)
        return bones

    def _soft_parts(self, rng: np.random.Generator) -> Plane:
        """Windpipe, breasts where there are, gas in the stomach, uneven tissue."""
        soft = -0.11 * _bump(self.x + 0.01, 0.045) * _soft(self.apex + 0.55 - self.y, 0.03)
        if rng.random() < 0.5:
            low, size = self.base - rng.uniform(0.05, 0.25), rng.uniform(0.26, 0.36)
            breast = np.hypot((np.abs(self.x) - 0.46) / 1.1, self.y - low + size * 0.6)
            soft = soft + rng.uniform(0.04, 0.10) * _soft(size - breast, 0.03)
        bubble = np.hypot((self.x - 0.42) / 1.5, self.y - self.base - 0.16)
        soft = soft - rng.uniform(0, 0.25) * _soft(0.08 - bubble, 0.02) * (1 - self.fluid)
        down, right = (self.y + 1.2) / 2.4, (self.x + 1.2) / 2.4
        parts: Plane = soft + 0.018 * _noise(rng, (6, 6), down, right)
        return parts


def _expose(density: Plane, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Scatter, tone curve, quantum noise and sometimes a collimator's edge, in 12 bits."""
    rows, columns = density.shape
    down = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    right = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    tilt = rng.normal(0, 0.02, 2)
    seen = density + np.float32(tilt[0]) * down + np.float32(tilt[1]) * right
    low, high = rng.uniform(0.06, 0.16), rng.uniform(0.80, 0.92)
    tone = np.clip((seen - low) / (high - low), 0, 1.15) ** rng.uniform(0.85, 1.2)
    grain = rng.standard_normal(density.shape, dtype=np.float32)
    tone = 0.96 * tone + rng.uniform(0.006, 0.022) * grain * (
        0.6 + 0.4 * np.sqrt(np.maximum(tone, 0))
    )
    if rng.random() < 0.3:
        edges = 1 - np.abs(rng.uniform(0, 0.06, 4))
        lit = _soft(edges[0] - down, 0.004) * _soft(edges[1] + down, 0.004)
        tone = tone * lit * _soft(edges[2] - right, 0.004) * _soft(edges[3] + right, 0.004)
    return np.asarray(np.clip(np.rint(tone * 3900 + 60), 0, 4095), dtype=np.uint16)
