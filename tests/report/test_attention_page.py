"""The page of attention weights holds them as it says, and replaces no other file."""

import base64
import json
import re
import zlib
from pathlib import Path

import pytest
import torch

from saliency_cli.errors import UsageError
from saliency_cli.model.attentions import TextAttention
from saliency_cli.report import attention_page
from saliency_cli.report.attention_page import check_attention_file, correlations
from tests.support.attention import attention_of, write_page
from tests.support.runs import record, write_run

RECORD = record(0, "free call now and then")


def test_a_weight_is_rounded_by_no_more_than_the_page_says(tmp_path: Path) -> None:
    page = write_page(tmp_path / "page.html", RECORD).read_text()
    found = re.search(r'id="attention">(.*)</script>', page)
    assert found is not None
    data = json.loads(found[1])
    codes = torch.tensor([*zlib.decompress(base64.b64decode(data["weights"]))])
    weights = attention_of(RECORD).weights
    pictures = torch.cat((weights.mean(dim=1, keepdim=True), weights), dim=1)
    rounded = (codes / 255).square().view(pictures.shape)
    assert (rounded - pictures).abs().max() <= 0.004
    assert data["read"] == [1, 0, 0, 0, 0, 0]


def test_correlations_are_spearmans() -> None:
    scores = [0.9, 0.1, -0.2, 0.2, 0.4]  # the first is that of [CLS], and two are as large
    four = RECORD | {"scores": scores, "tokens": [""] * 5, "special": [True, *[False] * 4]}
    same, reversed_order, flat = [0.1, 0.2, 0.2, 0.4], [0.4, 0.2, 0.2, 0.1], [0.2] * 4
    rows = torch.tensor([[0.1, *each] for each in (same, reversed_order, flat)])
    attention = TextAttention(rows[None, :, None].repeat(1, 1, 5, 1), torch.eye(5)[0])
    _mean, *heads = correlations(four, attention)[0]
    assert heads[:2] == pytest.approx([1, -1])
    assert heads[2] != heads[2]  # no order at all


def test_the_same_page_has_the_same_bytes_and_replaces_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    first = write_page(path, RECORD).read_bytes()
    check_attention_file(path)
    assert write_page(path, RECORD).read_bytes() == first
    link = tmp_path / "link.html"
    link.symlink_to(path)
    edited = tmp_path / "edited.html"
    edited.write_bytes(first.replace(b"free", b"paid"))
    started = tmp_path / "other.html"
    started.with_name("other.html.tmp").touch()
    report = write_run(tmp_path / "run", [RECORD]) / "index.html"
    for other in (link, edited, started, report, tmp_path, Path()):
        with pytest.raises(UsageError, match="exists") as caught:
            check_attention_file(other)
        assert "--attention-page" in str(caught.value.hint)


def test_a_text_with_too_many_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_page, "MOST_WEIGHTS", 6 * 25)
    with pytest.raises(UsageError, match="6 tokens of 2 layers × 3 heads") as caught:
        write_page(tmp_path / "page.html", RECORD)
    assert caught.value.hint == "add --max-length 5"
