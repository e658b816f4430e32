"""As much of SVG as the figures need: text in, text out, the same each time."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

# Within a page the theme's own colours are used, so that a figure follows its light and dark.
STYLE = """
.figure { --ink: var(--color-foreground-primary, #1d2129);
  --soft: var(--color-foreground-muted, #667080); --line: var(--color-background-border, #c9ced6);
  --type: #3b7dd8; --length: #d98324; --key: #a356c4; --text: #2f9e64; }
@media (prefers-color-scheme: dark) { .figure { --ink: var(--color-foreground-primary, #e6e8ec);
  --soft: var(--color-foreground-muted, #98a1b0);
  --line: var(--color-background-border, #4a505c); } }
.figure text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.figure .soft { fill: var(--soft); font-size: 11px; }
.figure .small { font-size: 12px; }
.figure .strong { font-weight: 600; }
.figure .byte { font: 12px ui-monospace, monospace; }
.figure .middle { text-anchor: middle; }
.figure .rule { stroke: var(--line); fill: none; }
.figure .type { fill: var(--type); } .figure .length { fill: var(--length); }
.figure .rest { fill: var(--line); }
.figure .key { fill: var(--key); } .figure .payload { fill: var(--text); }
.figure .pale { fill-opacity: 0.22; }
.figure .edge { fill: none; stroke: var(--soft); stroke-width: 0.8; }
.figure .masked { fill: none; stroke: var(--ink); stroke-opacity: 0.4; }
.figure .mark { fill: var(--ink); }
.figure .arrow { stroke: var(--ink); fill: none; stroke-width: 1.2; }
.figure .late { stroke-dasharray: 4 3; }
.figure .code { font: 12px ui-monospace, monospace; }
.figure .end { text-anchor: end; }
"""


def element(name: str, content: str = "", **attributes: object) -> str:
    """One element; `class_` and `stroke_width` stand for `class` and `stroke-width`."""
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(str(value))}"
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{content}</{name}>" if content else f"<{name}{said}/>"


def text(x: float, y: float, said: str, class_: str = "") -> str:
    return element("text", escape(said), x=_short(x), y=_short(y), class_=class_ or "plain")


def box(x: float, y: float, width: float, height: float, class_: str) -> str:
    place = {"x": _short(x), "y": _short(y), "width": _short(width), "height": _short(height)}
    return element("rect", rx=3, class_=class_, **place)


def line(x: float, y: float, to_x: float, to_y: float, class_: str = "rule") -> str:
    path = f"M{_short(x)} {_short(y)}L{_short(to_x)} {_short(to_y)}"
    return element("path", d=path, class_=class_)


def arrow(x: float, y: float, to_x: float, to_y: float, class_: str = "arrow") -> str:
    """A line with a head, along one of the axes."""
    head = 5
    along = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
    path = f"M{_short(x)} {_short(y)}L{_short(to_x)} {_short(to_y)}"
    for side in (-1, 1):
        end_x = to_x - head * along[0] + side * 0.7 * head * along[1]
        end_y = to_y - head * along[1] + side * 0.7 * head * along[0]
        path += f"M{_short(to_x)} {_short(to_y)}L{_short(end_x)} {_short(end_y)}"
    return element("path", d=path, class_=class_)


def hatched(x: float, y: float, width: float, height: float, step: float = 7) -> str:
    """Diagonal lines, which stay within the box."""
    path = ""
    for offset in range(1, int((width + height) / step) + 1):
        far = offset * step
        left, low = (far - height, height) if far > height else (0.0, far)
        right, high = (width, far - width) if far > width else (far, 0.0)
        path += f"M{_short(x + left)} {_short(y + low)}L{_short(x + right)} {_short(y + high)}"
    return element("path", d=path, class_="masked")


def figure(
    width: float, height: float, title: str, parts: Iterable[str], description: str = ""
) -> str:
    """A whole figure, as wide as it says if there is room.

    `title` and `description` are what a screen reader says in its place.
    """
    spoken = [element("title", escape(title))]
    if description:
        spoken.append(element("desc", escape(description)))
    inside = "\n".join(["", element("style", STYLE), *spoken, *parts, ""])
    return (
        element(
            "svg",
            inside,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_short(width)} {_short(height)}",
            width="100%",
            style=f"max-width: {_short(width)}px",
            class_="figure",
            role="img",
        )
        + "\n"
    )


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
