"""The tokenizer: a fast one, since only those know where in the text a token lies."""

import re
from pathlib import Path
from typing import Any

from tokenizers import Regex, models
from tokenizers.pre_tokenizers import Sequence, Split
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


def find_tokenizer(choice: ModelChoice) -> Path:
    """Return the tokenizer's folder: the one named, else MODEL or the folder that it lies in.

    Raises:
        UsageError: the folder named is not there.
        CheckpointError: the folder holds no tokenizer.
    """
    folder = choice.tokenizer or choice.checkpoint
    if not folder.exists():
        raise UsageError(f"{visible(str(folder))}: there is no such folder")
    if not folder.is_dir():
        folder = folder.parent
    if not tokenizer_files(folder):
        raise CheckpointError(
            f"{visible(str(folder))} holds no tokenizer", "name its folder with --tokenizer"
        )
    return folder


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
    _split_special_names(tokenizer)
    return tokenizer


def _split_special_names(tokenizer: Any) -> None:  # noqa: ANN401
    """Have the name of a special token that a text spells out taken apart like any other text.

    `split_special_tokens` keeps added tokens out of a text, but these models look up whole words
    (and Unigram whatever piece fits) in a vocabulary that holds the special tokens as well.
    """
    backend = tokenizer.backend_tokenizer
    if isinstance(backend.model, models.BPE) and not backend.model.ignore_merges:
        return  # reaches a token by merges alone, and none leads to a special one
    added = tokenizer.added_tokens_decoder.values()
    names = sorted(token.content for token in added if token.special and len(token.content) > 1)
    if not names:
        return
    first = Regex("|".join(f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in names))
    before = [backend.pre_tokenizer] if backend.pre_tokenizer else []
    backend.pre_tokenizer = Sequence([*before, Split(first, "isolated")])


def check_vocabulary(tokenizer: Any, *, rows: int | None, folder: Path) -> None:  # noqa: ANN401
    """See that every id of the tokenizer has a row in the embedding, where those are known.

    Raises:
        CheckpointError: one has not; the model was trained with another tokenizer.
    """
    token, highest = max(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    if rows is not None and highest >= rows:
        raise CheckpointError(
            f"{visible(str(folder))} does not fit the model: the tokenizer's ids reach {highest} "
            f"('{visible(token)}'), the embedding has {rows} rows",
            "give the tokenizer that the model was trained with, by --tokenizer",
        )
