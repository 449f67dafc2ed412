"""What a user chose, parsed and frozen: one field of one dataclass for each option.

The command line (`cli.options`), the table of options in docs/command-line.md and the options in
the manifest (`runs.manifest`) are derived from these fields, so an option is declared once. Options
whose values a registry lists are declared in the same way beside it: those of the input
(`inputs.options`), of the method (`attribution.maths`) and of each method (`attribution.methods`).
"""

from saliency_cli.settings.config_file import ConfigFileChoice
from saliency_cli.settings.execution import ExecutionChoice
from saliency_cli.settings.gates import GateChoice
from saliency_cli.settings.model import Compute, ModelChoice
from saliency_cli.settings.names import (
    AttentionName,
    BaselineName,
    DtypeName,
    EngineName,
    HeadName,
    MatmulBackend,
    ObjectiveName,
    PresetName,
    PropagationName,
    ReductionName,
    UnitsName,
)
from saliency_cli.settings.option import Effect, Option, Setting, settings_of
from saliency_cli.settings.output import (
    ConsoleChoice,
    OutputChoice,
    PageChoice,
    Sharding,
    ShardSelection,
)
from saliency_cli.settings.suspects import SuspectChoice
from saliency_cli.settings.target import TargetChoice

__all__ = [
    "AttentionName",
    "BaselineName",
    "Compute",
    "ConfigFileChoice",
    "ConsoleChoice",
    "DtypeName",
    "Effect",
    "EngineName",
    "ExecutionChoice",
    "GateChoice",
    "HeadName",
    "MatmulBackend",
    "ModelChoice",
    "ObjectiveName",
    "Option",
    "OutputChoice",
    "PageChoice",
    "PresetName",
    "PropagationName",
    "ReductionName",
    "Setting",
    "ShardSelection",
    "Sharding",
    "SuspectChoice",
    "TargetChoice",
    "UnitsName",
    "settings_of",
]
