"""Names that options take as values."""

from typing import Literal, TypeAlias

ReductionName: TypeAlias = Literal["l2", "dot", "sum"]
ObjectiveName: TypeAlias = Literal["logit", "loss"]
BaselineName: TypeAlias = Literal["mask"]
DtypeName: TypeAlias = Literal["auto", "float32", "bfloat16"]
MatmulBackend: TypeAlias = Literal["torch", "onednn"]
HeadName: TypeAlias = Literal["single-label", "multi-label", "regression"]
AttentionName: TypeAlias = Literal["auto", "eager", "sdpa"]
PresetName: TypeAlias = Literal["allennlp"]
EngineName: TypeAlias = Literal["local", "ray"]
ExportName: TypeAlias = Literal[
    "csv", "parquet", "instances", "eraser", "github", "github-summary", "junit"
]
