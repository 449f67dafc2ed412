"""Find, check and load the tokenizer, and choose the id that texts are padded with.

Only fast tokenizers are accepted, since the others do not report where in the text a token is.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import Regex, models
from tokenizers.pre_tokenizers import Sequence, Split
from torch import nn

from saliency_cli.attribution.text_checks import special_names
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.tokenizer_checks import check_loaded_growth
from saliency_cli.checkpoints.tokenizer_files import (
    SENTENCEPIECE_FILES,
    TOKENIZER_CONFIG,
    TOKENIZER_FILE,
    check_tokenizer_files,
    tokenizer_files,
)
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.transformers_import import AutoTokenizer
from saliency_cli.safe_text import excerpt, visible
from saliency_cli.settings import ModelChoice

SAMPLE_TEXT = "A few plain words."

NO_TOKEN_ID = -1
"""The `pad_token_id` written into a config if no text may be padded: no token has this id."""


def find_tokenizer(choice: ModelChoice, folders: tuple[Path, ...]) -> Path:
    """Return the tokenizer's folder: `--tokenizer`, else the first of MODEL's that holds one.

    Args:
        choice: The user's options.
        folders: MODEL's folders, in the order in which they are searched.

    Raises:
        UsageError: The path of `--tokenizer` does not exist.
        CheckpointError: No folder holds a tokenizer.
    """
    if choice.tokenizer is not None:
        if not choice.tokenizer.exists():
            raise UsageError(f"{visible(str(choice.tokenizer))}: there is no such folder")
        is_folder = choice.tokenizer.is_dir()
        folders = (choice.tokenizer if is_folder else choice.tokenizer.parent,)
    for folder in folders:
        if tokenizer_files(folder):
            return folder
    raise CheckpointError(
        f"{visible(str(folders[0]))} holds no tokenizer", "name its folder with --tokenizer"
    )


def load_tokenizer(folder: Path, config: Any, *, keep_special: bool = False) -> Any:  # noqa: ANN401
    """Return the tokenizer of a folder; none of the folder's code is run.

    Args:
        folder: The tokenizer's folder.
        config: The model's transformers config, which may name the tokenizer's class; or None.
        keep_special: Whether the name of a special token inside a text is that token; else it is
            plain text.

    Raises:
        CheckpointError: The tokenizer cannot be read, requires code of its own, accepts no tokens,
            or does not report offsets.
        UsageError: The installed tokenizers library does not report truncated tokens.
    """
    replaced = check_tokenizer_files(folder)
    with (
        _sentencepiece_errors(folder),
        translate_errors(folder, "the tokenizer"),
        _silence_output(),
    ):
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, local_files_only=True, trust_remote_code=False, **replaced
        )
    return prepare_tokenizer(tokenizer, folder, keep_special=keep_special)


def prepare_tokenizer(tokenizer: Any, folder: Path, *, keep_special: bool = False) -> Any:  # noqa: ANN401
    """Return a tokenizer after the checks that need no file.

    Args:
        tokenizer: A tokenizer of transformers, changed in place.
        folder: The tokenizer's folder, or what else messages call it.
        keep_special: Whether names of special tokens in a text are special tokens, not plain text.

    Raises:
        CheckpointError: It accepts no tokens, or does not report offsets.
        UsageError: The installed tokenizers library does not report truncated tokens.
    """
    with translate_errors(folder, "the tokenizer"), _silence_output():
        if tokenizer.is_fast:
            check_loaded_growth(tokenizer.backend_tokenizer, folder)
        tokenizer([SAMPLE_TEXT, (SAMPLE_TEXT, SAMPLE_TEXT)])  # some errors appear only in use
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{visible(str(folder))}: {type(tokenizer).__name__} does not report token offsets",
            "save a fast tokenizer (tokenizer.json)",
        )
    if tokenizer.model_max_length < 1:
        raise CheckpointError(
            f"{visible(str(folder))}: model_max_length is {tokenizer.model_max_length}",
            f"correct model_max_length in {TOKENIZER_CONFIG}",
        )
    _check_overflow(tokenizer)
    tokenizer.split_special_tokens = not keep_special
    if not keep_special:
        _split_special_names(tokenizer)
    return tokenizer


@contextmanager
def _sentencepiece_errors(folder: Path) -> Iterator[None]:
    """Name the missing package if a SentencePiece model is all that a tokenizer's folder holds.

    transformers then asks for another package, tiktoken.
    """
    try:
        yield
    except CheckpointError as error:
        models_here = [name for name in SENTENCEPIECE_FILES if (folder / name).exists()]
        whole = (folder / TOKENIZER_FILE).exists()
        if whole or not models_here or find_spec("sentencepiece") is not None:
            raise
        raise CheckpointError(
            f"{visible(str(folder))} holds the tokenizer as {models_here[0]} alone, which the "
            "package sentencepiece reads",
            "pip install sentencepiece protobuf, or write tokenizer.json where they are installed: "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        ) from error


@contextmanager
def _silence_output() -> Iterator[None]:
    """Discard what the Rust library prints: unknown options of a token, panic messages.

    Rust writes to the file descriptors directly, so redirecting Python's streams is not enough.
    Exceptions pass as usual.
    """
    with ExitStack() as stack:
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            if stream is not None:  # else it is closed, and its number may belong to another file
                stack.enter_context(_redirect_to_null(descriptor))
        yield


@contextmanager
def _redirect_to_null(descriptor: int) -> Iterator[None]:
    original = os.dup(descriptor)
    with Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(original, descriptor)
        os.close(original)


def _check_overflow(tokenizer: Any) -> None:  # noqa: ANN401
    """Raise `UsageError` unless truncation reports the tokens that it removes.

    Records say whether a text was cut, and windows are made of the removed tokens. tokenizers
    0.23.1 and 0.23.2 do not report them (their issue 2091).
    """
    text = " ".join([SAMPLE_TEXT] * 4)
    max_length = tokenizer.num_special_tokens_to_add() + 2
    (whole,) = tokenizer([text]).encodings
    (cut,) = tokenizer([text], truncation=True, max_length=max_length).encodings
    reported = sum(part.special_tokens_mask.count(0) for part in (cut, *cut.overflowing))
    if reported < whole.special_tokens_mask.count(0):
        raise UsageError(
            f"tokenizers {version('tokenizers')} does not report the tokens that truncation "
            "removes",
            "pip install 'tokenizers!=0.23.1,!=0.23.2'",
        )


def _split_special_names(tokenizer: Any) -> None:  # noqa: ANN401
    """Make the tokenizer treat the name of a special token inside a text as plain text.

    `split_special_tokens` stops added tokens from matching. But WordPiece and WordLevel look up
    whole words, and Unigram any piece, in a vocabulary that also holds the special tokens. A
    pre-tokenizer therefore splits such a name behind its first character.
    """
    backend = tokenizer.backend_tokenizer
    if isinstance(backend.model, models.BPE) and not backend.model.ignore_merges:
        return  # BPE reaches a token by merges alone, and no merge produces a special token
    names = special_names(tokenizer)
    if not names:
        return
    first = Regex("|".join(f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in names))
    existing = [backend.pre_tokenizer] if backend.pre_tokenizer else []
    backend.pre_tokenizer = Sequence([*existing, Split(first, "isolated")])


def check_vocabulary(tokenizer: Any, *, rows: int | None, folder: Path) -> None:  # noqa: ANN401
    """Raise an error unless every id of the tokenizer and its template has an embedding row.

    Args:
        tokenizer: The tokenizer.
        rows: The number of embedding rows; None if it is unknown.
        folder: The tokenizer's folder, for messages.

    Raises:
        CheckpointError: An id has no row: the model was trained with another tokenizer.
    """
    ids = [*tokenizer.get_vocab().items(), *_template_ids(tokenizer, folder=folder)]
    token, highest = max(ids, key=lambda item: (item[1], item[0]))
    if rows is not None and highest >= rows:
        raise CheckpointError(
            f"{visible(str(folder))} does not fit the model: the tokenizer's ids reach {highest} "
            f"('{excerpt(token)}'), but the embedding has {rows} rows",
            "give the tokenizer that the model was trained with, by --tokenizer",
        )


def _template_ids(tokenizer: Any, *, folder: Path) -> list[tuple[str, int]]:  # noqa: ANN401
    """Return the tokens and ids of a sample text and a pair.

    They include those that the template adds, whose ids need not be in the vocabulary.
    """
    encodings = tokenizer([SAMPLE_TEXT, (SAMPLE_TEXT, SAMPLE_TEXT)]).encodings
    tokens = [token for encoding in encodings for token in encoding.tokens]
    ids = [number for encoding in encodings for number in encoding.ids]
    if len(tokens) != len(ids):
        raise CheckpointError(
            f"{visible(str(folder))}: the tokenizer gives {len(tokens)} tokens and {len(ids)} ids",
            "correct the post_processor of tokenizer.json",
        )
    return list(zip(tokens, ids, strict=True))


def choose_pad_id(module: nn.Module, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the id to pad with; set it in the config of a model that was saved without one.

    GPT-2, Llama and similar models find the last token that is not padding, and refuse a batch if
    their config names no padding id. They get the tokenizer's, if no text can contain it.
    Otherwise they get `NO_TOKEN_ID` and read the last position, which is right for texts of equal
    length; the probe then finds that texts cannot be padded.

    Args:
        module: The model; its config may be changed in place.
        tokenizer: Its tokenizer.
    """
    config = getattr(module, "config", None)
    model_pad = getattr(config, "pad_token_id", None)
    tokenizer_pad = tokenizer.pad_token_id
    if config is not None and model_pad is None:
        unusable = tokenizer_pad is None or tokenizer_pad in tokenizer("")["input_ids"]
        config.pad_token_id = NO_TOKEN_ID if unusable else tokenizer_pad
    valid = (int(pad) for pad in (model_pad, tokenizer_pad) if pad is not None and pad >= 0)
    return next(valid, 0)


def check_pad_id(pad_id: int, *, rows: int | None, folder: Path) -> None:
    """Raise an error unless the padding id has an embedding row.

    Args:
        pad_id: The id.
        rows: The number of embedding rows; None if it is unknown.
        folder: The tokenizer's folder, for messages.

    Raises:
        CheckpointError: The id has no row.
    """
    if rows is not None and not 0 <= pad_id < rows:
        raise CheckpointError(
            f"{visible(str(folder))}: the padding id is {pad_id}, but the embedding has {rows} "
            "rows",
            "correct pad_token_id in the config",
        )
