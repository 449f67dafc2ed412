"""The labels' names: those of a file that `--labels` names, else the config's."""

import json
from pathlib import Path
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.safe_text import visible


def read_label_file(path: Path) -> tuple[str, ...]:
    """Read one label a line, or JSON: a list of names, or an object of index to name.

    Raises:
        UsageError: the file is not there or is none of these.
    """
    if not path.is_file():
        raise UsageError(f"--labels: there is no file {visible(str(path))}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _from_json(text) if text.lstrip().startswith(("[", "{")) else text.split("\n")
    except (ValueError, RecursionError) as error:  # of the encoding, and of JSON
        raise UsageError(f"--labels {visible(str(path))} cannot be read: {error}") from error
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise UsageError(f"--labels {visible(str(path))}: a line is empty", "write a name in each")
    return tuple(names)


def _from_json(text: str) -> list[str]:
    content = json.loads(text)
    if isinstance(content, dict):
        if set(content) != {str(index) for index in range(len(content))}:
            raise ValueError("the keys are not the indexes from 0")
        content = [content[str(index)] for index in range(len(content))]
    if not all(isinstance(name, str) for name in content):
        raise ValueError("a name is no string")
    return list(content)


def name_labels(config: Any, names: tuple[str, ...] | None, *, outputs: int) -> None:  # noqa: ANN401
    """Write into the config how many logits there are, and their names if they are given.

    Raises:
        UsageError: there are more or fewer names than logits.
    """
    if names is not None and len(names) != outputs:
        raise UsageError(
            f"--labels names {len(names)} labels, and the model gives {outputs} logits"
        )
    if names is not None:
        config.id2label = dict(enumerate(names))
    elif config.num_labels != outputs:
        config.num_labels = outputs  # names them LABEL_0, LABEL_1 …
