"""docs/ci.md: its workflows run as they are written, and its image is built from what is there."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from junitparser import JUnitXml
from safetensors.torch import save_file
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from tests.support.paths import ROOT, SAMPLE
from tests.support.workflows import Runner, bash, workflow

ROWS = 24
ACTION = ".github/actions/saliency"
pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a checkout with a model, texts and the action, as a workflow finds it."""
    folder = tmp_path / "repository"
    shutil.copytree(ROOT / ACTION, folder / ACTION)
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    spam = [row for row in rows if row["label"] == "spam"][: ROWS // 2]
    ham = [row for row in rows if row["label"] == "ham"][: ROWS // 2]
    texts = "".join(f"{json.dumps(row)}\n" for row in (*spam, *ham))
    (folder / "texts.jsonl").write_text(texts, encoding="utf-8")
    set_model(folder, ham_bias=0.0)
    return folder


def set_model(folder: Path, *, ham_bias: float) -> None:
    """Write the sample's model into the checkout, with a bias of its head towards ham."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    weights = torch.load(SAMPLE / "model.pt", weights_only=True)
    weights["classifier.bias"] = weights["classifier.bias"] + torch.tensor([ham_bias, 0.0])
    save_file(
        {name: each.contiguous() for name, each in weights.items()}, model / "model.safetensors"
    )
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SAMPLE / name, model / name)


def explain(repository: Path, out: Path) -> None:
    """Explain the texts with the model of the checkout, in this process."""
    arguments = ["explain", str(repository / "model"), str(repository / "texts.jsonl")]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out), "--quiet"])
    assert result.exit_code == 0, result.output


def new_checkout(repository: Path) -> None:
    """Remove what a job left: each job of a CI service begins with a new checkout."""
    for name in ("report", "comparison", "junit", "last-run", "run.xml", "comparison.xml"):
        path = repository / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def test_a_worse_model_fails_the_workflow_and_a_better_one_passes(
    repository: Path, tmp_path: Path
) -> None:
    job = workflow(".github/workflows/model-report.yml")["jobs"]["report"]
    runner = Runner(tmp_path, repository)
    explain(repository, tmp_path / "cache" / "saliency-0")  # the last good run

    set_model(repository, ham_bias=20.0)
    assert not runner.run(job)
    failed = re.findall(r"^::error title=gate failed::(.*)$", runner.log, re.MULTILINE)
    assert failed == [
        "accuracy is 50 %25, and must not be below 90 %25",
        "number of broken predictions is 12, and must not be above 2",
    ]
    titles = re.findall(r"^::warning title=broken prediction::row \d+ ", runner.log, re.MULTILINE)
    assert len(titles) == 9  # GitHub shows ten warnings of a step, and leaves out the others
    assert "**12 predictions broken\\, 0 fixed\\.**" in runner.summary
    artifact = tmp_path / "artifact-1"
    for page in ("report/index.html", "comparison/index.html"):
        assert (artifact / page).is_file()
    for name in ("run", "comparison"):
        assert JUnitXml.fromfile(str(artifact / "junit" / f"{name}.xml")).failures == 1
    assert not (tmp_path / "cache" / "saliency-1").exists()  # the last good run stays

    new_checkout(repository)
    set_model(repository, ham_bias=0.0)
    assert runner.run(job), runner.log
    assert "None of 24 predictions changed." in runner.log
    assert "title=gate failed" not in runner.log
    assert (tmp_path / "cache" / "saliency-2").is_dir()


def test_a_worse_model_fails_the_gitlab_job_and_the_last_good_run_stays(repository: Path) -> None:
    job = workflow(".gitlab-ci.yml")["model-report"]
    script, after = ("\n".join(job[name]) for name in ("script", "after_script"))
    assert bash(script, repository, "-eo", "pipefail")[0] == 0
    good = (repository / "last-run" / "manifest.json").read_bytes()
    shutil.rmtree(repository / "report")
    set_model(repository, ham_bias=20.0)
    code, log = bash(script, repository, "-eo", "pipefail")
    assert code == 1
    assert "failed: number of broken predictions is" in log
    assert (repository / "last-run" / "manifest.json").read_bytes() == good
    assert bash(after, repository, "-eo", "pipefail")[0] == 0
    assert job["artifacts"]["reports"]["junit"] == ["run.xml", "comparison.xml"]
    for name in job["artifacts"]["reports"]["junit"]:
        assert JUnitXml.fromfile(str(repository / name)).failures == 1


def test_inputs_of_the_action_are_never_pasted_into_a_script() -> None:
    text = (ROOT / ACTION / "action.yml").read_text(encoding="utf-8")
    for script in re.findall(r"run: \|\n((?:        .*\n|\n)+)", text):
        assert "${{" not in script
        assert bash(script, ROOT, "-n") == (0, "")


def test_the_image_is_built_from_files_that_are_there_and_runs_without_rights() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    stages = [rest for word, rest in steps if word == "FROM"]
    assert len(stages) == 2
    for word, rest in steps:
        if word == "COPY" and not rest.startswith("--from"):
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in sent
        if word == "RUN":
            assert bash(rest, ROOT, "-n") == (0, "")
    final = steps[[word for word, _ in steps].index("FROM", 1) :]
    settings = dict(final)
    assert settings["USER"] == "saliency"
    assert json.loads(settings["ENTRYPOINT"]) == ["saliency"]
    assert "HF_HUB_OFFLINE=1" in settings["ENV"]
