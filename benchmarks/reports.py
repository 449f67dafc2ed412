"""The cost of reports with many rows: milliseconds per row, bytes per file, time in Chromium.

The records are generated with a fixed seed. Their words have the frequencies of a natural language,
and 30 % of the longer ones have two tokens.
"""

import random
import shutil
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from reporting import add_json_option, aligned, emit, print_progress

from saliency_cli.records import SCHEMA, Record
from saliency_cli.report import render
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.summary import Summary, SummaryCounts
from saliency_cli.settings import PageChoice

TOKENS = 48
"""Tokens of a text, special tokens included."""
WORDS = 20_000
"""Size of the vocabulary."""
LABELS = ("ham", "spam")
ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()
QUERIES = ("free", "label:spam !correct", "conf<0.6", '"no such phrase"')
SEARCH = """
(query) => {
  const before = performance.now();
  change({ q: query });
  document.body.offsetHeight;
  return performance.now() - before;
}
"""


class RecordGenerator:
    """Generates records whose words have the frequencies of a natural language (Zipf's law)."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - not for security
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        weights = list(accumulate(1 / (rank + 1) for rank in range(len(letters))))
        letters_of_words = (
            self.rng.choices(letters, cum_weights=weights, k=9) for _ in range(WORDS)
        )
        self.words = ["".join(word[: 2 + index % 7]) for index, word in enumerate(letters_of_words)]
        self.words[200] = "free"
        self.weights = list(accumulate(1 / (rank + 2) for rank in range(WORDS)))

    def record(self, ordinal: int) -> Record:
        """Return the record of a random text with `TOKENS` tokens."""
        rng, position = self.rng, 0
        spans: list[tuple[int, int]] = []
        words = []
        while len(spans) < TOKENS - 2:
            word = rng.choices(self.words, cum_weights=self.weights)[0]
            split = len(word) // 2 if len(word) > 4 and rng.random() < 0.3 else 0
            starts = [position, position + split] if split else [position]
            ends = [*starts[1:], position + len(word)]
            spans += zip(starts, ends, strict=True)
            words.append(word)
            position += len(word) + 1
        return self._scored(ordinal, " ".join(words), spans[: TOKENS - 2])

    def _scored(self, ordinal: int, text: str, spans: list[tuple[int, int]]) -> Record:
        """Return the record of a text with these tokens, with random scores and prediction."""
        rng = self.rng
        raw = [rng.expovariate(1) ** 2 for _ in range(TOKENS)]
        scores = [float(f"{score / sum(raw):.7g}") for score in raw]
        spam = float(f"{rng.random():.7g}")
        predicted = LABELS[spam > 0.5]
        return {
            "schema": SCHEMA,
            "status": "ok",
            "ordinal": ordinal,
            "id": f"{ordinal:08x}",
            "text": text,
            "pair": None,
            "predicted": predicted,
            "probability": max(spam, 1 - spam),
            "probabilities": {"ham": float(f"{1 - spam:.7g}"), "spam": spam},
            "target": predicted,
            "gold": LABELS[rng.random() < spam],
            "tokens": ["[CLS]", *(text[start:end] for start, end in spans), "[SEP]"],
            "offsets": [[0, 0], *map(list, spans), [0, 0]],
            "special": [True, *[False] * len(spans), True],
            "scores": scores,
            "errors": [float(f"{score * rng.random() / 50:.7g}") for score in scores],
            "special_share": float(f"{scores[0] + scores[-1]:.7g}"),
            "samples": 4,
            "evaluations": 12,
            "flip_rate": rng.choice((0.0, 0.0, 0.0, 0.25)),
            "truncated": False,
            "windows": 1,
        }


def manifest(summary: Summary) -> dict[str, Any]:
    """Return the manifest of a run with this summary; its other values are placeholders."""
    return {
        "schema": SCHEMA,
        "versions": {"saliency": "benchmark"},
        "model": {"name": "generated", "labels": list(LABELS)},
        "method": {
            "name": "smoothgrad",
            "title": "SmoothGrad",
            "is_random": True,
            "is_signed": False,
            "has_flip_rate": True,
            "is_complete": False,
            "removed_by": "zero",
            "baseline": None,
        },
        "input": {"name": "generated.jsonl"},
        "options": {"noise": 0.01, "reduction": "l2", "propagation": "conservative"},
        **dict.fromkeys(("seed", "device", "dtype", "attention", "matmul_backend"), ""),
        "dtype_error": 0.0,
        **dict.fromkeys(("batch_tokens", "instruction_set", "deterministic"), ""),
        "hashes": {"input": "", "model": {}, "tokenizer": {}},
        "counts": asdict(summary),
    }


def write_records(path: Path, rows: int) -> tuple[RunFolder, float]:
    """Write the records of a run.

    Args:
        path: The run's folder.
        rows: The number of records.

    Returns:
        The run's folder, and the processor seconds of writing, without generating the records.
    """
    folder, counts, generator, seconds = (
        RunFolder(path),
        SummaryCounts(LABELS),
        RecordGenerator(0),
        0.0,
    )
    folder.clear()
    with folder.record_writer() as writer:
        for ordinal in range(rows):
            record = generator.record(ordinal)
            counts.add(record)
            before = time.process_time()
            writer.write(record)
            seconds += time.process_time() - before
    folder.write_manifest(manifest(counts.summary()))
    return folder, seconds


def sizes(path: Path) -> dict[str, float]:
    """Return the megabytes of the largest file, of the search index and of all pages together."""
    pages = {file: file.stat().st_size / 1e6 for file in path.rglob("*") if file.suffix != ".jsonl"}
    index = (size for file, size in pages.items() if file.suffix == ".js")
    return {"largest": max(pages.values()), "index": sum(index), "pages": sum(pages.values())}


def open_page(page: Page, file: Path) -> float:
    """Open a file in the browser, and return the milliseconds until it is interactive.

    Args:
        page: The browser's page.
        file: The HTML file.
    """
    page.goto(file.as_uri(), wait_until="domcontentloaded")
    timing = "performance.getEntriesByType('navigation')[0].domInteractive"
    return float(page.evaluate(timing))


def slowest_search(page: Page) -> float:
    """Return the milliseconds of the slowest search, with the layout of its results."""
    page.wait_for_selector("html[data-ready]", timeout=120_000)
    return max(float(page.evaluate(SEARCH, query)) for query in QUERIES for _ in range(3))


def browse(path: Path) -> dict[str, float]:
    """Return the milliseconds that Chromium takes to open and search the report, from file://."""
    rows = path / "pages" / "page-0001.html"
    with sync_playwright() as playwright:
        executable = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        open_page(page, path / "index.html")  # a warm-up: starting a renderer takes time of its own
        started = time.perf_counter()
        interactive = open_page(page, path / "index.html")
        page.wait_for_selector("html[data-ready]", timeout=120_000)
        ready = 1000 * (time.perf_counter() - started)
        search = slowest_search(page)
        page_of_rows = open_page(page, rows) if rows.exists() else interactive
        browser.close()
    return {"open": interactive, "ready": ready, "search": search, "page": page_of_rows}


def measure(rows: int, *, folder: Path, single_file: bool) -> dict[str, float]:
    """Write, render, open and search one report, and return the figures of the table.

    Args:
        rows: The number of records.
        folder: The run's folder.
        single_file: Whether all rows are put into index.html.
    """
    print_progress(f"{rows} rows{', one file' if single_file else ''}")
    run, writing = write_records(folder, rows)
    before = time.process_time()
    render(run, PageChoice(html_rows=rows, single_file=single_file))
    rendering = time.process_time() - before
    per_row = {"write": 1000 * writing / rows, "render": 1000 * rendering / rows}
    return {"rows": rows, **per_row, **sizes(folder), **browse(folder)}


COLUMNS = {
    "rows": "rows",
    "write": "write ms/row",
    "render": "render ms/row",
    "largest": "largest MB",
    "index": "index MB",
    "pages": "all MB",
    "open": "open ms",
    "page": "page ms",
    "ready": "index ms",
    "search": "search ms",
}


def cells(figures: dict[str, float]) -> Iterator[str]:
    """Yield the cells of a line of the table."""
    for name in COLUMNS:
        value = figures[name]
        yield f"{value:,.0f}" if name == "rows" or value >= 100 else f"{value:.2f}"


def main() -> None:
    """Measure reports of several sizes, and print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=[500, 10_000, 100_000])
    parser.add_argument("--single-file", action="store_true", help="all rows in one file")
    add_json_option(parser)
    options = parser.parse_args()
    reports = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run"
            reports.append(measure(rows, folder=path, single_file=options.single_file))
    table = aligned(list(COLUMNS.values()), [list(cells(each)) for each in reports])
    emit(table, {"reports": reports}, target=options.json)


if __name__ == "__main__":
    main()
