"""Find the parts of a sentence-transformers folder with a head: a SetFit model, for instance.

`modules.json` lists the folders of the parts: the encoder, the pooling, and layers after it.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.contents import CheckpointFiles, SentenceFiles, SentenceStep
from saliency_cli.checkpoints.file_checks import check_file, is_plain_file_name
from saliency_cli.checkpoints.json_files import read_object, read_objects
from saliency_cli.checkpoints.sentence_head import PICKLED_HEAD, check_head_file, find_head
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible

MODULES_FILE = "modules.json"
SETTINGS_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
SETFIT_FILE = "config_setfit.json"
STEP_CONFIG = "config.json"
STEP_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ENCODER, POOLING, DENSE, NORMALIZE = "Transformer", "Pooling", "Dense", "Normalize"
LAYERS = (DENSE, NORMALIZE, "Dropout")
"""The last names of the classes in `modules.json` whose parts can be read. Dropout does nothing."""


def is_sentence_classifier(folder: Path) -> bool:
    """Whether a folder holds a sentence-transformers model with a head."""
    return (folder / MODULES_FILE).is_file() and find_head(folder) is not None


def has_pickled_head(folder: Path) -> bool:
    """Whether the head of a folder is a pickle, which only `--unsafe-pickle` opens."""
    head = find_head(folder) if is_sentence_classifier(folder) else None
    return head is not None and head.name == PICKLED_HEAD


def find_sentence_classifier(
    folder: Path, *, unsafe: bool, detect: Callable[[Path], CheckpointFiles]
) -> CheckpointFiles:
    """Return the files of a sentence-transformers folder with a head.

    Args:
        folder: The folder.
        unsafe: The user gave `--unsafe-pickle`.
        detect: Returns the files of the encoder in a folder.

    Raises:
        CheckpointError: A part is missing or of an unknown kind, or the head cannot be read.
    """
    encoder, *steps = _steps(folder)
    head = find_head(folder)
    if head is None:
        raise CheckpointError(f"{visible(str(folder))} holds no head")
    check_head_file(head, unsafe=unsafe)
    _check_prompts(folder / PROMPTS_FILE)
    found = detect(encoder.folder)
    settings = encoder.folder / SETTINGS_FILE
    sentence = SentenceFiles(folder, tuple(steps), head, max_length=_max_length(settings))
    beside = (folder / MODULES_FILE, settings, folder / PROMPTS_FILE, folder / SETFIT_FILE, head)
    parts = (each.folder / name for each in steps for name in (STEP_CONFIG, *STEP_WEIGHTS))
    extra = dict.fromkeys(path for path in (*beside, *parts) if path.is_file())
    for path in extra:
        check_file(path, what="a part of the model")
    return replace(
        found,
        format=f"sentence-transformers folder, head in {head.name}",
        files=tuple(dict.fromkeys((*found.files, *extra))),
        folders=tuple(dict.fromkeys((encoder.folder, folder))),
        sentence=sentence,
    )


def _steps(folder: Path) -> list[SentenceStep]:
    """Return the parts that `modules.json` lists."""
    path = folder / MODULES_FILE
    steps = [_step(folder, each) for each in read_objects(path, what="the list of modules")]
    kinds = [each.kind for each in steps]
    if kinds[:2] != [ENCODER, POOLING] or not set(kinds[2:]).issubset(LAYERS):
        raise CheckpointError(
            f"{visible(str(path))} lists {listed(kinds) or 'no module'}; expected {ENCODER}, "
            f"{POOLING}, and after them {listed(LAYERS)}"
        )
    return steps


def _step(folder: Path, content: dict[str, Any]) -> SentenceStep:
    path = visible(str(folder / MODULES_FILE))
    kind, where = str(content.get("type")).rpartition(".")[2], content.get("path", "")
    if where == "":
        return SentenceStep(kind, folder)
    if not is_plain_file_name(where):
        raise CheckpointError(f"{path} names '{excerpt(str(where))}', which is no folder beside it")
    return SentenceStep(kind, folder / str(where))


def _max_length(path: Path) -> int | None:
    """Return the longest input, in tokens; None if the settings name none."""
    if not path.is_file():
        return None
    settings = read_object(path, what="the encoder's settings")
    if settings.get("do_lower_case"):
        raise CheckpointError(
            f"{visible(str(path))}: do_lower_case is not supported",
            "let the normalizer of tokenizer.json write lower case, and remove do_lower_case",
        )
    length = settings.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise CheckpointError(f"{visible(str(path))}: max_seq_length is {excerpt(str(length))}")
    return length


def _check_prompts(path: Path) -> None:
    """Raise `CheckpointError` if the model puts a prompt before each text."""
    if path.is_file() and read_object(path, what="the model's prompts").get("default_prompt_name"):
        raise CheckpointError(
            f"{visible(str(path))}: default_prompt_name puts a prompt before each text, which is "
            "not supported",
            "set default_prompt_name to null, and write the prompt into the texts",
        )
