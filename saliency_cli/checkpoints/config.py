"""The transformers configuration: architecture, sizes and label names."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from saliency_cli.checkpoints.config_checks import check_counts, check_reach
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import encodable, visible
from saliency_cli.settings import HeadName, ModelChoice

CONFIG = "config.json"


def find_config(choice: ModelChoice, folders: tuple[Path, ...]) -> Path | None:
    """Return the config file: the one named, else that of MODEL, else beside the tokenizer.

    A module of one's own may do without.

    Raises:
        UsageError: there is none.
    """
    if choice.config is not None:
        return _named(choice.config)
    for candidate in (*folders, choice.tokenizer):
        if candidate is not None and (candidate / CONFIG).exists():
            return candidate / CONFIG
    if choice.arch is not None or choice.unsafe_pickle:
        return None
    raise missing_config(choice.checkpoint)


def missing_config(model: Path) -> CheckpointError | UsageError:
    """Return the error to raise: a folder without a config is no model; a file lacks an option."""
    if model.is_dir():
        return CheckpointError(
            f"{visible(str(model))} is not a model: it holds no {CONFIG}",
            "give the folder that save_pretrained wrote, or a .pt file",
        )
    return UsageError(
        f"{visible(str(model))}: there is no {CONFIG} beside it",
        "name it with --config, or your own module with --arch",
    )


def _named(path: Path) -> Path:
    file = path / CONFIG if path.is_dir() else path
    if not file.exists():
        raise UsageError(f"{visible(str(file))}: there is no such file")
    return file


def read_config(path: Path) -> Any:  # noqa: ANN401 - transformers' own class
    """Read a config, having seen that it asks for nothing absurd and for no code.

    Raises:
        CheckpointError: it is none, or does.
    """
    content = read_object(path, what="the config")
    check_reach(content, path=path)
    check_counts(content, path=path)
    with refusing(path, "the config"):
        if "model_type" not in content:
            raise CheckpointError(
                f"{visible(str(path))} names no model_type",
                "it must be the config.json that transformers wrote",
            )
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def read_head(config: Any, *, multi_label: bool) -> HeadName:  # noqa: ANN401
    """Return how the logits are meant: as asked for, else as transformers' own loss takes them.

    Raises:
        CheckpointError: it is a regression of several numbers.
    """
    if multi_label or config.problem_type == "multi_label_classification":
        return "multi-label"
    if config.problem_type != "regression" and config.num_labels > 1:
        return "single-label"
    if config.num_labels > 1:
        raise CheckpointError(
            f"a regression of {config.num_labels} numbers; only one can be explained",
            "if the model has labels, say so: problem_type in its config.json",
        )
    return "regression"


def read_labels(path: Path, config: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the label names in the order of the logits.

    Raises:
        CheckpointError: a name is missing or stands twice.
    """
    names = config.id2label
    if not names or sorted(names) != list(range(config.num_labels)):
        raise CheckpointError(f"{visible(str(path))}: id2label does not name each label once")
    labels = tuple(str(names[index]) for index in range(config.num_labels))
    for label in labels:
        if not encodable(label):
            raise CheckpointError(
                f"{visible(str(path))}: no file can hold label '{visible(label)}'"
            )
    if len(set(labels)) < len(labels):
        raise CheckpointError(f"{visible(str(path))}: two labels have the same name in id2label")
    return labels
