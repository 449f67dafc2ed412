"""What a user chose, parsed and frozen: one field of one dataclass for each option.

The command line (`cli.options`), the table of options in docs/command-line.md and the options in
the manifest (`runs.manifest`) are derived from these fields, so an option is declared once. The
parameters of an attribution method are declared in the same way, in the method's own file.
"""

from saliency_cli.settings.execution import ExecutionChoice
from saliency_cli.settings.model import Compute, ModelChoice
from saliency_cli.settings.names import (
    AttentionName,
    BaselineName,
    DtypeName,
    EngineName,
    ExportName,
    FormatName,
    HeadName,
    MatmulBackend,
    ObjectiveName,
    PresetName,
    ReductionName,
)
from saliency_cli.settings.option import Effect, Option, Setting, settings_of
from saliency_cli.settings.output import (
    ConsoleChoice,
    OutputChoice,
    PageChoice,
    Sharding,
    ShardSelection,
)
from saliency_cli.settings.texts import Columns, TargetChoice, TextsChoice

__all__ = [
    "AttentionName",
    "BaselineName",
    "Columns",
    "Compute",
    "ConsoleChoice",
    "DtypeName",
    "Effect",
    "EngineName",
    "ExecutionChoice",
    "ExportName",
    "FormatName",
    "HeadName",
    "MatmulBackend",
    "ModelChoice",
    "ObjectiveName",
    "Option",
    "OutputChoice",
    "PageChoice",
    "PresetName",
    "ReductionName",
    "Setting",
    "ShardSelection",
    "Sharding",
    "TargetChoice",
    "TextsChoice",
    "settings_of",
]
