"""The curve of the learning-rate finder as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 620, 20, 355


def curve_as_svg(rates: Sequence[float], losses: Sequence[float], marked: float) -> str:
    """Return an SVG document with the losses over the logarithm of the rates; one rate is marked.

    Losses far above the first one, where training explodes, are cut off at the top.
    """
    low = min(losses)
    high = min(max(losses), losses[0] + 1.5 * (losses[0] - low)) if losses[0] > low else max(losses)
    first, last = math.log10(rates[0]), math.log10(rates[-1])

    def across(rate: float) -> float:
        return round(LEFT + (math.log10(rate) - first) / max(last - first, 1e-9) * (RIGHT - LEFT), 1)

    def down(loss: float) -> float:
        return round(TOP + (high - min(loss, high)) / max(high - low, 1e-9) * (BOTTOM - TOP), 1)

    def text(x: float, y: float, content: str, anchor: str = "middle") -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{content}</text>'

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for power in range(math.ceil(first), math.floor(last) + 1):
        x = across(10.0**power)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{BOTTOM}" stroke="#ddd"/>')
        parts.append(text(x, BOTTOM + 16, f"1e{power}"))
    parts += [text(LEFT - 6, down(loss) + 4, f"{loss:.3g}", "end") for loss in (low, (low + high) / 2, high)]
    points = " ".join(f"{across(rate)},{down(loss)}" for rate, loss in zip(rates, losses, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="2"/>')
    x, y = across(marked), down(losses[list(rates).index(marked)])
    parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="#d1242f"/>')
    parts.append(text(x + 8, y - 8, f"{marked:.2g}", "start"))
    parts.append(text((LEFT + RIGHT) / 2, HEIGHT - 8, "learning rate"))
    parts.append(f'<g transform="rotate(-90 14 {HEIGHT / 2})">{text(14, HEIGHT / 2, "loss")}</g>')
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'{start} font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
