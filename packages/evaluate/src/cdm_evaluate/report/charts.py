"""Line charts as inline SVG. Colours come from the page's style, so they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

# In units of the view box, which on a phone are about CSS pixels.
_WIDTH, _HEIGHT = 420, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 40
_MOST_POINTS = 300
# A loss that spans more than this factor is easier to read on a logarithmic axis.
_LOG_FACTOR = 5.0
_NEAR_ZERO = 0.1  # an axis that starts so near to zero, beside its end, starts at zero
_SMOOTHING = 0.04  # of the points, on each side of a running mean


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points of one line, x rising, all finite. `style` is a class of the page's style sheet."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "line-1"


def line_chart(lines: Sequence[Line], *, title: str, x_label: str, smooth: bool = True) -> str:
    """An SVG of the lines; with `smooth`, running means over faint raw lines.

    The y axis is logarithmic where all values are positive and span more than a factor of 5.
    `title` is the accessible name. Raises ValueError if there is no point at all.
    """
    drawn = [line for line in lines if len(line.x)]
    if not drawn:
        raise ValueError("a chart needs at least one point")
    every_x = np.concatenate([np.asarray(line.x, float) for line in drawn])
    every_y = np.concatenate([np.asarray(line.y, float) for line in drawn])
    logarithmic = bool(every_y.min() > 0 and every_y.max() > _LOG_FACTOR * every_y.min())
    low, high = float(every_y.min()), float(every_y.max())
    ticks_y = _log_ticks(low, high) if logarithmic else _linear_ticks(low, high, 5)
    left, right = float(every_x.min()), float(every_x.max())
    if 0 < left < _NEAR_ZERO * right:
        left = 0.0
    ticks_x = _linear_ticks(left, right, 5)
    across = _Scale(left, right, _LEFT, _WIDTH - _RIGHT, False)
    up = _Scale(low, high, _HEIGHT - _BOTTOM, _TOP, logarithmic)

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for tick in ticks_y:
        y = up(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{tick:g}</text>')
    floor = _HEIGHT - _BOTTOM
    for tick in ticks_x:
        x = across(tick)
        parts.append(f'<path class="axis" d="M{x:.1f} {floor}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{floor + 18}" class="middle">{_count(tick)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>')
    centre = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{centre:.0f}" y="{_HEIGHT - 4}" class="middle label">{escape(x_label)}</text>'
    )
    for line in drawn:
        xs, ys = _thinned(np.asarray(line.x, float), np.asarray(line.y, float))
        if smooth and len(xs) > 10:
            parts.append(f'<path class="raw {line.style}" d="{_path(xs, ys, across, up)}"/>')
            ys = _running_mean(ys)
        parts.append(f'<path class="line {line.style}" d="{_path(xs, ys, across, up)}"/>')
    parts.append("</svg>")
    if len(drawn) > 1:
        keys = "".join(
            f'<span><i class="{line.style}"></i>{escape(line.name)}</span>' for line in drawn
        )
        parts.append(f'<p class="legend">{keys}</p>')
    return "".join(parts)


class _Scale:
    """From a range of values to a range of positions."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool):
        self._of = math.log if logarithmic else float
        self._low = self._of(low)
        # All values equal: they lie in the middle.
        self._span = self._of(high) - self._low
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> float:
        share = (self._of(value) - self._low) / self._span if self._span else 0.5
        return self._start + share * self._length


def _path(x: np.ndarray, y: np.ndarray, across: _Scale, up: _Scale) -> str:
    points = (f"{across(a):.1f} {up(b):.1f}" for a, b in zip(x, y, strict=True))
    text = "M" + "L".join(points)
    return text + "h0" if len(x) == 1 else text  # a point shows as its round line cap


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbours, so that a long run does not make a heavy page."""
    if len(x) <= _MOST_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), _MOST_POINTS)
    return np.array([x[p].mean() for p in parts]), np.array([y[p].mean() for p in parts])


def _running_mean(y: np.ndarray) -> np.ndarray:
    reach = max(1, round(_SMOOTHING * len(y)))
    total = np.concatenate([[0.0], np.cumsum(y)])
    first = np.maximum(np.arange(len(y)) - reach, 0)
    last = np.minimum(np.arange(len(y)) + reach + 1, len(y))
    return (total[last] - total[first]) / (last - first)


def _linear_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within the range, about so many: steps of 1, 2 or 5 times a power of ten."""
    if low == high:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and 2 and 5 times them where the range is short."""
    decades = math.log10(high / low)
    factors = (1, 2, 5) if decades < 3 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil(decades / 6))
    ticks = [f * 10.0**p for p in range(first, last + 1, every) for f in factors]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _count(value: float) -> str:
    """Steps as a reader writes them: 500, 2k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
