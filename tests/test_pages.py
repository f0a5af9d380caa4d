"""The pages for people: every link leads somewhere, every page is linked, and what is said to lie in the tree does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"```.*?```", re.DOTALL)
PAGES = sorted(
    p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")]
)


def text_of(page):
    return (ROOT / page).read_text()


def links(page):
    """The files of this tree that a page leads to, with their anchors."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text_of(page))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            file = (ROOT / page).parent / path if path else ROOT / page
            yield file.resolve().relative_to(ROOT), anchor


def anchors(page):
    """As GitHub makes them of headings."""
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", text_of(page)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"[`*]", "", heading.strip().lower()))
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_page_when_it_leads_somewhere_then_that_is_there(page):
    for file, anchor in links(page):
        assert (ROOT / file).exists(), f"{page}: {file}"
        assert not anchor or anchor in set(anchors(file)), f"{page}: {file}#{anchor}"


def test_pages_when_one_is_written_then_another_leads_to_it():
    linked = {file for page in PAGES for file, _ in links(page) if file != page}

    assert [str(p) for p in PAGES if p not in linked and p != Path("README.md")] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=str)
def test_page_when_it_names_a_file_of_this_tree_then_it_is_there(page):
    named = re.findall(r"`((?:edge|export|tests|benchmarks|docs|examples|\.ci)/[\w./-]+)`", text_of(page))

    assert [path for path in named if not (ROOT / path).exists()] == []
