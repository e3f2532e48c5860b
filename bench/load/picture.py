"""The comparison as a picture: for each workload a bar for each server, as long as its CPU time per request is, in
floors. And how it grows: for each axis a line for each server."""

import math
from xml.sax.saxutils import escape

MARGIN = 20
BAR = 12
GAP = 10
LEFT = 130
SCALE = 170  # Pixels a floor.
RATIO_MAX = 4.0
COLOURS = {"floor": "#b8b8b8", "floor+table": "#8f8f8f", "orrery": "#2f6fb0"}
OTHERS = ["#c8553d", "#d9a441", "#6a994e", "#7b5ea7"]


def colour_of(name, names):
    others = [other for other in names if other not in COLOURS]
    return COLOURS.get(name) or OTHERS[others.index(name) % len(OTHERS)]


def legend_of(names, left, top):
    """(SVG of the servers' colours beside each other, where it ends)."""
    parts = []
    for name in names:
        parts.append(f'<rect x="{left}" y="{top}" width="10" height="10" fill="{colour_of(name, names)}"/>')
        parts.append(f'<text x="{left + 14}" y="{top + 9}">{escape(name)}</text>')
        left += 24 + 7 * len(name) + 14
    return "".join(parts), left


def page(width, height, title, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="{MARGIN}" y="20" font-size="14">{escape(title)}</text>'
        f"{body}</svg>\n"
    )


def draw(report, title):
    """The SVG's text. `report` is what compare.py writes as JSON under "workloads"."""
    names = list(dict.fromkeys(name for cell in report.values() for name in cell["servers"]))
    width = LEFT + int(RATIO_MAX * SCALE) + 120
    parts = []
    y = 64
    for workload, cell in report.items():
        top = y
        for name in names:
            server = cell["servers"].get(name)
            if server is None or server["to_floor"] is None:
                continue
            ratio = server["to_floor"]["median"]
            length = min(ratio, RATIO_MAX) * SCALE
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{colour_of(name, names)}"/>'
            )
            beyond = " &#8594;" if ratio > RATIO_MAX else ""
            parts.append(
                f'<text x="{LEFT + length + 5:.1f}" y="{y + BAR - 3}" font-size="10">{ratio:.2f}{beyond}</text>'
            )
            y += BAR
        middle = (top + y) / 2 + 3
        parts.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(workload)}</text>')
        if cell["goal"] is not None:
            x = LEFT + cell["goal"] * SCALE
            parts.append(
                f'<line x1="{x:.1f}" y1="{top - 2}" x2="{x:.1f}" y2="{y}" stroke="#202020" stroke-dasharray="2 2"/>'
            )
        y += GAP
    legend, x = legend_of(names, LEFT, 36)
    legend += f'<text x="{x}" y="45">dashed: the goal</text>'
    line = f'<line x1="{LEFT + SCALE}" y1="56" x2="{LEFT + SCALE}" y2="{y}" stroke="#909090"/>'
    return page(width, y + 10, title, f"{legend}{line}{''.join(parts)}")


# A panel of draw_curves(), in pixels: the space for the scale at its left, and its plot.
PANEL_LEFT = 56
PANEL_WIDTH = 300
PANEL_HEIGHT = 170
PANEL_GAP = 54
PANELS_A_ROW = 2


def draw_curves(curves, title):
    """The SVG's text. `curves` by axis: its title, and by point what each server has there. Both scales are logarithmic,
    or costs from 0.1 to 100 us could not be read."""
    names = list(dict.fromkeys(name for curve in curves.values() for point in curve["points"].values() for name in point))
    legend, _ = legend_of(names, MARGIN, 36)
    parts = [legend]
    for index, curve in enumerate(curves.values()):
        left = PANEL_LEFT + (index % PANELS_A_ROW) * (PANEL_WIDTH + PANEL_LEFT + 20)
        top = 84 + (index // PANELS_A_ROW) * (PANEL_HEIGHT + PANEL_GAP)
        parts.append(panel(curve, names, left, top))
    rows = -(-len(curves) // PANELS_A_ROW)
    width = PANELS_A_ROW * (PANEL_WIDTH + PANEL_LEFT + 20) + 10
    return page(width, 84 + rows * (PANEL_HEIGHT + PANEL_GAP), title, "".join(parts))


def panel(curve, names, left, top):
    points = curve["points"]
    costs = [cost for point in points.values() for cost in point.values() if cost > 0]
    low, high = math.floor(math.log10(min(costs)) * 2) / 2, math.ceil(math.log10(max(costs)) * 2) / 2
    high = max(high, low + 0.5)
    first, last = math.log10(min(points)), math.log10(max(points))

    def x_of(value):
        return left + (math.log10(value) - first) / ((last - first) or 1) * PANEL_WIDTH

    def y_of(cost):
        return top + PANEL_HEIGHT - (math.log10(cost) - low) / (high - low) * PANEL_HEIGHT

    parts = [f'<text x="{left}" y="{top - 8}" font-weight="bold">{escape(curve["title"])}</text>']
    for exponent in range(math.ceil(low - 1), math.floor(high) + 1):
        for factor in (1, 2, 5):
            cost = factor * 10**exponent
            if not low <= math.log10(cost) <= high:
                continue
            y = y_of(cost)
            parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + PANEL_WIDTH}" y2="{y:.1f}" stroke="#e2e2e2"/>')
            parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="10">{cost:g}</text>')
    for value in points:
        parts.append(f'<text x="{x_of(value):.1f}" y="{top + PANEL_HEIGHT + 15}" text-anchor="middle" font-size="10">'
                     f"{short(value)}</text>")
    for name in names:
        line = [(x_of(value), y_of(point[name])) for value, point in points.items() if point.get(name, 0) > 0]
        if not line:
            continue
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        colour = colour_of(name, names)
        parts.append(f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in line)
    return "".join(parts)


def short(number):
    """1048576 as 1M, 10000 as 10k."""
    for unit, name in ((1 << 20, "Mi"), (1_000_000, "M"), (1 << 10, "Ki"), (1000, "k")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return str(number)
