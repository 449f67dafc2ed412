"""Names that options take as values."""

from typing import Literal, TypeAlias

ReductionName: TypeAlias = Literal["l2", "dot", "sum"]
ObjectiveName: TypeAlias = Literal["logit", "loss"]
BaselineName: TypeAlias = Literal["mask"]
DtypeName: TypeAlias = Literal["auto", "float32", "bfloat16"]
MatmulBackend: TypeAlias = Literal["torch", "onednn"]
HeadName: TypeAlias = Literal["single-label", "multi-label", "regression"]
AttentionName: TypeAlias = Literal["auto", "eager", "sdpa"]
PropagationName: TypeAlias = Literal["conservative", "standard"]
PresetName: TypeAlias = Literal["allennlp"]
EngineName: TypeAlias = Literal["local", "ray"]
