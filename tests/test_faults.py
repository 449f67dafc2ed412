"""Runs that are killed, starved and stopped, and then gone on with: not a byte is another."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from .conftest import WORDS, save_bert, wordpiece
from .shell import DONE, OUTPUT, USAGE, Outcome, run
from .warm import Running, Warm, warmed

QUARANTINED, INTERRUPTED, TERMINATED = 4, 130, 143
ROWS, SHARD_ROWS = 520, 40
SHARDS = 13
BAD, LONG = 77, 300
"""A row that is no JSON, and one whose record is longer than all others of its shard."""
OPTIONS = ("--device", "cpu", "--samples", "2", "--shard-rows", str(SHARD_ROWS))
Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Desk:
    """A model, texts for several shards, a warm process, and what an undisturbed run left."""

    home: Path
    warm: Warm
    whole: Files

    @property
    def model(self) -> Path:
        """The folder of the model."""
        return self.home / "bert"

    @property
    def texts(self) -> Path:
        """The texts."""
        return self.home / "texts.jsonl"

    def arguments(self, out: Path, *options: object, **places: Path | str) -> list[str]:
        """Return the command line of the run that all tests here disturb."""
        model, texts = places.get("model", self.model), places.get("texts", self.texts)
        command = ["explain", str(model), str(texts), "--out", str(out), *OPTIONS]
        return [*command, *map(str, options)]

    def start(self, out: Path, *options: object, **places: Path | str) -> Running:
        """Start that run."""
        return self.warm.start(self.arguments(out, *options, **places))

    def explain(self, out: Path, *options: object, **places: Path | str) -> Outcome:
        """Run it to its end."""
        outcome = self.start(out, *options, **places).outcome()
        assert "Traceback" not in outcome.stderr
        return outcome

    def resumed(self, out: Path, **places: Path | str) -> None:
        """Go on with what is in `out`, and see that it becomes what an undisturbed run leaves."""
        outcome = self.explain(out, "--resume", **places)
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        same(files(out), self.whole)


def files(folder: Path) -> Files:
    """Read all files of a folder."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def same(found: Files, expected: Files) -> None:
    """See that two folders hold the same, and say which file is not."""
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def write_texts(path: Path) -> None:
    chance = random.Random(0)  # noqa: S311
    pool = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(60)]
    rows: list[object] = [
        {"id": n, "text": chance.choice(pool), "label": chance.choice(("ham", "spam"))}
        for n in range(ROWS)
    ]
    rows[LONG] = {"id": LONG, "text": "free call now " * 10_000}
    lines = [json.dumps(row) for row in rows]
    lines[BAD] = "this is no JSON \x1b]0;x\x07"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("faults")
    model, said = save_bert(home / "bert"), home / "said"
    said.mkdir()
    write_texts(home / "texts.jsonl")
    with warmed(said, model) as warm:
        plain = Desk(home, warm, {})
        outcome = run(plain.arguments(home / "whole"), OMP_NUM_THREADS="1")
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        yield Desk(home, warm, files(home / "whole"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def wait_for(there: Callable[[], object], running: Running) -> None:
    """Wait until something is there, while the run goes on."""
    begun = time.monotonic()
    while not there():
        assert not running.ended, running.outcome()
        assert time.monotonic() < begun + 60
        time.sleep(0.001)


def frozen(desk: Desk, out: Path, *, part: int) -> Running:
    """Start a run, and stop it with SIGSTOP while it writes that part."""
    temporary = out / "records" / f"part-{part:05d}.jsonl.tmp"
    running = desk.start(out)
    wait_for(temporary.exists, running)
    running.kill(signal.SIGSTOP)
    return running


def test_what_is_left_is_what_a_run_leaves(desk: Desk, out: Path) -> None:
    assert len([name for name in desk.whole if name.startswith("records/")]) == SHARDS
    assert {name.partition("/")[0] for name in desk.whole} == {
        "index.html",
        "manifest.json",
        "pages",
        "records",
    }
    assert desk.explain(out).exit_code == QUARANTINED
    same(files(out), desk.whole)


KILLS, MOST_KILLS = 100, 8
"""All kills, and those after which a run is let go on to its end."""


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments_lose_nothing(desk: Desk, tmp_path: Path) -> None:
    chance = random.Random(6)  # noqa: S311
    kills = cycle = 0
    while kills < KILLS:
        cycle += 1
        killed = killed_again_and_again(desk, tmp_path / str(cycle), chance=chance)
        kills += killed


def killed_again_and_again(desk: Desk, out: Path, *, chance: random.Random) -> int:
    """Kill a run and all that go on with it, until one has ended; return how many were killed."""
    for kills in range(MOST_KILLS + 1):
        running = desk.start(out, "--resume")
        if kills < MOST_KILLS:
            wait_a_while(running, chance.uniform(0.05, 1.3))
            running.kill()
        outcome = running.outcome()
        if outcome.exit_code == QUARANTINED:
            same(files(out), desk.whole)
            return kills
        assert (outcome.exit_code, outcome.stderr) == (-signal.SIGKILL, "")
    raise AssertionError(outcome)


def wait_a_while(running: Running, seconds: float) -> None:
    """Wait so long, or until the run has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not running.ended:
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_run_that_is_stopped_in_a_shard_goes_on_with_it(
    desk: Desk, out: Path, number: signal.Signals, code: int
) -> None:
    running = desk.start(out)
    wait_for((out / "records" / "part-00003.jsonl.tmp").exists, running)
    running.kill(number)
    outcome = running.outcome()
    assert outcome.exit_code == code
    assert outcome.refusal() == f"error: stopped by {number.name}\n"
    left = files(out)
    assert not [name for name in left if name.endswith((".tmp", ".html"))]
    assert {f"records/part-0000{n}.jsonl" for n in range(3)} <= {*left}
    assert "counts" not in json.loads(left["manifest.json"])
    desk.resumed(out)


def test_a_run_that_is_not_finished_is_told_as_such(desk: Desk, out: Path) -> None:
    kill_in(desk, out, part=2)
    outcome = desk.explain(out)
    assert outcome.exit_code == USAGE
    assert "--resume" in outcome.refusal()
    assert "--overwrite" in outcome.stderr
    assert desk.explain(out, "--overwrite").exit_code == QUARANTINED
    same(files(out), desk.whole)


def kill_in(desk: Desk, out: Path, *, part: int) -> None:
    running = frozen(desk, out, part=part)
    running.kill()
    assert running.outcome().exit_code == -signal.SIGKILL


def test_going_on_with_nothing_begins(desk: Desk, out: Path) -> None:
    desk.resumed(out)


def test_going_on_with_a_finished_run_sees_that_it_is_whole(desk: Desk, out: Path) -> None:
    shutil.copytree(desk.home / "whole", out)
    desk.resumed(out)
    part = out / "records" / "part-00004.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"ham"', b'"egg"', 1))
    (out / "index.html").unlink()
    desk.resumed(out)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "receipt gone", "receipt cut"])
def test_a_shard_that_is_not_what_was_committed_is_done_again(
    desk: Desk, out: Path, damage: str
) -> None:
    kill_in(desk, out, part=3)
    part, receipt = out / "records" / "part-00001.jsonl", out / "work" / "00001.json"
    path = receipt if damage.startswith("receipt") else part
    content = path.read_bytes()
    if damage.endswith("gone"):
        path.unlink()
    else:
        path.write_bytes(content[:-30] if damage.endswith("cut") else content[::-1])
    desk.resumed(out)


def test_two_runs_never_write_into_one_folder(desk: Desk, out: Path) -> None:
    first = frozen(desk, out, part=2)
    before = files(out)
    for options in (["--resume"], ["--overwrite"], ["--shard", "1/2"]):
        outcome = desk.explain(out, *options)
        assert outcome.exit_code == USAGE
        assert "another run is writing" in outcome.refusal()
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert "another run is writing" in outcome.refusal()
    assert files(out) == before
    first.kill()
    first.outcome()
    desk.resumed(out)


@pytest.mark.parametrize("options", [["--overwrite"], ["--resume"]])
def test_a_lock_that_a_dead_run_left_holds_nobody_back(
    desk: Desk, out: Path, options: list[str]
) -> None:
    kill_in(desk, out, part=1)
    assert (out / "work" / "lock").exists()
    assert desk.explain(out, *options).exit_code == QUARANTINED
    same(files(out), desk.whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that has room for some shards, and not for all."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300000", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def test_a_disk_that_is_full_keeps_what_is_committed(
    desk: Desk, small_disk: Path, out: Path
) -> None:
    full = small_disk / "out"
    outcome = desk.explain(full)
    assert outcome.exit_code == OUTPUT
    assert "No space left on device" in outcome.refusal()
    committed = seen_to_be_sound(full, desk)
    assert desk.explain(full, "--resume").exit_code == OUTPUT
    assert seen_to_be_sound(full, desk) >= committed
    shutil.copytree(full, out)
    desk.resumed(out)


def seen_to_be_sound(out: Path, desk: Desk) -> set[str]:
    """See that what has its name is whole, and that nothing else is left; return the parts."""
    left = files(out)
    assert not [name for name in left if name.endswith(".tmp")]
    parts = {name for name in left if name.startswith("records/")}
    assert parts
    assert all(left[name] == desk.whole[name] for name in parts)
    return parts


def test_a_limit_to_the_size_of_files_is_a_full_disk(desk: Desk, out: Path) -> None:
    outcome = desk.warm.run(desk.arguments(out), file_size=100_000)
    assert outcome.exit_code == OUTPUT
    assert f"part-{LONG // SHARD_ROWS:05d}.jsonl cannot be written" in outcome.refusal()
    assert len(seen_to_be_sound(out, desk)) == LONG // SHARD_ROWS
    desk.resumed(out)


def test_a_disk_without_room_for_the_plan_is_told(desk: Desk, out: Path) -> None:
    outcome = desk.warm.run(desk.arguments(out), file_size=1000)
    assert outcome.exit_code == OUTPUT
    assert "cannot be written" in outcome.refusal()
    desk.resumed(out)


@pytest.mark.parametrize("place", ["/proc/out", "/dev/null/out", "/proc/self/out/out"])
def test_a_place_that_takes_no_folder_is_told(desk: Desk, place: str) -> None:
    outcome = desk.explain(Path(place))
    assert outcome.exit_code in {USAGE, OUTPUT}
    assert place in outcome.refusal()


@pytest.mark.parametrize("options", [[], ["--resume"], ["--overwrite"], ["--shard", "1/1"]])
@pytest.mark.parametrize("name", ["", "records", "work", "pages"])
def test_a_folder_that_is_a_link_is_refused(
    desk: Desk, out: Path, tmp_path: Path, name: str, options: list[str]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = out / name if name else out
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target, target_is_directory=True)
    outcome = desk.explain(out, *options)
    assert outcome.exit_code == USAGE, outcome.stderr
    outcome.refusal()
    assert list(target.iterdir()) == []


PLANTED = [
    "records/part-00003.jsonl.tmp",
    "records/part-00003.jsonl",
    "work/00003.json.tmp",
    "work/00003.json",
    "manifest.json.tmp",
    "index.html.tmp",
    "index.html",
    "pages/page-0001.html.tmp",
    "work/00003.journal",
    "work/lock",
]


@pytest.mark.parametrize("name", PLANTED)
def test_nothing_is_written_through_a_link(
    desk: Desk, out: Path, tmp_path: Path, name: str
) -> None:
    kill_in(desk, out, part=2)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link = out / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    outcome = desk.explain(out, "--resume")
    assert victim.read_bytes() == b"mine"
    if outcome.exit_code == QUARANTINED:
        same(files(out), desk.whole)
        assert not link.is_symlink()
    else:
        assert outcome.exit_code in {USAGE, OUTPUT}
        assert str(link) in outcome.refusal()


def test_two_halves_at_once_are_a_whole(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    codes = {each.outcome().exit_code for each in both}
    assert codes <= {DONE, QUARANTINED}
    finished_by_report(desk, out)


def finished_by_report(desk: Desk, out: Path) -> None:
    """Have `report` finish a run; see that it is what one process leaves."""
    assert not (out / "index.html").exists()
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == DONE, outcome.stderr
    same(files(out), desk.whole)


def test_shards_are_explained_in_any_order(desk: Desk, out: Path) -> None:
    codes = [desk.explain(out, "--shard", f"{n}/3").exit_code for n in (3, 1)]
    assert codes == [DONE, DONE]
    before = files(out)
    outcome = desk.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert all(f" {n}," in outcome.refusal() or f" {n}\n" in outcome.stderr for n in (1, 4, 7, 10))
    assert files(out) == before
    assert desk.explain(out, "--shard", "2/3").exit_code == QUARANTINED
    finished_by_report(desk, out)


def test_many_processes_may_have_the_same_share(desk: Desk, out: Path) -> None:
    running = [desk.start(out, "--shard", "1/1") for _ in range(3)]
    assert {each.outcome().exit_code for each in running} == {QUARANTINED}
    finished_by_report(desk, out)


def test_a_share_that_is_killed_is_taken_up_again(desk: Desk, out: Path) -> None:
    both = [desk.start(out, "--shard", f"{n}/2") for n in (1, 2)]
    wait_for((out / "records" / "part-00002.jsonl").exists, both[0])
    both[0].kill()
    outcomes = [each.outcome() for each in both]
    assert outcomes[0].exit_code == -signal.SIGKILL
    assert outcomes[1].exit_code in {DONE, QUARANTINED}
    desk.resumed(out)


OTHER = {
    "--noise": ["--noise", "0.02"],
    "--samples": ["--samples", "4"],
    "--seed": ["--seed", "1"],
    "--target": ["--target", "ham"],
    "--max-length": ["--max-length", "16"],
    "--dtype": ["--dtype", "bfloat16"],
    "--batch-tokens": ["--batch-tokens", "300"],
    "--reduction": ["--reduction", "dot"],
    "--shard-rows": ["--shard-rows", "50"],
    "--limit": ["--limit", "500"],
    "--text-column": ["--text-column", "id"],
    "--label-column": ["--label-column", "id"],
    "--stride": ["--stride", "4"],
    "--attention": ["--attention", "eager"],
}


@pytest.fixture(scope="module")
def unfinished(desk: Desk) -> Path:
    """A run that was killed, for tests that must not change it."""
    out = desk.home / "unfinished"
    kill_in(desk, out, part=2)
    return out


@pytest.mark.parametrize("option", OTHER)
@pytest.mark.parametrize("going_on", [["--resume"], ["--shard", "1/2"]])
def test_a_run_goes_on_with_the_options_it_was_begun_with(
    desk: Desk, unfinished: Path, option: str, going_on: list[str]
) -> None:
    before = files(unfinished)
    outcome = desk.explain(unfinished, *going_on, *OTHER[option])
    assert outcome.exit_code == USAGE, outcome.stderr
    assert option in outcome.refusal()
    assert files(unfinished) == before


def change_model(desk: Desk, home: Path) -> dict[str, Path | str]:
    model = shutil.copytree(desk.model, home / "bert")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    return {"model": model}


def change_tokenizer(desk: Desk, home: Path) -> dict[str, Path | str]:
    model = shutil.copytree(desk.model, home / "bert")
    path = model / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return {"model": model}


def change_input(desk: Desk, home: Path) -> dict[str, Path | str]:
    texts = home / "texts.jsonl"
    texts.write_bytes(desk.texts.read_bytes().replace(b'"ham"', b'"HAM"', 1))
    return {"texts": texts}


def shorten_input(desk: Desk, home: Path) -> dict[str, Path | str]:
    texts = home / "texts.jsonl"
    texts.write_bytes(desk.texts.read_bytes()[:-1])
    return {"texts": texts}


@pytest.mark.parametrize("going_on", [["--resume"], ["--shard", "1/2"]])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_model, "model"),
        (change_tokenizer, "tokenizer"),
        (change_input, "texts.jsonl"),
        (shorten_input, "texts.jsonl"),
    ],
)
def test_a_run_goes_on_with_the_files_it_was_begun_with(
    desk: Desk,
    unfinished: Path,
    tmp_path: Path,
    change: Callable[[Desk, Path], dict[str, Path | str]],
    named: str,
    going_on: list[str],
) -> None:
    before = files(unfinished)
    outcome = desk.explain(unfinished, *going_on, **change(desk, tmp_path))
    assert outcome.exit_code == USAGE, outcome.stderr
    assert named in outcome.refusal()
    assert files(unfinished) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--resume", "--overwrite"],
        ["--shard", "1/2", "--overwrite"],
        ["--shard", "1/2", "--fail-on", "accuracy<0.9"],
        ["--shard", "0/2"],
        ["--shard", "3/2"],
        ["--shard", "1"],
        ["--shard", "1/0"],
        ["--shard", "a/b"],
        ["--shard-rows", "0"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_are_refused(
    desk: Desk, out: Path, options: list[str]
) -> None:
    outcome = desk.explain(out, *options)
    assert outcome.exit_code == USAGE
    assert options[0] in outcome.stderr
    assert not out.exists()


@pytest.fixture(scope="module")
def piped(desk: Desk) -> Files:
    """What an undisturbed run over standard input leaves."""
    out = desk.home / "piped"
    assert from_pipe(desk, out, desk.texts.read_bytes()).outcome().exit_code == QUARANTINED
    return files(out)


def from_pipe(desk: Desk, out: Path, content: bytes, *options: str, ends: bool = True) -> Running:
    """Start a run whose standard input is a pipe that gives `content`, and then ends or stalls."""
    fifo = desk.home / f"fifo-{desk.warm.started}"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR)  # so that neither end waits for the other to be opened
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.write(pipe, content)
    running = desk.warm.start(desk.arguments(out, *options, texts="-"), stdin=fifo)
    wait_for(lambda: Path(f"/proc/{running.pid}/fd/0").resolve() == fifo.resolve(), running)
    if ends:
        os.close(pipe)
    return running


def test_standard_input_is_kept_until_a_run_is_finished(
    desk: Desk, piped: Files, out: Path
) -> None:
    running = from_pipe(desk, out, desk.texts.read_bytes())
    wait_for((out / "records" / "part-00002.jsonl.tmp").exists, running)
    running.kill()
    running.outcome()
    assert (out / "work" / "input").read_bytes() == desk.texts.read_bytes()
    outcome = desk.explain(out, "--resume", texts="-")
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    same(files(out), piped)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED), (signal.SIGKILL, -9)],
)
def test_a_pipe_that_stalls_can_be_left(
    desk: Desk, piped: Files, out: Path, number: signal.Signals, code: int
) -> None:
    content = desk.texts.read_bytes()
    running = from_pipe(desk, out, content[: len(content) // 2], ends=False)
    wait_a_while(running, 1)
    running.kill(number)
    assert running.outcome().exit_code == code
    outcome = from_pipe(desk, out, content, "--resume").outcome()
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    same(files(out), piped)


KILLER = """
import os
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask):
        if (input_ids == DEADLY).any():
            os._exit(9)
        mask = attention_mask[..., None]
        hidden = (self.embedding(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        return self.head(hidden.tanh())
"""


@pytest.fixture(scope="module")
def calm(desk: Desk) -> Path:
    """A module of a user's own, its weights, a tokenizer; the module lives through every text."""
    home = desk.home / "own"
    home.mkdir()
    tokenizer = wordpiece()
    tokenizer.save_pretrained(home)
    torch.manual_seed(3)
    weights = {
        "embedding.weight": torch.randn(len(tokenizer), 8),
        "head.weight": torch.randn(2, 8),
        "head.bias": torch.randn(2),
    }
    torch.save(weights, home / "weights.pt")
    deadly = tokenizer.convert_tokens_to_ids("late")
    code = KILLER.replace("VOCABULARY", str(len(tokenizer)))
    (home / "calm.py").write_text(code.replace("DEADLY", "-1"))
    (home / "killer.py").write_text(code.replace("DEADLY", str(deadly)))
    return home


DEADLY = {5: "when the prize was late", 6: "late"}
"""Texts with the word that kills, by their row."""


def own_arguments(home: Path, texts: Path, out: Path, *options: str, module: str) -> list[str]:
    arch = ("--arch", f"{home / module}.py:Net", "--embedding-layer", "embedding")
    rows = ("--device", "cpu", "--samples", "2", "--shard-rows", "4")
    return [
        "explain",
        str(home / "weights.pt"),
        str(texts),
        "--out",
        str(out),
        *arch,
        *rows,
        *options,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("deadly", [{5}, {5, 6}], ids=["one row", "two rows"])
def test_a_row_that_kills_its_process_is_found_and_no_other_is_touched(
    desk: Desk, calm: Path, tmp_path: Path, deadly: set[int]
) -> None:
    texts, out, expected = tmp_path / "t.jsonl", tmp_path / "out", tmp_path / "expected"
    chance = random.Random(1)  # noqa: S311
    words = [word for word in WORDS if word != "late"]
    rows = [" ".join(chance.choices(words, k=chance.randint(1, 8))) for _ in range(12)]
    rows = [DEADLY[n] if n in deadly else row for n, row in enumerate(rows)]
    texts.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    assert desk.warm.run(own_arguments(calm, texts, expected, module="calm")).exit_code == DONE
    for options in ([], ["--resume"]):
        killed = desk.warm.run(own_arguments(calm, texts, out, *options, module="killer"))
        assert (killed.exit_code, killed.stderr) == (9, "")
    outcome = desk.warm.run(own_arguments(calm, texts, out, "--resume", module="killer"))
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    found, sound = (lines_of(folder) for folder in (out, expected))
    assert [n for n in range(12) if found[n] != sound[n]] == sorted(deadly)
    for n in deadly:
        record = json.loads(found[n])
        assert (record["status"], record["ordinal"], record["line"]) == ("quarantined", n, n + 1)
        assert record["reason"].startswith("the process died")
    assert not (out / "work").exists()
    assert not [*out.rglob("*.tmp")]
    before = files(out)
    assert (
        desk.warm.run(own_arguments(calm, texts, out, "--resume", module="killer")).exit_code == 4
    )
    same(files(out), before)


def with_child(desk: Desk, out: Path) -> tuple[Running, Running]:
    """Kill a shard's process twice, and return the third with the child that it lets try."""
    journal = out / "work" / "00000.journal"
    for deaths in (1, 2):
        running = desk.start(out, "--resume")
        wait_for(partial(begun, journal, deaths), running)
        running.kill()
        running.outcome()
    parent = desk.start(out, "--resume")
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    wait_for(lambda: "multiprocessing.spawn" in last_command(children), parent)
    return parent, Running(int(children.read_text().split()[-1]), out, desk.warm)


def test_a_child_does_nothing_once_its_parent_is_dead(desk: Desk, out: Path) -> None:
    parent, child = with_child(desk, out)
    wait_a_while(parent, 0.5)
    parent.kill()
    assert parent.outcome().exit_code == -signal.SIGKILL
    wait_a_while(child, 60)
    assert child.ended
    assert not [*(out / "records").glob("*.jsonl")]
    desk.resumed(out)


@pytest.mark.parametrize("seconds", [0.2, 2.5])
def test_a_terminal_that_stops_parent_and_child_is_told_once(
    desk: Desk, out: Path, seconds: float
) -> None:
    parent, child = with_child(desk, out)
    wait_a_while(child, seconds)
    child.kill(signal.SIGINT)
    time.sleep(0.1)
    parent.kill(signal.SIGINT)
    outcome = parent.outcome()
    assert (outcome.exit_code, outcome.stderr) == (INTERRUPTED, "error: stopped by SIGINT\n")
    assert child.ended


def begun(journal: Path, attempts: int) -> bool:
    """Say whether so many attempts at a shard have come to some of its rows."""
    told = journal.read_text().split('"attempt"') if journal.exists() else []
    return sum('"rows"' in each for each in told) >= attempts


def last_command(children: Path) -> str:
    """Return the command line of the child that was started last."""
    pids = children.read_text().split()
    return Path(f"/proc/{pids[-1]}/cmdline").read_text() if pids else ""


def lines_of(out: Path) -> list[str]:
    parts = sorted((out / "records").iterdir())
    return [line for part in parts for line in part.read_text(encoding="utf-8").splitlines()]


def test_a_new_run_does_not_read_the_input_of_the_one_it_replaces(
    desk: Desk, piped: Files, out: Path
) -> None:
    content = desk.texts.read_bytes()
    running = from_pipe(desk, out, content[: len(content) // 2])
    wait_for((out / "records" / "part-00001.jsonl.tmp").exists, running)
    running.kill()
    running.outcome()
    outcome = from_pipe(desk, out, content, "--overwrite").outcome()
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    same(files(out), piped)
