"""Read the file of `--labels`, and write label names into a config."""

import json
from pathlib import Path
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.safe_text import visible


def read_label_file(path: Path) -> tuple[str, ...]:
    """Return the label names of a file, in the order of the logits.

    The file holds one name per line, or JSON: a list of names, or an object that maps each index
    to a name.

    Raises:
        UsageError: The file does not exist or is none of these.
    """
    if not path.is_file():
        raise UsageError(f"--labels: there is no file {visible(str(path))}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _from_json(text) if text.lstrip().startswith(("[", "{")) else text.split("\n")
    except (ValueError, RecursionError) as error:  # from decoding, and from JSON
        raise UsageError(f"--labels {visible(str(path))} cannot be read: {error}") from error
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise UsageError(
            f"--labels {visible(str(path))}: a line is empty", "write one label name on each line"
        )
    return tuple(names)


def _from_json(text: str) -> list[str]:
    content = json.loads(text)
    if isinstance(content, dict):
        if set(content) != {str(index) for index in range(len(content))}:
            raise ValueError("the keys are not the indexes from 0")
        content = [content[str(index)] for index in range(len(content))]
    if not all(isinstance(name, str) for name in content):
        raise ValueError("a name is not a string")
    return list(content)


def set_label_names(config: Any, names: tuple[str, ...] | None, *, outputs: int) -> None:  # noqa: ANN401
    """Write the number of logits into a config, and the label names if they are given.

    Args:
        config: The transformers config, changed in place.
        names: The names of `--labels`; None keeps the config's if their number fits, else
            transformers names the labels LABEL_0, LABEL_1, ….
        outputs: The number of logits.

    Raises:
        UsageError: There are more or fewer names than logits.
    """
    if names is not None and len(names) != outputs:
        raise UsageError(
            f"--labels names {len(names)} labels, but the model has {outputs} logits",
            "give a file with one label name for each logit",
        )
    if names is not None:
        config.id2label = dict(enumerate(names))
    elif config.num_labels != outputs:
        config.num_labels = outputs
