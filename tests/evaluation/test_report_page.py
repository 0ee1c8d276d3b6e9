"""The report's page in a real browser: light and dark, on a phone and on a desk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import judged
from topfive.evaluation import report as reports
from topfive.networks.published import NETWORKS
from topfive.system.text import printable

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZES = {"phone": (375, 812), "desk": (1280, 800)}
SCHEMES = ("light", "dark")

# The least contrast of any text with what is behind it (WCAG 2.2, 1.4.3), and that text. What
# is half transparent is taken to lie over the worst there may be, white.
CONTRAST = """() => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([red, green, blue]) => [red, green, blue]
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const [red, green, blue, alpha = 1] = numbers(getComputedStyle(element).backgroundColor);
      if (alpha > 0) return [red, green, blue].map(value => value * alpha + 255 * (1 - alpha));
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = element.closest('svg') ? style.fill : style.color;
    const both = [light(numbers(colour)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst;
}"""
# What reaches beyond a window of that width, but in a scroller of its own.
OUTSIDE = """width => [...document.querySelectorAll('body *')]
  .filter(element => !element.parentElement.closest('.scroll'))
  .filter(element => { const box = element.getBoundingClientRect();
                       return box.width && (box.left < -0.5 || box.right > width + 0.5); })
  .map(element => element.outerHTML.slice(0, 120))"""


# What nothing may match.
RULES = (
    "img:not([alt])", "th:not([scope])", "table:not([aria-label])",
    "svg:not([role=img][aria-label])", ".scroll:not([tabindex='0'][role=region][aria-label])",
)  # fmt: skip
LABELLED = """() => [...document.querySelectorAll('[aria-labelledby]')]
  .every(element => document.getElementById(element.getAttribute('aria-labelledby')))"""


@dataclass
class Seen:
    """A page as a browser shows it, and all that it did meanwhile."""

    page: Any
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"needs {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two networks on pictures with hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    reports.write(judged.hostile(folder / "pictures"), folder / "out.html")
    return folder / "out.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of all networks on 1,000 classes."""
    folder = tmp_path_factory.mktemp("large")
    names = [f"{number}.jpg" for number in range(1000)]
    sources = judged.pictures(folder, names[:30])
    sources += [f"{folder}/{name}" for name in names[30:]]
    answers = {name: [1] * len(names) for name in NETWORKS}
    reports.write(judged.comparison(folder, sources, answers), folder / "out.html")
    return folder / "out.html"


@contextmanager
def shown(browser: Any, file: Path, size: str, scheme: str) -> Iterator[Seen]:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme,
        is_mobile=size == "phone", has_touch=size == "phone",
    )  # fmt: skip
    seen = Seen(context.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))

    def dismiss(dialog: Any) -> None:
        seen.said.append(dialog.message)
        dialog.dismiss()

    seen.page.on("dialog", dismiss)
    seen.page.goto(file.as_uri())
    yield seen
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_can_be_read(browser: Any, report: Path, size: str, scheme: str) -> None:
    with shown(browser, report, size, scheme) as seen:
        page = seen.page
        for folded in page.query_selector_all("details"):
            folded.evaluate("element => { element.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
        assert page.evaluate(OUTSIDE, SIZES[size][0]) == []
        ratio, text = page.evaluate(CONTRAST)
        assert 4.5 <= ratio < 99, text
        pictures = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
        assert len(pictures) == 25
        assert all(complete and width > 0 for complete, width in pictures)
        sizes = page.evaluate("[...document.querySelectorAll('svg text')].map("
                              "text => text.getBoundingClientRect().height)")  # fmt: skip
        assert len(sizes) > 40
        assert min(sizes) >= 10  # pixels
        assert seen.said == []
        assert [url for url in seen.requests if not url.startswith("data:image/jpeg")] == [
            report.as_uri()
        ]


@pytest.mark.slow
def test_light_and_dark_differ_plots_too(browser: Any, report: Path) -> None:
    found = []
    for scheme in SCHEMES:
        with shown(browser, report, "desk", scheme) as seen:
            found.append(seen.page.evaluate(
                "[getComputedStyle(document.body).backgroundColor, "
                "getComputedStyle(document.querySelector('svg text')).fill, "
                "getComputedStyle(document.querySelector('svg use')).stroke]"
            ))  # fmt: skip
    for light, dark in zip(*found, strict=True):
        assert light != dark


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_hostile_names_are_shown_and_do_nothing(browser: Any, report: Path, size: str) -> None:
    with shown(browser, report, size, "light") as seen:
        page = seen.page
        for picture in page.query_selector_all("img")[:5]:
            picture.hover()
        text = page.evaluate("document.body.textContent")
        for name in judged.HOSTILE:
            assert printable(name) in text
        assert page.evaluate("document.scripts.length") == 0
        assert (
            page.evaluate("document.querySelectorAll('[onerror], [onmouseover], b i').length") == 0
        )
        assert page.title() == f"2 networks on {report.parent}/pictures – topfive"
        assert seen.said == []
        assert len([url for url in seen.requests if not url.startswith("data:")]) == 1


@pytest.mark.slow
def test_the_policy_would_stop_a_script(browser: Any, report: Path, tmp_path: Path) -> None:
    """Were a name ever to become markup, it would still not run nor fetch."""
    text = report.read_text("utf-8")
    evil = "<script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(2)>"
    (tmp_path / "evil.html").write_text(text.replace("<main", f"{evil}<main"), "utf-8")
    with shown(browser, tmp_path / "evil.html", "desk", "light") as seen:
        assert len(seen.said) >= 2
        assert all("Content Security Policy" in message for message in seen.said)


@pytest.mark.slow
def test_the_page_has_an_order_for_those_who_hear_it(browser: Any, report: Path) -> None:
    with shown(browser, report, "desk", "light") as seen:
        page = seen.page
        assert page.get_attribute("html", "lang") == "en"
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        for rule in RULES:
            assert page.query_selector_all(rule) == [], rule
        assert page.evaluate(LABELLED)
        # A table that is too wide can be reached and moved by the keyboard.
        page.set_viewport_size({"width": 375, "height": 812})
        scroller = page.query_selector(".scroll")
        scroller.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("element => element.scrollLeft > 0", arg=scroller)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_a_thousand_classes_and_all_networks_fit(browser: Any, large: Path, size: str) -> None:
    with shown(browser, large, size, "dark") as seen:
        page = seen.page
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
        assert page.evaluate(OUTSIDE, SIZES[size][0]) == []
        assert page.evaluate("document.querySelectorAll('details tbody tr').length") >= 1000
        assert seen.said == []
