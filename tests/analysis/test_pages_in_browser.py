"""The pages in Chromium, where it is: pictures are drawn and nothing overflows."""

import html
import json
import re
import shutil
import subprocess

import pytest

from analysis.card import write as write_cards
from analysis.card.models import cards_of
from analysis.compare import compare, write
from analysis.runs import find_runs
from tests.analysis.made import make_run

BROWSER = next(filter(shutil.which, ("chromium", "chromium-browser", "chrome")), None)
MEASURES = """
<script>
window.onload = () => {
  const root = document.documentElement;
  const inside = (element) => element.closest(".wide") === null;
  const told = {
    width: window.innerWidth,
    needed: root.scrollWidth,
    beyond: [...document.querySelectorAll("body *")].filter((e) => inside(e)
      && e.getBoundingClientRect().right > window.innerWidth + 1).length,
    pictures: [...document.images].map((x) => [x.naturalWidth, x.clientWidth]),
    tables: document.querySelectorAll("table").length,
    ink: getComputedStyle(document.body).color,
    requests: performance.getEntriesByType("resource")
      .filter((x) => !x.name.startsWith("data:")).length,
  };
  const text = document.createElement("pre");
  text.id = "told";
  text.textContent = JSON.stringify(told);
  parent.document.body.append(text);
};
</script>
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium, found by its name"),
]


def opened(page, width, height, tmp_path):
    """What a page measures in a frame of a size: windows are 500 wide at least."""
    measured = html.escape(page.read_text().replace("</head>", f"{MEASURES}</head>"))
    frame = f'<iframe width="{width}" height="{height}" style="border: 0" srcdoc='
    copy = tmp_path / f"{page.stem}.html"
    copy.write_text(f'<!doctype html><body>{frame}"{measured}"></iframe></body>')
    words = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"),
        f"file://{copy}",
    ]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="told">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert found, shown.stdout[-500:] + shown.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of a comparison and of a model: more columns than a telephone is wide."""
    root = tmp_path_factory.mktemp("pages")
    scores = {seed: [0.1, 0.5, 0.9 + seed / 100] for seed in range(5)}
    for memory in ("gru", "ffm"):
        for env in ("tmaze", "repeat_previous_easy"):
            make_run(root / "runs", [f"memory={memory}", f"env={env}"], scores)
    found = find_runs([root / "runs"])
    write(compare(found.runs), root / "out")
    cards = write_cards(cards_of(found.runs)[0], root / "cards")
    return [root / "out" / "comparison.html", *cards]


@pytest.mark.parametrize("size", [(1400, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_page_is_drawn_whole(pages, size, tmp_path):
    for page in pages:
        told = opened(page, *size, tmp_path)
        assert told["width"] == size[0] and told["requests"] == 0
        assert told["needed"] <= told["width"] and told["beyond"] == 0, page
        assert told["tables"] >= 1 and told["ink"] == "rgb(28, 28, 28)"
        assert told["pictures"] and all(w > 500 for w, _ in told["pictures"]), page
        assert all(0 < shown <= told["width"] for _, shown in told["pictures"])
