# SPDX-License-Identifier: Apache-2.0
"""Bars as an SVG picture, readable on light and dark pages."""

WIDTH, LABEL, ROW, BAR = 720, 230, 30, 18


def bars(title, rows, unit, mark=None):
    """`rows`: (label, value, smallest, largest, is ours). `mark`: a line at this value, with its name."""
    height = 44 + ROW * len(rows) + (22 if mark else 0)
    largest = max([row[3] for row in rows] + ([mark[0]] if mark else [])) or 1
    scale = (WIDTH - LABEL - 130) / largest
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
           "<style>text{fill:#444}@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
           f'<text x="8" y="22" font-size="15">{title} ({unit})</text>']
    for number, (label, value, low, high, is_ours) in enumerate(rows):
        y = 40 + ROW * number
        out += [f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{label}</text>',
                f'<rect x="{LABEL}" y="{y}" width="{max(value * scale, 1):.1f}" height="{BAR}" fill="{"#2a7f62" if is_ours else "#8899aa"}"/>',
                f'<line x1="{LABEL + low * scale:.1f}" x2="{LABEL + high * scale:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}" '
                'stroke="#d08030" stroke-width="2"/>',
                f'<text x="{LABEL + max(value, high) * scale + 8:.1f}" y="{y + 14}">{value:,.6g}</text>']
    if mark:
        x = LABEL + mark[0] * scale
        out += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{height - 22}" stroke="#b03030" stroke-dasharray="4 3"/>',
                f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{mark[1]}</text>']
    return "\n".join([*out, "</svg>", ""])
