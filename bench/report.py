"""From numbers to a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("wharfie", "docker cli on wharfie", "docker", "podman")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
COLOURS = {"wharfie": "#0b7285", "docker cli on wharfie": "#66b2bf", "docker": "#adb5bd", "podman": "#dee2e6"}


class Row(NamedTuple):
    """One measurement: its name, unit, number per engine, and the aim as a share of Docker's."""

    name: str
    unit: str
    numbers: dict[str, float]
    target: float | None
    more: bool = False
    """More is better: the aim is the least share of Docker's; the plot of costs leaves it out."""

    def ratio(self, engine: str) -> float | None:
        """The engine's number over Docker's."""
        if engine in self.numbers and self.numbers.get("docker"):
            return self.numbers[engine] / self.numbers["docker"]
        return None


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: list[Row]) -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| | wharfie | docker CLI on wharfie | Docker | Podman | wharfie ÷ Docker |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: Row) -> str:
    cells = [f"{_number(row.numbers[e])} {row.unit}" if e in row.numbers else "" for e in ENGINES]
    ratio = row.ratio("wharfie")
    aim = f" (aim {'≥' if row.more else '≤'} {row.target:g})" if row.target else ""
    return f"| {row.name} | {' | '.join(cells)} | {'' if ratio is None else f'{ratio:.2f}'}{aim} |"


def put(rows: list[Row]) -> None:
    """Put rows of a measurement of its own into the README's table: in their places, or at its end."""
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition(BEGIN)
    inside, end, after = rest.partition(END)
    lines = inside.split("\n")
    for row in rows:
        known = [place for place, line in enumerate(lines) if line.startswith(f"| {row.name} |")]
        last = max(place for place, line in enumerate(lines) if line.startswith("|"))
        lines[known[0] if known else last + 1 : known[0] + 1 if known else last + 1] = [_line(row)]
    readme.write_text(before + begin + "\n".join(lines) + end + after)


def plot(rows: list[Row]) -> str:
    """The same as bars of the share of Docker's time, an SVG of its own."""
    shown = [row for row in rows if row.numbers.get("docker") and not row.more]
    width, left, bar, gap = 860, 300, 12, 14
    scale = (width - left - 70) / 1.25
    parts, y = [], 44
    for row in shown:
        top = y
        for engine in ENGINES:
            ratio = row.ratio(engine)
            if ratio is None:
                continue
            length = min(ratio, 1.25) * scale
            more = " ›" if ratio > 1.25 else ""
            parts.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[engine]}"/>'
            )
            parts.append(
                f'<text x="{left + length + 5:.1f}" y="{y + 9}" font-size="10">{ratio:.2f}{more}</text>'
            )
            y += bar
        name = row.name.replace("`", "")
        middle = (top + y) / 2 + 3
        parts.append(f'<text x="{left - 10}" y="{middle:.0f}" text-anchor="end" font-size="12">{name}</text>')
        y += gap
    legend, x = [], left
    for engine in ENGINES:
        legend.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[engine]}"/>')
        legend.append(f'<text x="{x + 17}" y="24" font-size="12">{engine}</text>')
        x += 40 + 7 * len(engine)
    one = left + scale
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(legend)}'
        f'<line x1="{one:.1f}" y1="36" x2="{one:.1f}" y2="{y - 8}" stroke="#868e96" stroke-dasharray="3 3"/>'
        f"{''.join(parts)}</svg>\n"
    )


def write(rows: list[Row], machine: str) -> None:
    """Put table and plot into the README."""
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "bench.svg").write_text(plot(rows))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    picture = "![each engine's number as a share of Docker's](docs/bench.svg)"
    readme.write_text(
        f"{before}{BEGIN}\nMedians on 2 cores, {machine}:\n\n{table(rows)}\n\n{picture}\n{END}{after}"
    )
