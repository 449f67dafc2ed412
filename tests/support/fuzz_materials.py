"""Models, texts, labels and templates, sound and broken, that a fuzzer names in command lines."""

import gzip
import json
import random
import shutil
from pathlib import Path

from tests.support.models import save_bert
from tests.support.user_modules import CODE, write_user_module

HOSTILE_NAME = "a\x1b[31mb\nc.jsonl"
_ROWS = [
    {"text": "free call now", "label": "spam", "id": "a"},
    {"text": "home is where the heart is", "label": "ham", "id": "b"},
    {"text": "you won a prize", "label": "spam", "id": 3},
    {"text": "ok", "label": 0},
]
_TABLE = 'text,label,id\nfree call now,spam,1\n"home, is",ham,2\nok,spam,3\n'
_BROKEN_ROWS = (
    b'{"text": "ok"}\n{"text": 3}\n{"text": ""}\n{"text": "  "}\n{"text": null}\nnot JSON\n[1]\n'
    b'{"text": "\\ud800"}\n{"text": "\xff"}\n{"text": NaN}\n\n{"id": 1}\n'
    b'{"text": "a", "text": "b"}\n'
)
_BROKEN_CODE = {
    "raises.py": "raise RuntimeError('no\\x1b[31m')\n",
    "exits.py": "import sys\nsys.exit(1)\n",
    "syntax.py": "def (:\n",
    "prints.py": CODE.replace("class Net", "print('printed by the module')\n\n\nclass Net"),
    "fails.py": CODE,
}


def write_materials(folder: Path) -> None:
    """Write everything that a command line may name into a folder.

    Args:
        folder: The folder, which is made.
    """
    folder.mkdir()
    _write_models(folder)
    for name, content in _texts().items():
        (folder / name).write_bytes(content)
    (folder / "folder.jsonl").mkdir()
    (folder / "dangling.jsonl").symlink_to("nowhere.jsonl")
    (folder / "linked.jsonl").symlink_to("good.jsonl")
    with (folder / "sparse.jsonl").open("wb") as stream:
        stream.truncate(2**26)
    _write_templates(folder)


def _texts() -> dict[str, bytes]:
    lines = "".join(json.dumps(row) + "\n" for row in _ROWS).encode()
    table = _TABLE.encode()
    noise = random.Random(0)  # noqa: S311
    return {
        "good.jsonl": lines,
        HOSTILE_NAME: lines,
        "good.csv": table,
        "good.tsv": table.replace(b",", b"\t"),
        "good.jsonl.gz": gzip.compress(lines, mtime=0),
        "good.csv.gz": gzip.compress(table, mtime=0),
        "pairs.jsonl": b'{"text": "free call", "pair": "now"}\n{"text": "ok", "pair": 1}\n',
        "many.jsonl": lines * 5,
        "gold.jsonl": b'{"text": "ok", "label": "nope"}\n{"text": "ok", "label": 99}\n'
        b'{"text": "ok", "label": [1]}\n{"text": "ok", "label": ["ham", "spam"]}\n',
        "ids.jsonl": b'{"text": "ok", "id": {"a": 1}}\n{"text": "ok", "id": "\\u001b[31m"}\n',
        "broken.jsonl": _BROKEN_ROWS,
        "broken.csv": b'text,label\n"open\nok,ham,3\nok\n"a"b,ham\n\xff\xfe,ham\nok,ham\n',
        "all_bad.jsonl": b"no\nno\n",
        "bom.csv": b"\xef\xbb\xbf" + table,
        "latin1.csv": "text\ncafé\n".encode("latin-1"),
        "utf16.csv": table.decode().encode("utf-16"),
        "binary.jsonl": noise.randbytes(5000),
        "binary.csv": noise.randbytes(5000),
        "nul.csv": b"text\na\0b\n\0\n",
        "empty.jsonl": b"",
        "empty.csv": b"",
        "header.csv": b"text,label\n",
        "blank.jsonl": b"\n\n\n",
        "twice.csv": b"text,text\na,b\n",
        "huge.csv": b"text,label\n" + b"word " * 20_000 + b",ham\n",
        "letters.jsonl": b'{"text": "' + b"a" * 20_000 + b'"}\n',
        "long_line.jsonl.gz": gzip.compress(b"a" * (2**23 + 9) + b"\n" + lines, mtime=0),
        "deep.jsonl": b"[" * 20_000 + b"\n" + lines,
        "cut.jsonl.gz": gzip.compress(lines * 9, mtime=0)[:-12],
        "not.jsonl.gz": b"\x1f\x8bno gzip",
        "noname": lines,
        "labels.txt": b"good\nbad\n",
        "labels.json": b'{"0": "ham", "1": "spam"}',
        "three.txt": b"a\nb\nc\n",
        "labels_broken.json": b'["a", ',
        "labels_hostile.txt": b"\x1b[31mred\n<script>\n",
    }


def _write_models(folder: Path) -> None:
    save_bert(folder / "bert")
    save_bert(folder / "multi", labels=("a", "b", "c"), problem="multi_label_classification")
    save_bert(folder / "regression", labels=("stars",))
    write_user_module(folder / "net")
    failing = {"fails.py": "raise RuntimeError('late') if late else None"}
    for name, code in _BROKEN_CODE.items():
        statement = failing.get(name, "pass")
        is_net = "{vocabulary}" in code
        text = code.format(vocabulary=78, late=14, statement=statement) if is_net else code
        (folder / "net" / name).write_text(text)
    for name in ("cut", "no_weights", "no_tokenizer", "bad_config", "other_head"):
        shutil.copytree(folder / "bert", folder / name)
    weights = folder / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-500])
    (folder / "no_weights" / "model.safetensors").unlink()
    (folder / "no_tokenizer" / "tokenizer.json").unlink()
    (folder / "bad_config" / "config.json").write_text('{"model_type": "bert", "num_labels": 1e9}')
    shutil.copy(folder / "multi" / "config.json", folder / "other_head" / "config.json")
    (folder / "no_folder").mkdir()
    (folder / "broken.pt").write_bytes(b"no model")
    (folder / "empty.pt").write_bytes(b"")


def _write_templates(folder: Path) -> None:
    for name, text in {
        "plain": "<p>{{ rows_read }} rows</p>",
        "syntax": "{% if %}",
        "undefined": "{{ nope.nope }}",
        "unsafe": "{{ ''.__class__.__mro__ }}",
        "division": "{{ 1 / 0 }}",
        "outside": "{% include '../../good.jsonl' %}",
        "bytes": "\udcff",
        "endless": "{% for i in range(10**9) %}x{% endfor %}",
    }.items():
        (folder / "templates" / name).mkdir(parents=True)
        content = text.encode("utf-8", "surrogateescape")
        (folder / "templates" / name / "index.html.j2").write_bytes(content)
