"""Hostile configs and tokenizers: code, names of hub repositories, absurd sizes, invalid ids."""

import base64
import json
import os
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.hostile import hostile_case, marker_file
from tests.support.models import save_gpt2
from tests.support.shell import Shell

Json = dict[str, Any]


def edit_json(path: Path, edit: Callable[[Json], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def add_evil_module(shell: Shell) -> None:
    """Put a module into the model's folder that creates the marker file when it is imported."""
    code = f"open({str(marker_file(shell))!r}, 'w')\nclass Config: ...\nclass Tokenizer: ...\n"
    (shell.model / "evil.py").write_text(code)


def _config_case(name: str, message: str, *, isolated: bool = False, **changes: object) -> None:
    @hostile_case(f"config: {name}", message, isolated=isolated)
    def _(shell: Shell) -> None:
        add_evil_module(shell)
        shell.change_config(**changes)


_MAP = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Config"}
_KERNEL = "somebody/kernel"

_config_case("auto_map", "code that comes with the model", auto_map=_MAP, isolated=True)
_config_case("auto_map of a new type", "auto_map", auto_map=_MAP, model_type="evil", isolated=True)
_config_case("auto_map to a hub", "auto_map", auto_map={"AutoConfig": "a/b--c.D"}, isolated=True)
_config_case(
    "a nested auto_map", "auto_map", text_config={"a": [{"auto_map": _MAP}]}, isolated=True
)
_config_case("attention from a hub", _KERNEL, _attn_implementation=_KERNEL, isolated=True)
_config_case(
    "attention from a hub, public key", _KERNEL, attn_implementation=_KERNEL, isolated=True
)
_config_case(
    "attention from a hub, internal key",
    _KERNEL,
    _attn_implementation_internal=_KERNEL,
    isolated=True,
)
_config_case(
    "nested attention from a hub",
    _KERNEL,
    attn_implementation={"": "sdpa", "a": _KERNEL},
    isolated=True,
)
_config_case(
    "attention that is not built in", "flash_attention_2", attn_implementation="flash_attention_2"
)
_config_case("experts from a hub", _KERNEL, experts_implementation=_KERNEL, isolated=True)
_config_case("kernels from a hub", "use_kernels", use_kernels=True, isolated=True)
_config_case("quantized", "quantized", quantization_config={"quant_method": "gptq", "bits": 4})

_TOO_MANY = "far more parameters than the file holds"
_config_case("a vocabulary of 10^12", _TOO_MANY, vocab_size=10**12, isolated=True)
_config_case("a vocabulary of 10^8", _TOO_MANY, vocab_size=10**8, isolated=True)
_config_case("a width of 10^9", "the config", hidden_size=10**9, isolated=True)
_config_case("positions of 10^12", _TOO_MANY, max_position_embeddings=10**12, isolated=True)
_config_case("10,000 layers", _TOO_MANY, num_hidden_layers=10**4, isolated=True)
_config_case(
    "10^6 layers", "num_hidden_layers is out of range", num_hidden_layers=10**6, isolated=True
)
_config_case(
    "10^9 labels", "num_labels is out of range", num_labels=10**9, id2label=None, isolated=True
)
_config_case("a size of 10^400", "vocab_size is out of range", vocab_size=10**400)
_config_case("a negative size", "the config", hidden_size=-32)
_config_case("a size that is a string", "the config", hidden_size="wide")
_config_case("a padding id outside the embedding", "the config", pad_token_id=9999)
_config_case("no labels", "id2label does not name each label once", id2label={})
_config_case("a model type without a text classifier", "no text classifier", model_type="vit")


def _text_case(name: str, content: str, message: str, *, file: str = "config.json") -> None:
    @hostile_case(name, message, isolated=True)
    def _(shell: Shell) -> None:
        (shell.model / file).write_text(content)


_text_case("config: nested 100,000 deep", '{"a":' * 10**5, "config.json")
_text_case("config: nested 900 deep", '{"a":' * 900 + "1" + "}" * 900, "model_type")
_text_case("config: a repeated key", '{"model_type": "bert", "model_type": "gpt2"}', "occurs twice")
_text_case("config: NaN", '{"model_type": "bert", "dropout": NaN}', "NaN is not JSON")
_text_case("config: a list", '["bert"]', "a list, not a JSON object")
_text_case("tokenizer: nested 100,000 deep", '{"a":' * 10**5, "tokenizer", file="tokenizer.json")


@hostile_case("config: a padding id outside the embedding of GPT-2", "the padding id is 9999")
def _(shell: Shell) -> Path:
    folder = save_gpt2(shell.home / "gpt2")
    edit_json(folder / "config.json", lambda content: content.update(pad_token_id=9999))
    return folder


@hostile_case("config: 16 GB of zeros", "at most", isolated=True)
def _(shell: Shell) -> None:
    os.truncate(shell.model / "config.json", 1 << 34)


@hostile_case("tokenizer: 16 GB of zeros", "at most", isolated=True)
def _(shell: Shell) -> None:
    os.truncate(shell.model / "tokenizer.json", 1 << 34)


@hostile_case("tokenizer: a negative length", "model_max_length is -5")
def _(shell: Shell) -> None:
    path = shell.model / "tokenizer_config.json"
    edit_json(path, lambda content: content.update(model_max_length=-5))


@hostile_case("tokenizer: auto_map without a standard class", "which is never run", isolated=True)
def _(shell: Shell) -> None:
    add_evil_module(shell)
    code = {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}}
    code["tokenizer_class"] = "Tokenizer"  # type: ignore[assignment]
    edit_json(shell.model / "tokenizer_config.json", lambda content: content.update(code))


def _outside_tokenizer(shell: Shell) -> Path:
    """Copy the tokenizer to a place outside the model's folder, under a name with a version."""
    outside = shell.home / "outside"
    outside.mkdir()
    shutil.copy(shell.model / "tokenizer.json", outside / "tokenizer.4.0.0.json")
    return outside / "tokenizer.4.0.0.json"


def _versions_case(name: str, *files: object) -> None:
    @hostile_case(f"tokenizer: {name}", "is not a plain file name")
    def _(shell: Shell) -> None:
        _outside_tokenizer(shell)
        listed = {"fast_tokenizer_files": [*files]}
        edit_json(shell.model / "tokenizer_config.json", lambda content: content.update(listed))


_versions_case("a version in another folder", "tokenizer.json", "../outside/tokenizer.4.0.json")
_versions_case("a version with an absolute path", "/tmp/tokenizer.4.0.json")  # noqa: S108
_versions_case("a version that is a number", 4)


@hostile_case("tokenizer: a path among the special tokens", "names a file: 'tokenizer_file'")
def _(shell: Shell) -> None:
    path = {"tokenizer_file": str(_outside_tokenizer(shell))}
    (shell.model / "special_tokens_map.json").write_text(json.dumps(path))


@hostile_case("tokenizer: a vocabulary in another folder", "names a file: 'vocab'")
def _(shell: Shell) -> None:
    tokenizer = shell.model / "tokenizer.json"
    words = json.loads(tokenizer.read_text())["model"]["vocab"]
    vocabulary = shell.write("words.txt", "\n".join(words))
    tokenizer.unlink()
    path = {"vocab": str(vocabulary), "tokenizer_class": "BertTokenizer"}
    edit_json(shell.model / "tokenizer_config.json", lambda content: content.update(path))


def _tokenizer_case(name: str, message: str, edit: Callable[[Json], object]) -> None:
    @hostile_case(f"tokenizer: {name}", message)
    def _(shell: Shell) -> None:
        edit_json(shell.model / "tokenizer.json", edit)


def _template_id_too_large(content: Json) -> None:
    content["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [999_999]


def _template_without_tokens(content: Json) -> None:
    content["post_processor"]["special_tokens"]["[CLS]"]["tokens"] = []


def _added_id_too_large(content: Json) -> None:
    token = content["added_tokens"][0] | {"id": 4_294_967_295, "content": "<new>"}
    content["added_tokens"].append(token)


def _table(table: str, content: Json) -> None:
    content["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": table}


_tokenizer_case(
    "a template with ids outside the embedding", "ids reach 999999", _template_id_too_large
)
_tokenizer_case("a template with ids but no tokens", "tokens and", _template_without_tokens)
_tokenizer_case(
    "added tokens with ids outside the embedding", "does not fit the model", _added_id_too_large
)
_tokenizer_case(
    "a normalizer that makes the library panic", "cannot be read", partial(_table, "AAAA")
)
_tokenizer_case("a table that is not base64", "cannot be read", partial(_table, "A"))
_tokenizer_case("no vocabulary", "tokenizer", lambda content: content["model"].pop("vocab"))


def _replacing(content: Json, *, text: str, by: str, times: int) -> None:
    step = {"type": "Replace", "pattern": {"String": text}, "content": by}
    content["normalizer"] = {"type": "Sequence", "normalizers": [step] * times}


def charsmap(letter: str, by: str) -> bytes:
    """Return a SentencePiece table that replaces an ASCII letter.

    Its trie is a double array: a unit has the offset of its children above bit 10, bit 8 if a leaf
    follows, and the letter; a leaf has bit 31 and the replacement's index.
    """
    trie, node, leaf = [0] * 1024, 256 ^ ord(letter), 512
    trie[0] = 256 << 10
    trie[node] = (node ^ leaf) << 10 | 1 << 8 | ord(letter)
    trie[leaf] = 1 << 31
    units = struct.pack("<1024I", *trie)
    return struct.pack("<I", len(units)) + units + by.encode() + b"\0"


def _normalizer_case(name: str, step: Json, *, times: int) -> None:
    steps = {"type": "Sequence", "normalizers": [step] * times}
    _tokenizer_case(name, _GROWS, lambda content: content.update(normalizer=steps))


def _table_case(name: str, *, by: str, times: int) -> None:
    table = base64.b64encode(charsmap("e", by)).decode()
    step = {"type": "Precompiled", "precompiled_charsmap": table}
    _normalizer_case(name, step, times=times)


def _pretokenizer_case(name: str, message: str, step: Json, *, times: int) -> None:
    steps = {"type": "Sequence", "pretokenizers": [step] * times}
    _tokenizer_case(name, message, lambda content: content.update(pre_tokenizer=steps))


def _long_prefix(content: Json) -> None:
    content["normalizer"] = {"type": "Prepend", "prepend": "e" * 2000}


def _long_template(content: Json) -> None:
    content["post_processor"]["single"] *= 1000


_GROWS = "replaces a character by more than 64"
_tokenizer_case(
    "34 steps that double a letter", _GROWS, partial(_replacing, text="e", by="ee", times=34)
)
_tokenizer_case(
    "a replacement of 100 letters", _GROWS, partial(_replacing, text="", by="e" * 100, times=1)
)
_table_case("a table of SentencePiece with 100 letters", by="e" * 100, times=1)
_table_case("34 tables that double a letter", by="ee", times=34)
_normalizer_case("34 normalizers to bytes", {"type": "ByteLevel"}, times=34)
_BERT = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
_normalizer_case("10,000 normalizers of BERT", {"type": "BertNormalizer", **_BERT}, times=10**4)
_BYTES = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_pretokenizer_case("34 pre-tokenizers to bytes", _GROWS, {"type": "ByteLevel", **_BYTES}, times=34)
_METASPACE = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": True}
_pretokenizer_case("1,000 prefixes of words", "before a word", _METASPACE, times=1000)
_tokenizer_case("a prefix of 2,000 letters", "characters before a text", _long_prefix)
_tokenizer_case("a template of 3,000 tokens", "special tokens to a text", _long_template)
