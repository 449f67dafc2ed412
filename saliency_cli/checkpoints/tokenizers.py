"""The tokenizer: a fast one, since only those know where in the text a token lies."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tokenizers import Regex, models
from tokenizers.pre_tokenizers import Sequence, Split
from torch import nn
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from saliency_cli.checkpoints.file_checks import check_file, check_folder
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import visible
from saliency_cli.settings import ModelChoice

SETTINGS = "tokenizer_config.json"
MOST_BYTES = 256 << 20
"""The largest vocabularies in use take a tenth of that."""

TEXT = "A few plain words."

FILES = (
    "tokenizer.json",
    SETTINGS,
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
    return [folder / name for name in FILES if (folder / name).exists()]


def load_tokenizer(folder: Path, config: Any) -> Any:  # noqa: ANN401 - transformers' own classes
    """Load the tokenizer of a folder, running no code that lies there.

    Raises:
        CheckpointError: it cannot be read, asks for code of its own, takes no token, or does not
            know offsets.
        UsageError: the library does not tell what it cuts off a text.
    """
    _check_files(folder)
    with refusing(folder, "the tokenizer"), _silent():
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, local_files_only=True, trust_remote_code=False
        )
        tokenizer([TEXT, (TEXT, TEXT)])  # some mistakes show only when it is used
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{visible(str(folder))}: {type(tokenizer).__name__} cannot tell where a token lies",
            "save a fast tokenizer (tokenizer.json)",
        )
    if tokenizer.model_max_length < 1:
        raise CheckpointError(
            f"{visible(str(folder))}: the tokenizer takes {tokenizer.model_max_length} tokens",
            f"correct model_max_length in {SETTINGS}",
        )
    _check_overflow(tokenizer)
    _split_special_names(tokenizer)
    return tokenizer


def _check_overflow(tokenizer: Any) -> None:  # noqa: ANN401
    """See that what is cut off a text is told: records say so, and windows are made of it.

    Raises:
        UsageError: it is not, as in tokenizers 0.23.1 and 0.23.2 (their issue 2091).
    """
    text = " ".join([TEXT] * 4)
    room = tokenizer.num_special_tokens_to_add() + 2
    (whole,) = tokenizer([text]).encodings
    (kept,) = tokenizer([text], truncation=True, max_length=room).encodings
    told = sum(part.special_tokens_mask.count(0) for part in (kept, *kept.overflowing))
    if told < whole.special_tokens_mask.count(0):
        raise UsageError(
            f"tokenizers {version('tokenizers')} does not tell what it cuts off a text",
            "pip install 'tokenizers!=0.23.1,!=0.23.2'",
        )


def _check_files(folder: Path) -> None:
    check_folder(folder)
    for path in tokenizer_files(folder):
        check_file(path, what="a tokenizer file", most=MOST_BYTES)
    settings = folder / SETTINGS
    if settings.exists():
        _check_code(read_object(settings, what="the tokenizer's config"), path=settings)


def _check_code(content: dict[str, Any], *, path: Path) -> None:
    """See that a tokenizer with code of its own names a standard class, too, to serve instead."""
    name = content.get("tokenizer_class")
    if not content.get("auto_map") or (
        isinstance(name, str) and tokenizer_class_from_name(name) is not None
    ):
        return
    raise CheckpointError(
        f"{visible(str(path))}: auto_map asks for code that comes with the tokenizer, "
        "which is never run",
        "name a class of transformers as tokenizer_class, or give another folder by --tokenizer",
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Keep off stdout and stderr what Rust prints: odd options of a token, its last words.

    It writes past Python to the descriptors themselves; what it raises is raised all the same.
    """
    with ExitStack() as stack:
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            if stream is not None:  # else it is closed, and may by now be any file
                stack.enter_context(_muted(descriptor))
        yield


@contextmanager
def _muted(descriptor: int) -> Iterator[None]:
    kept = os.dup(descriptor)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


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
    """See that every id of the tokenizer, those that its template adds too, has an embedding row.

    Where the embedding is not known, neither are its rows.

    Raises:
        CheckpointError: one has not; the model was trained with another tokenizer.
    """
    ids = [*tokenizer.get_vocab().items(), *_sample(tokenizer, folder=folder)]
    token, highest = max(ids, key=lambda item: (item[1], item[0]))
    if rows is not None and highest >= rows:
        raise CheckpointError(
            f"{visible(str(folder))} does not fit the model: the tokenizer's ids reach {highest} "
            f"('{visible(token)}'), the embedding has {rows} rows",
            "give the tokenizer that the model was trained with, by --tokenizer",
        )


def _sample(tokenizer: Any, *, folder: Path) -> list[tuple[str, int]]:  # noqa: ANN401
    """Tokenize a text and a pair, since a template's tokens have ids that no vocabulary tells."""
    encodings = tokenizer([TEXT, (TEXT, TEXT)]).encodings
    tokens = [token for encoding in encodings for token in encoding.tokens]
    ids = [number for encoding in encodings for number in encoding.ids]
    if len(tokens) != len(ids):
        raise CheckpointError(
            f"{visible(str(folder))}: the tokenizer gives {len(tokens)} tokens and {len(ids)} ids",
            "correct the post_processor of tokenizer.json",
        )
    return list(zip(tokens, ids, strict=True))


def checked_pad(pad: int, *, rows: int | None, folder: Path) -> int:
    """Return the id for padding, having seen that it has a row in the embedding, where it is known.

    Raises:
        CheckpointError: it has none.
    """
    if rows is not None and not 0 <= pad < rows:
        raise CheckpointError(
            f"{visible(str(folder))}: the id for padding is {pad}, the embedding has {rows} rows",
            "correct pad_token_id in the config",
        )
    return pad


NO_ID = -1
"""Stands for a padding token in a config where no text may be padded: no token has this id."""


def settle_padding(module: nn.Module, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the id to pad with, and give one to a model that was saved without.

    GPT-2, Llama and their like look for the last token that is not padding, and refuse a batch if
    they know of none. The tokenizer's padding serves if no text holds it. Otherwise the last place
    is taken for the last token, which is right for texts of equal length; the probe finds that
    others cannot be padded.
    """
    config = getattr(module, "config", None)
    known = getattr(config, "pad_token_id", None)
    own = tokenizer.pad_token_id
    if config is not None and known is None:
        in_texts = own is None or own in tokenizer("")["input_ids"]
        config.pad_token_id = NO_ID if in_texts else own
    usable = (int(pad) for pad in (known, own) if pad is not None and pad >= 0)
    return next(usable, 0)
