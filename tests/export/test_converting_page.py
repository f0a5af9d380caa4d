"""docs/converting.md: its Python and its commands, run in the order in which they stand."""

import re
import shlex

import pytest
import sagemaker_models
from street import ROOT

from export.cli import _parser, main
from export.zoo.runtime import gluoncv, mxnet, quiet

_PAGE = (ROOT / "docs" / "converting.md").read_text()
_BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", _PAGE, re.DOTALL)
# What wants a network or somebody's weights of a large net is parsed, not run.
_PARSED_ONLY = ("--pretrained", "my_ssd.params")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader would stand: with trained weights and an archive at hand."""
    here = tmp_path_factory.mktemp("reader")
    mx = mxnet()
    with quiet():
        net = gluoncv().model_zoo.get_model("cifar_resnet20_v1")
        net.initialize(mx.init.Xavier())
        net(mx.nd.zeros((1, 3, 32, 32)))
        net.save_parameters(str(here / "mine.params"))
    made = here / "archive"
    made.mkdir()
    sagemaker_models.object_detection(made).rename(here / "model.tar.gz")
    return here


def test_page_when_followed_from_top_to_bottom_then_every_command_does_what_it_says(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    ran = 0
    for kind, text in _BLOCKS:
        if kind == "python":
            with quiet():
                exec(compile(text, "converting.md", "exec"), {})  # noqa: S102  (our own page)
            continue
        for line in text.replace("\\\n", " ").strip().splitlines():
            program, *arguments = shlex.split(line)
            assert program == "gluon-export"
            if any(word in arguments for word in _PARSED_ONLY):
                _parser().parse_args(arguments)
                continue
            assert main(arguments) == 0, f"{line}\n{capsys.readouterr().err}"
            ran += 1
    assert ran >= 7


def test_page_when_it_quotes_an_error_then_the_code_says_those_words():
    source = "\n".join(path.read_text() for path in (ROOT / "export").rglob("*.py"))
    plain = re.sub(r'"\s*\n?\s*f?"', "", source)
    for quoted in re.findall(r"^\| `(.*?)` \|", _PAGE, re.MULTILINE):
        if quoted.startswith(("image-", "model_algo", "net-")):
            continue
        words = [part for part in re.split(r"\bX\b|\bN\b|\bM\b|'[xY]'|a='v'|\.\.\.", quoted) if len(part.strip()) > 6]
        assert words
        for part in words:
            assert part.strip() in plain, f"the page quotes {quoted!r}, no message holds {part.strip()!r}"
