"""Folders for a run, in every state that a fuzzer tries: foreign files, links, damaged runs."""

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from saliency_cli.runs.ownership import has_run_name

RUN_FILES = (
    "index.html",
    "index.html.tmp",
    "manifest.json",
    "manifest.json.tmp",
    "suspects.json",
    "pages/page-0001.html",
    "pages/page-0009.html",
    "pages/index-0001.js",
    "pages/page-0001.html.tmp",
    "records/part-00000.jsonl",
    "records/part-00007.jsonl",
    "records/part-00000.jsonl.tmp",
    "work/lock",
    "work/input",
    "work/input.tmp",
    "work/token",
    "work/00000.json",
    "work/00000.json.tmp",
    "work/00000.journal",
)
"""Paths of the files that a run writes."""
OTHER_FILES = ("thesis.txt", "pages/thesis.txt", "records/thesis.jsonl", "work/thesis.txt")
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 0.5, 1e308, 2**70, "", "x", "\x1b[31m", "a\nb", "9" * 3000),
    *([], {}, [[]], [None], {"": {}}, {"schema": 1}, float("nan"), "\ud800", [0] * 1000),
)
"""JSON values that replace one of a manifest or a record."""


@dataclass(frozen=True, slots=True)
class State:
    """What a fuzzer made of a run folder.

    Attributes:
        words: What was done, for a message.
        foreign: Paths below the folder that no run wrote.
    """

    words: list[str]
    foreign: set[str]

    def may_change(self, file: str) -> bool:
        """Whether a run may write or remove a file of the folder, or its folder "pages"."""
        if {file, file.partition("/")[0]} & self.foreign:
            return False
        return has_run_name(file) or file in {"pages", "records", "work"}


def make_state(out: Path, command: str, bases: Mapping[str, Path], rng: random.Random) -> State:
    """Write a run folder in a state drawn at random, and return what was done.

    Args:
        out: The folder, which does not exist.
        command: The command that gets the folder; it decides which states are common.
        bases: Folders to begin with, by name.
        rng: Draws the state.
    """
    state = State([], set())
    base = rng.choice(_COMMON_BASES.get(command, ("absent",)))
    state.words.append(base)
    if base in bases:
        shutil.copytree(bases[base], out)
    elif base == "empty":
        out.mkdir()
    for _ in range(rng.choice([0, 0, 0, 1, 1, 1, 2, 3]) if command in _COMMON_BASES else 0):
        change = rng.choice(_CHANGES)
        done = change(out, rng, state.foreign)
        state.words.append(f"{change.__name__}{done}")
    if base in bases and rng.random() < 0.5:
        _renew_hashes(out)
    return state


_COMMON_BASES = {
    "explain": (*("absent",) * 4, "empty", "finished", "varied", "unfinished"),
    "report": (*("finished", "varied") * 4, "unfinished", "empty", "absent"),
    "export": (*("finished", "varied") * 4, "unfinished", "empty", "absent"),
}


def _plant(out: Path, rng: random.Random, foreign: set[str]) -> str:
    """Write a user's file."""
    name = rng.choice(RUN_FILES + OTHER_FILES)
    path = _cleared(out, name, foreign)
    path.write_bytes(b"mine" + rng.randbytes(rng.choice([0, 3, 2000])))
    foreign.add(name)
    return f" {name}"


def _plant_special(out: Path, rng: random.Random, foreign: set[str]) -> str:
    """Write a link, a FIFO, a folder or a sparse file; the victim of a link is a copy."""
    name = rng.choice((*RUN_FILES, *OTHER_FILES, "pages", "records", "work"))
    victim = out.parent / f"victim-{len(foreign)}"
    old = out / name
    victim.write_bytes(old.read_bytes() if _is_readable(old) else b"mine")
    path = _cleared(out, name, foreign)
    kind = rng.choice(["link", "dangling", "loop", "to_folder", "hard", "fifo", "folder", "sparse"])
    if kind == "hard":
        path.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        with path.open("wb") as stream:
            stream.truncate(2**40)
    else:
        targets = {"link": str(victim), "loop": path.name, "to_folder": str(out.parent / "kept")}
        path.symlink_to(targets.get(kind, "nowhere"))
    if kind != "folder" or "/" in name or "." in name:  # an empty one of a run's folders is nothing
        foreign.add(name)
    return f" {kind} {name}"


def _is_readable(path: Path) -> bool:
    """Whether a path is a file that a run may have written: no link, and not sparse."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size < 2**24


def _cleared(out: Path, name: str, foreign: set[str]) -> Path:
    """Return a path below the folder where nothing is, with the folders above it."""
    path = out / name
    for above in (out, path.parent):
        if above.is_symlink() or (above.exists() and not above.is_dir()):
            above.unlink()
            foreign.discard(str(above.relative_to(out)).removeprefix("."))
        above.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def _own_file(out: Path, rng: random.Random, foreign: set[str]) -> Path | None:
    """Return a plain file of the run, if there is one."""
    files = [out / name for name in RUN_FILES if name not in foreign]
    plain = [path for path in files if _is_readable(path)]
    inside = [path for path in plain if path.resolve().is_relative_to(out.resolve())]
    return rng.choice(inside) if inside else None


def _damage_bytes(out: Path, rng: random.Random, foreign: set[str]) -> str:
    """Cut, empty, remove, lengthen or change a file of the run."""
    path = _own_file(out, rng, foreign)
    if path is None:
        return " nothing"
    content = bytearray(path.read_bytes())
    how = rng.choice(["cut", "empty", "remove", "append", "flip", "double"])
    if how == "remove":
        path.unlink()
        return f" remove {path.name}"
    place = rng.randrange(len(content) + 1)
    if how == "flip" and content:
        content[place - 1] ^= 1 << rng.randrange(8)
    whole = bytes(content)
    appended = whole + rng.choice([b"\n", b"{}\n", b"\xff", b"a note\n"])
    path.write_bytes(
        {"cut": whole[:place], "empty": b"", "append": appended, "double": whole * 2}.get(
            how, whole
        )
    )
    return f" {how} {path.name}"


def _damage_json(out: Path, rng: random.Random, foreign: set[str]) -> str:
    """Change one value in the manifest, a record, a receipt or a journal."""
    names = ["manifest.json", "records/part-00000.jsonl", "work/00000.json", "work/00000.journal"]
    names = [name for name in (*names[:1], *names) if name not in foreign]
    path = out / rng.choice(names) if names else out
    try:
        lines = (
            path.read_text().splitlines() if path.name != "manifest.json" else [path.read_text()]
        )
        number = rng.randrange(len(lines))
        value = json.loads(lines[number])
    except (OSError, ValueError):
        return " nothing"
    where = _change_value(value, rng)
    indent = 2 if path.name == "manifest.json" else None
    lines[number] = json.dumps(value, indent=indent)
    path.write_text("\n".join(lines) + "\n")
    return f" {path.name} {where}"


def _change_value(value: Any, rng: random.Random) -> str:  # noqa: ANN401
    """Change a value inside a JSON value, and return where."""
    where = []
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(keys)
        where.append(str(key))
        inner = value[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.3:
            if rng.random() < 0.2:
                del value[key]
                return f"{'.'.join(where)} removed"
            value[key] = rng.choice(VALUES)
            return f"{'.'.join(where)} = {value[key]!r:.40}"
        value = inner
    return "nothing"


def _renew_hashes(out: Path) -> None:
    """Write the hashes of the records, as they are now, into the manifest that has some."""
    manifest = out / "manifest.json"
    part = out / "records" / "part-00000.jsonl"
    try:
        if not (_is_readable(manifest) and _is_readable(part)):
            return
        content = json.loads(manifest.read_text())
        content["shards"]["sha256"][0] = sha256(part.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return


def _replace_folder(out: Path, rng: random.Random, foreign: set[str]) -> str:
    """Put a file or a link in place of the folder."""
    if out.is_dir() and not out.is_symlink():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    foreign.clear()
    foreign.add("")
    kind = rng.choice(["file", "link", "dangling", "fifo"])
    if kind == "file":
        out.write_bytes(b"mine")
    elif kind == "fifo":
        os.mkfifo(out)
    else:
        out.symlink_to("kept" if kind == "link" else "nowhere")
    return f" {kind}"


Change = Callable[[Path, random.Random, set[str]], str]
_CHANGES: tuple[Change, ...] = (
    *(_plant, _plant_special, _damage_bytes, _damage_json) * 5,
    *(_damage_json,) * 5,
    _replace_folder,
)
