"""Hostile configs and tokenizers: code of their own, a hub to ask, absurd sizes, ids beyond."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.hostile import canary, hostile
from tests.support.models import save_gpt2
from tests.support.shell import Shell

Json = dict[str, Any]


def change(path: Path, edit: Callable[[Json], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def plant(shell: Shell) -> None:
    """Put a module into the model's folder that leaves the canary when it is imported."""
    code = f"open({str(canary(shell))!r}, 'w')\nclass Config: ...\nclass Tokenizer: ...\n"
    (shell.model / "evil.py").write_text(code)


def _config(name: str, told: str, *, guarded: bool = False, **changes: object) -> None:
    @hostile(f"config: {name}", told, guarded=guarded)
    def _(shell: Shell) -> None:
        plant(shell)
        shell.change_config(**changes)


_MAP = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Config"}
_KERNEL = "somebody/kernel"

_config("auto_map", "code that comes with the model", auto_map=_MAP, guarded=True)
_config("auto_map of a new type", "auto_map", auto_map=_MAP, model_type="evil", guarded=True)
_config("auto_map in a hub", "auto_map", auto_map={"AutoConfig": "a/b--c.D"}, guarded=True)
_config("auto_map below", "auto_map", text_config={"a": [{"auto_map": _MAP}]}, guarded=True)
_config("attention from a hub", _KERNEL, _attn_implementation=_KERNEL, guarded=True)
_config("attention, public key", _KERNEL, attn_implementation=_KERNEL, guarded=True)
_config("attention, internal", _KERNEL, _attn_implementation_internal=_KERNEL, guarded=True)
_config("attention below", _KERNEL, attn_implementation={"": "sdpa", "a": _KERNEL}, guarded=True)
_config("attention not built in", "flash_attention_2", attn_implementation="flash_attention_2")
_config("experts from a hub", _KERNEL, experts_implementation=_KERNEL, guarded=True)
_config("kernels from a hub", "use_kernels", use_kernels=True, guarded=True)
_config("quantized", "quantized", quantization_config={"quant_method": "gptq", "bits": 4})

_FAR = "far more parameters than the file holds"
_config("a vocabulary of 10^12", _FAR, vocab_size=10**12, guarded=True)
_config("a vocabulary of 10^8", _FAR, vocab_size=10**8, guarded=True)
_config("a width of 10^9", "the config", hidden_size=10**9, guarded=True)
_config("positions of 10^12", _FAR, max_position_embeddings=10**12, guarded=True)
_config("10,000 layers", _FAR, num_hidden_layers=10**4, guarded=True)
_config("10^6 layers", "num_hidden_layers is beyond", num_hidden_layers=10**6, guarded=True)
_config("10^9 labels", "num_labels is beyond", num_labels=10**9, id2label=None, guarded=True)
_config("a size of 10^400", "vocab_size is beyond", vocab_size=10**400)
_config("a negative size", "the config", hidden_size=-32)
_config("a size in words", "the config", hidden_size="wide")
_config("padding beyond the embedding", "the config", pad_token_id=9999)
_config("no labels", "id2label does not name each label once", id2label={})
_config("a kind of model that is no text classifier", "no text classifier", model_type="vit")


def _text(name: str, content: str, told: str, *, file: str = "config.json") -> None:
    @hostile(name, told, guarded=True)
    def _(shell: Shell) -> None:
        (shell.model / file).write_text(content)


_text("config: nested 100,000 deep", '{"a":' * 10**5, "config.json")
_text("config: nested 900 deep", '{"a":' * 900 + "1" + "}" * 900, "model_type")
_text("config: a key twice", '{"model_type": "bert", "model_type": "gpt2"}', "stands twice")
_text("config: NaN", '{"model_type": "bert", "dropout": NaN}', "NaN is not JSON")
_text("config: a list", '["bert"]', "no JSON object but a list")
_text("tokenizer: nested 100,000 deep", '{"a":' * 10**5, "tokenizer", file="tokenizer.json")


@hostile("config: padding that the model does not look up", "the id for padding is 9999")
def _(shell: Shell) -> Path:
    folder = save_gpt2(shell.home / "gpt2")
    change(folder / "config.json", lambda content: content.update(pad_token_id=9999))
    return folder


@hostile("config: 16 GB of nothing", "at most", guarded=True)
def _(shell: Shell) -> None:
    os.truncate(shell.model / "config.json", 1 << 34)


@hostile("tokenizer: 16 GB of nothing", "at most", guarded=True)
def _(shell: Shell) -> None:
    os.truncate(shell.model / "tokenizer.json", 1 << 34)


@hostile("tokenizer: a negative length", "takes -5 tokens")
def _(shell: Shell) -> None:
    path = shell.model / "tokenizer_config.json"
    change(path, lambda content: content.update(model_max_length=-5))


@hostile("tokenizer: auto_map and no standard class", "which is never run", guarded=True)
def _(shell: Shell) -> None:
    plant(shell)
    code = {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}}
    code["tokenizer_class"] = "Tokenizer"  # type: ignore[assignment]
    change(shell.model / "tokenizer_config.json", lambda content: content.update(code))


def _tokenizer(name: str, told: str, edit: Callable[[Json], object]) -> None:
    @hostile(f"tokenizer: {name}", told)
    def _(shell: Shell) -> None:
        change(shell.model / "tokenizer.json", edit)


def _template(content: Json) -> None:
    content["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [999_999]


def _tokenless(content: Json) -> None:
    content["post_processor"]["special_tokens"]["[CLS]"]["tokens"] = []


def _added(content: Json) -> None:
    token = content["added_tokens"][0] | {"id": 4_294_967_295, "content": "<new>"}
    content["added_tokens"].append(token)


def _charsmap(content: Json) -> None:
    content["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


_tokenizer("ids of the template beyond the embedding", "ids reach 999999", _template)
_tokenizer("a template of ids without tokens", "tokens and", _tokenless)
_tokenizer("ids of added tokens beyond the embedding", "does not fit the model", _added)
_tokenizer("a normalizer that makes the library panic", "cannot be read", _charsmap)
_tokenizer("no vocabulary", "tokenizer", lambda content: content["model"].pop("vocab"))
