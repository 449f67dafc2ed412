"""Tiny classifiers of many architectures, each with the kind of tokenizer that its family uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from tests.support.models import TEXTS, WORDS, wordpiece

SENTENCES = (
    *TEXTS,
    "home is where the heart is, so call me when you are home",
    "a prize call, a free prize, and no text now or late",
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to build a tiny model of one architecture.

    Attributes:
        config: The name of its config class in transformers.
        tokenizer: A key of `TOKENIZERS`.
        options: Options of the config; None removes one of `SIZES` or of the tokenizer's ids.
        padding_blind: Whether padding leaves its logits unchanged, as the probe must find.
        weight_scale: Factor for the initial weights. With transformers' own, attention is nearly
            uniform and all labels are equally likely; T5's are large enough.
    """

    config: str
    tokenizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    padding_blind: bool = True
    weight_scale: float = 5


def bytelevel_bpe() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer as RoBERTa has."""
    return _roberta_style(add_prefix_space=False)


def prefixed_bpe() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer that puts a space before every text."""
    return _roberta_style(add_prefix_space=True)


def _roberta_style(*, add_prefix_space: bool) -> PreTrainedTokenizerFast:
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = _bytelevel(names, add_prefix_space=add_prefix_space)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _fast(tokenizer, bos="<s>", pad="<pad>", eos="</s>", unk="<unk>", cls="<s>", sep="</s>")


def endoftext_bpe() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer as GPT-2 has: no special tokens are added, no padding."""
    tokenizer = _bytelevel(["<|endoftext|>"], add_prefix_space=False)
    return _fast(tokenizer, eos="<|endoftext|>", bos="<|endoftext|>")


def padded_bpe() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer as Qwen has, which pads with `<|endoftext|>`."""
    tokenizer = _bytelevel(["<|endoftext|>", "<|im_end|>"], add_prefix_space=False)
    return _fast(tokenizer, eos="<|im_end|>", pad="<|endoftext|>")


def _bytelevel(names: list[str], *, add_prefix_space: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=names, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def fallback_bpe() -> PreTrainedTokenizerFast:
    """Build a BPE tokenizer as Llama has: `▁` for spaces, bytes for unknown characters."""
    letters = "▁abcdefghijklmnopqrstuvwxyz.,!?<>/[]|"
    merges = [("▁", "a"), ("▁", "h"), ("o", "m"), ("o", "w"), ("a", "l"), ("al", "l"), ("i", "s")]
    pieces = [*(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    pieces += ["".join(pair) for pair in merges]
    vocabulary = {piece: index for index, piece in enumerate(["<unk>", "<s>", "</s>", *pieces])}
    model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return _fast(tokenizer, bos="<s>", eos="</s>", unk="<unk>")


def unigram() -> PreTrainedTokenizerFast:
    """Build a Unigram tokenizer as T5 has: `▁` for spaces, `</s>` at the end."""
    return _unigram("$A </s>", ["</s>"])


def unigram_sides() -> PreTrainedTokenizerFast:
    """Build a Unigram tokenizer as ALBERT has, with special tokens on both sides."""
    return _unigram("[CLS] $A [SEP]", ["[CLS]", "[SEP]"], cls="[CLS]", sep="[SEP]")


def unigram_end() -> PreTrainedTokenizerFast:
    """Build a Unigram tokenizer as XLNet has, with all special tokens at the end."""
    return _unigram("$A <sep> <cls>", ["<sep>", "<cls>"], cls="<cls>", sep="<sep>")


def _unigram(template: str, names: list[str], **roles: str) -> PreTrainedTokenizerFast:
    special = ["<pad>", "</s>", "<unk>", *(name for name in names if name != "</s>")]
    words = {f"▁{word}": -2.0 - index / 10 for index, word in enumerate(WORDS)}
    letters = dict.fromkeys("▁abcdefghijklmnopqrstuvwxyz,.!?-'", -8.0)
    pieces = {**dict.fromkeys(special, 0.0), **words, "al": -5.0, "or": -5.5, "he": -6.0, **letters}
    tokenizer = Tokenizer(models.Unigram([*pieces.items()], unk_id=special.index("<unk>")))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=[(name, special.index(name)) for name in names]
    )
    return _fast(tokenizer, pad="<pad>", eos="</s>", unk="<unk>", **roles)


def wordlevel() -> PreTrainedTokenizerFast:
    """Train a WordLevel tokenizer that splits at white space and removes accents."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _fast(tokenizer, pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]")


def normalised_wordpiece() -> PreTrainedTokenizerFast:
    """Build a WordPiece tokenizer that lower-cases and removes accents, as BERT has."""
    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    return tokenizer


def _fast(tokenizer: Tokenizer, **roles: str) -> PreTrainedTokenizerFast:
    names = {f"{role}_token": name for role, name in roles.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **names)


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "WordPiece": normalised_wordpiece,
    "byte-level BPE": bytelevel_bpe,
    "byte-level BPE, prefix space": prefixed_bpe,
    "byte-level BPE, no padding": endoftext_bpe,
    "byte-level BPE, padding": padded_bpe,
    "BPE with byte fallback": fallback_bpe,
    "Unigram": unigram,
    "Unigram, both sides": unigram_sides,
    "Unigram, at the end": unigram_end,
    "WordLevel": wordlevel,
}

ARCHITECTURES: dict[str, Architecture] = {
    "BERT": Architecture("BertConfig", "WordPiece"),
    "DistilBERT": Architecture("DistilBertConfig", "WordPiece"),
    "RoBERTa": Architecture("RobertaConfig", "byte-level BPE"),
    "ELECTRA": Architecture("ElectraConfig", "WordPiece", {"embedding_size": 16}),
    "ALBERT": Architecture("AlbertConfig", "Unigram, both sides", {"embedding_size": 16}),
    "DeBERTa": Architecture(
        "DebertaConfig",
        "byte-level BPE",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "pooler_hidden_size": 32,
        },
    ),
    "DeBERTa-v2/v3": Architecture(
        "DebertaV2Config",
        "Unigram, both sides",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_buckets": 16,
            "pooler_hidden_size": 32,
        },
    ),
    "ModernBERT": Architecture(
        "ModernBertConfig",
        "byte-level BPE",
        {"local_attention": 8, "global_attn_every_n_layers": 2},
    ),
    "ModernBERT, mean": Architecture(
        "ModernBertConfig", "byte-level BPE", {"classifier_pooling": "mean"}
    ),
    "XLNet": Architecture(
        "XLNetConfig",
        "Unigram, at the end",
        {"max_position_embeddings": None, "d_head": 8},
        padding_blind=False,
    ),
    "MPNet": Architecture("MPNetConfig", "WordPiece"),
    "GPT-2": Architecture("GPT2Config", "byte-level BPE, padding"),
    "GPT-2, no padding": Architecture(
        "GPT2Config", "byte-level BPE, no padding", padding_blind=False
    ),
    "GPT-2, padding of the tokenizer": Architecture(
        "GPT2Config", "byte-level BPE, padding", {"pad_token_id": None}
    ),
    "Llama": Architecture("LlamaConfig", "BPE with byte fallback", padding_blind=False),
    "Qwen2": Architecture("Qwen2Config", "byte-level BPE, padding", {"num_key_value_heads": 2}),
    "Qwen3": Architecture(
        "Qwen3Config", "byte-level BPE, padding", {"head_dim": 8, "num_key_value_heads": 2}
    ),
    "T5": Architecture(
        "T5Config",
        "Unigram",
        {"d_kv": 8, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu"},
        weight_scale=1,
    ),
    "T5, ReLU": Architecture(
        "T5Config", "Unigram", {"d_kv": 8, "decoder_start_token_id": 0}, weight_scale=1
    ),
    "BART": Architecture(
        "BartConfig",
        "byte-level BPE, prefix space",
        {
            "decoder_layers": 2,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "scale_embedding": True,
        },
    ),
    "BERT, WordLevel": Architecture("BertConfig", "WordLevel"),
}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "num_labels": 3,
}


def save_architecture(name: str, folder: Path) -> Path:
    """Save a tiny, randomly initialised model and its tokenizer; return the folder.

    Args:
        name: A key of `ARCHITECTURES`.
        folder: Where to save it.
    """
    architecture = ARCHITECTURES[name]
    tokenizer = TOKENIZERS[architecture.tokenizer]()
    options = {
        "vocab_size": len(tokenizer),
        **_special_ids(tokenizer),
        **SIZES,
        **architecture.options,
    }
    options = {option: value for option, value in options.items() if value is not None}
    config = getattr(transformers, architecture.config)(**options)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data.mul_(architecture.weight_scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int | None]:
    ids = {role: getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    return {f"{role}_token_id": index for role, index in ids.items()}
