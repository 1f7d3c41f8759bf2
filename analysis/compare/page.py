"""The comparison as one HTML page that needs nothing beside it."""

import base64
import html
from collections.abc import Sequence
from typing import NamedTuple

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ink: #1c1c1c; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h1, h2 { overflow-wrap: anywhere; }
p, li { max-width: 60rem; } .small { font-size: .85rem; opacity: .8; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
"""


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: its heading.
        text: sentences under it.
        header, rows: of a table; no rows, no table.
        pictures: encoded as PNG, each with what it shows in words.
    """

    title: str
    text: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[tuple[bytes, str]] = ()


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    body = "\n".join(_section(section) for section in sections)
    told = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{told}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{told}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    parts += [f'<p class="small">{html.escape(text)}</p>' for text in section.text]
    if section.rows:
        parts.append(_table(section.header, section.rows))
    for png, words in section.pictures:
        data, told = base64.b64encode(png).decode(), html.escape(words)
        source = f"data:image/png;base64,{data}"
        parts.append(f'<p><img alt="{told}" src="{source}"></p>')
    return f"<section>\n{chr(10).join(parts)}\n</section>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        inside = "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in cells)
        return f"<tr>{inside}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        f'<div class="wide"><table>\n<thead>{line(header, "th")}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )
