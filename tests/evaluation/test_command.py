"""`saliency evaluate` as a command: what it leaves, how it is resumed, what it refuses."""

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest

from saliency_cli.runs.finished_run import open_run
from tests.support.evaluations import Bag, bag_texts, write_bag, write_texts
from tests.support.exports import export
from tests.support.shell import DONE, USAGE, Outcome, run_here

METHODS = "gradient,occlusion:baseline=delete,random"
TEXTS = 20


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    home = tmp_path_factory.mktemp("bag")
    write_texts(home / "texts.jsonl", bag_texts(TEXTS))
    return write_bag(home)


@pytest.fixture(scope="module")
def finished(bag: Bag) -> Path:
    folder = bag.home / "finished"
    outcome = evaluate(bag, folder, "--fail-on", "comprehensiveness.gradient<0.9")
    assert outcome.exit_code == DONE, outcome.stderr
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "evaluation")


def evaluate(bag: Bag, out: Path, *options: str, methods: str = METHODS) -> Outcome:
    """Run the command over 12 of the texts."""
    texts = str(bag.home / "texts.jsonl")
    chosen = ["--methods", methods, "--limit", "12", "--metrics", "comprehensiveness,agreement"]
    model, *rest = bag.arguments
    return run_here(["evaluate", model, texts, *rest, "--out", str(out), *chosen, *options])


def test_the_exact_methods_lead_and_random_scores_are_the_floor(finished: Path) -> None:
    result = json.loads((finished / "evaluation.json").read_text())
    means = {name: each["comprehensiveness"]["mean"] for name, each in result["methods"].items()}
    assert [*means] == METHODS.split(",")
    assert means["gradient"] == means["occlusion:baseline=delete"] == pytest.approx(1, abs=0.01)
    assert means["random"] < 0.5
    assert result["texts"] == 12
    assert result["agreement"]["gradient"]["occlusion:baseline=delete"]["spearman"]["mean"] > 0.99
    assert "gradient" in result["verdict"][0]
    assert len(result["curves"]["comprehensiveness"]["references"]["best"]["mask"]["logit"]) == 5
    assert result["verdict"][0] in (finished / "index.html").read_text()


def test_every_method_has_a_run_over_an_even_sample(finished: Path) -> None:
    sample = [json.loads(line) for line in (finished / "sample.jsonl").read_text().splitlines()]
    assert [each["ordinal"] for each in sample] == [n * TEXTS // 12 for n in range(12)]
    for name in ("gradient", "occlusion_baseline=delete", "random"):
        records = [*open_run(finished / "methods" / name).records()]
        assert [each["id"] for each in records] == [each["id"] for each in sample]


@pytest.mark.parametrize(
    "lost", ["metrics/comprehensiveness.json", "metrics/agreement.random.json", "methods/random"]
)
def test_a_resumed_evaluation_has_the_same_bytes(bag: Bag, folder: Path, lost: str) -> None:
    before = json.loads((folder / "evaluation.json").read_text())
    kept = {path: path.read_bytes() for path in (folder / "metrics").glob("*.*.json")}
    kept[folder / "index.html"] = (folder / "index.html").read_bytes()
    if lost.startswith("methods"):
        shutil.rmtree(folder / lost)
    else:
        (folder / lost).write_text('{"seal": "of another", "values": {"rando')
    outcome = evaluate(bag, folder, "--resume", "--json")
    assert outcome.exit_code == DONE, outcome.stderr
    after = json.loads((folder / "evaluation.json").read_text())
    assert json.loads(outcome.stdout) == after
    for result in (before, after):  # the one figure that is a clock's
        result["methods"]["random"].pop("seconds")
    assert after == before
    assert {path: path.read_bytes() for path in kept} == kept


def test_the_eraser_export_has_what_its_scorer_reads(bag: Bag, tmp_path: Path) -> None:
    """The mean over thresholds, as `_instances_aopc` of the scorer makes it, is the one here."""
    folder = tmp_path / "evaluation"
    outcome = evaluate(bag, folder, "--metrics", "comprehensiveness,sufficiency")
    assert outcome.exit_code == DONE, outcome.stderr
    means = json.loads((folder / "evaluation.json").read_text())["methods"]["gradient"]
    run = folder / "methods" / "gradient"
    instances = [json.loads(line) for line in export(run, "--format", "eraser").stdout.splitlines()]
    for metric in ("comprehensiveness", "sufficiency"):
        scores = f"{metric}_classification_scores"
        aopc = fmean(
            each["classification_scores"][each["classification"]]
            - threshold[scores][each["classification"]]
            for each in instances
            for threshold in each["thresholded_scores"]
        )
        here = means[metric]["by"]["delete"]["probability"]["fall"]["mean"]
        assert aopc == pytest.approx(here, abs=1e-6)
        for each in instances:
            assert each[scores] == each["thresholded_scores"][3][scores]
            assert sum(each[scores].values()) == pytest.approx(1, abs=1e-6)


def test_the_eraser_export_leaves_out_what_was_measured_of_other_records(
    folder: Path, bag: Bag
) -> None:
    run = folder / "methods" / "gradient"
    assert evaluate(bag, folder, "--resume", "--metrics", "sufficiency").exit_code == DONE
    assert "thresholded_scores" in export(run, "--format", "eraser").stdout
    stored = folder / "metrics" / "comprehensiveness.gradient.json"
    own = open_run(run).manifest["shards"]["sha256"][0]
    stored.write_text(stored.read_text().replace(own, "0" * 64))
    assert "thresholded_scores" not in export(run, "--format", "eraser").stdout


def test_a_gate_names_a_metric_and_a_method(bag: Bag, folder: Path) -> None:
    gates = ["--fail-on", "comprehensiveness.random<0.9"]
    outcome = evaluate(bag, folder, "--resume", *gates)
    assert outcome.exit_code == 1
    assert "failed: comprehensiveness.random is" in outcome.stderr
    unknown = evaluate(bag, folder, "--resume", "--fail-on", "comprehensiveness<0.9")
    assert unknown.exit_code == USAGE
    assert "comprehensiveness.gradient" in unknown.refusal()


def test_a_row_without_a_token_is_not_measured(bag: Bag, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.jsonl", [*bag_texts(5), " "])
    model, *rest = bag.arguments
    chosen = ["--methods", "gradient,random", "--metrics", "agreement", "--json"]
    outcome = run_here(
        ["evaluate", model, str(texts), *rest, "--out", str(tmp_path / "e"), *chosen]
    )
    result = json.loads(outcome.stdout)
    assert (result["texts"], result["settings"]["sampled"]) == (5, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "magic"], "magic: there is no such method"),
        (["--metrics", "beauty"], "beauty: there is no such metric"),
        ([], "already holds an evaluation"),
        (["--resume", "--overwrite"], "give one of them"),
        (["--resume", "--limit", "11"], "is another sample"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    bag: Bag, folder: Path, options: list[str], message: str
) -> None:
    outcome = evaluate(bag, folder, *options)
    assert outcome.exit_code == USAGE
    assert message in outcome.refusal()


def test_a_folder_with_other_files_is_refused(bag: Bag, tmp_path: Path) -> None:
    files = {
        "thesis.txt": "words",
        "evaluation.json": '{"mine": 1}',
        "index.html": "<!doctype html>",
    }
    for name, content in files.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        outcome = evaluate(bag, folder, "--overwrite")
        assert outcome.exit_code == USAGE
        assert "saliency did not write" in outcome.refusal()
        assert (folder / name).read_text() == content
