"""Names that options take as values."""

from typing import Literal, TypeAlias

ReductionName: TypeAlias = Literal["l2", "dot", "abs-dot", "sum"]
ObjectiveName: TypeAlias = Literal["logit", "loss", "probability"]
BaselineName: TypeAlias = Literal["mask", "pad", "zero", "delete"]
DtypeName: TypeAlias = Literal["auto", "float32", "bfloat16"]
MatmulBackend: TypeAlias = Literal["torch", "onednn"]
HeadName: TypeAlias = Literal["single-label", "multi-label", "regression"]
AttentionName: TypeAlias = Literal["auto", "eager", "sdpa"]
PropagationName: TypeAlias = Literal["conservative", "standard"]
PresetName: TypeAlias = Literal["allennlp", "allennlp-gradient", "allennlp-integrated"]
EngineName: TypeAlias = Literal["local", "ray"]
UnitsName: TypeAlias = Literal["tokens", "words"]
SpecialTokens: TypeAlias = Literal["text", "keep"]
