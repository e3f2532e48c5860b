"""The comparison as a picture: for each workload a bar for each server, as long as its CPU time per request is, in
floors."""

from xml.sax.saxutils import escape

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
    legend = ""
    x = LEFT
    for name in names:
        legend += f'<rect x="{x}" y="36" width="10" height="10" fill="{colour_of(name, names)}"/>'
        legend += f'<text x="{x + 14}" y="45">{escape(name)}</text>'
        x += 24 + 7 * len(name) + 14
    legend += f'<text x="{x}" y="45">dashed: the goal</text>'
    line = f'<line x1="{LEFT + SCALE}" y1="56" x2="{LEFT + SCALE}" y2="{y}" stroke="#909090"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 10}" '
        f'font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>'
        f"{legend}{line}{''.join(parts)}</svg>\n"
    )
