"""Which files of a folder are read as its tokenizer, and what none of them may name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.file_checks import check_file, check_folder, is_plain_file_name
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.tokenizer_checks import MAX_FILE_BYTES, check_growth
from saliency_cli.errors import CheckpointError
from saliency_cli.model.transformers_import import tokenizer_class_from_name
from saliency_cli.safe_text import excerpt, visible

CONFIG = "the tokenizer's config"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
TOKENIZER_FILE = "tokenizer.json"
SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
TOKENIZER_FILES = (
    TOKENIZER_FILE,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    *SENTENCEPIECE_FILES,
)
OTHER_FILES = ("*.model", "*.spm", "tekken.json", "chat_template.jinja")
TEMPLATES = "additional_chat_templates/*.jinja"
"""Patterns of further files that transformers reads where they exist, whatever the class is."""
VERSIONED_FILES = "fast_tokenizer_files"
"""The key of a config that lists a `tokenizer.json` for each version of transformers."""
_PATH_ARGUMENTS = ("vocab", "merges")
"""Arguments of tokenizers' constructors that take the path of a file or its content."""


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of `folder` that show that it holds a tokenizer."""
    return _existing(folder, TOKENIZER_FILES)


def read_files(folder: Path, tokenizer: Any = None) -> list[Path]:  # noqa: ANN401
    """Return every file of `folder` that is read when its tokenizer is loaded.

    Args:
        folder: The tokenizer's folder.
        tokenizer: The loaded tokenizer, whose class may name more files; None before it is loaded.
    """
    config = folder / TOKENIZER_CONFIG
    content = read_object(config, what=CONFIG) if config.exists() else {}
    own = () if tokenizer is None else filter(None, tokenizer.vocab_files_names.values())
    named = _existing(folder, [*TOKENIZER_FILES, *_versioned_names(content, path=config), *own])
    matched = [path for pattern in (*OTHER_FILES, TEMPLATES) for path in folder.glob(pattern)]
    return [*dict.fromkeys([*named, *sorted(matched)])]


def check_tokenizer_files(folder: Path) -> dict[str, None]:
    """Check the files of a tokenizer before a library opens one.

    Returns:
        Arguments for `from_pretrained`, which replace the paths in the tokenizer's config: older
        versions of transformers saved such paths, and they name files of another machine.

    Raises:
        CheckpointError: A file is not what it should be, or names code or a file elsewhere.
    """
    check_folder(folder)
    for path in read_files(folder):
        check_file(path, what="a tokenizer file", max_bytes=MAX_FILE_BYTES)
    _check_special_tokens(folder / SPECIAL_TOKENS_MAP)
    path = folder / TOKENIZER_CONFIG
    content = read_object(path, what=CONFIG) if path.exists() else {}
    for file in _existing(folder, [TOKENIZER_FILES[0], *_versioned_names(content, path=path)]):
        check_growth(file)
    _check_class(content, path=path)
    _refuse_paths(content, _PATH_ARGUMENTS, path=path)
    return dict.fromkeys(_old_paths(content))


def _existing(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).exists()]


def _versioned_names(content: dict[str, Any], *, path: Path) -> list[str]:
    """Return the file names that a tokenizer's config lists; they must be in its own folder."""
    names = content.get(VERSIONED_FILES, [])
    for name in names if isinstance(names, list) else [names]:
        if not is_plain_file_name(name):
            raise CheckpointError(
                f"{visible(str(path))}: {VERSIONED_FILES} names '{excerpt(str(name))}', which is "
                "not a plain file name",
                "put the file beside its config",
            )
    return [*names]


def _old_paths(content: dict[str, Any]) -> list[str]:
    """Return the keys under which older versions of transformers saved the paths of files."""
    return [key for key, value in content.items() if key.endswith("_file") and value]


def _check_special_tokens(path: Path) -> None:
    """Raise `CheckpointError` if the map of special tokens holds the path of a file.

    transformers takes all of its values as arguments of the tokenizer, and the last.
    """
    if path.exists():
        content = read_object(path, what="the map of special tokens")
        _refuse_paths(content, [*_old_paths(content), *_PATH_ARGUMENTS], path=path)


def _refuse_paths(content: dict[str, Any], keys: Iterable[str], *, path: Path) -> None:
    for key in keys:
        if isinstance(content.get(key), str):
            raise CheckpointError(
                f"{visible(str(path))} names a file: '{excerpt(key)}'",
                f"remove it, and put the file into the folder of {path.name}",
            )


def _check_class(content: dict[str, Any], *, path: Path) -> None:
    """Raise `CheckpointError` if a config has `auto_map` but no standard class to use instead."""
    name = content.get("tokenizer_class")
    if not content.get("auto_map") or (
        isinstance(name, str) and tokenizer_class_from_name(name) is not None
    ):
        return
    raise CheckpointError(
        f"{visible(str(path))}: auto_map requires code that comes with the tokenizer, "
        "which is never run",
        "set tokenizer_class to a class of transformers, or give another folder by --tokenizer",
    )
