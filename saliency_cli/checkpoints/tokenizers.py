"""The tokenizer: a fast one, since only those know where in the text a token lies."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.escapes import visible
from saliency_cli.settings import ModelChoice

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


def find_tokenizer(choice: ModelChoice, folders: tuple[Path, ...]) -> Path:
    """Return the tokenizer's folder: the one named, else the first of MODEL's that holds one.

    Raises:
        UsageError: the folder named is not there.
        CheckpointError: no folder holds a tokenizer.
    """
    if choice.tokenizer is not None:
        if not choice.tokenizer.exists():
            raise UsageError(f"{visible(str(choice.tokenizer))}: there is no such folder")
        named = choice.tokenizer if choice.tokenizer.is_dir() else choice.tokenizer.parent
        folders = (named,)
    for folder in folders:
        if tokenizer_files(folder):
            return folder
    raise CheckpointError(
        f"{visible(str(folders[0]))} holds no tokenizer", "name its folder with --tokenizer"
    )


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of `folder` that a tokenizer is made of."""
    return [folder / name for name in FILES if (folder / name).is_file()]


def load_tokenizer(folder: Path, config: Any) -> Any:  # noqa: ANN401 - transformers' own classes
    """Load the tokenizer of a folder, running no code that lies there.

    Raises:
        CheckpointError: it cannot be read, or does not know offsets.
    """
    with refusing(folder, "the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, local_files_only=True, trust_remote_code=False
        )
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{visible(str(folder))}: {type(tokenizer).__name__} cannot tell where a token lies",
            "save a fast tokenizer (tokenizer.json)",
        )
    return tokenizer


def check_vocabulary(tokenizer: Any, *, rows: int, folder: Path) -> None:  # noqa: ANN401
    """See that every id of the tokenizer has a row in the embedding.

    Raises:
        CheckpointError: one has not; the model was trained with another tokenizer.
    """
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    if highest >= rows:
        raise CheckpointError(
            f"{visible(str(folder))} does not fit the model: the tokenizer's ids reach {highest} "
            f"('{visible(token)}'), the embedding has {rows} rows",
            "give the tokenizer that the model was trained with, by --tokenizer",
        )
