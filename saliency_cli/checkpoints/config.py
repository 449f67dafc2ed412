"""Find and read the transformers config: architecture, sizes, head and label names."""

from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.config_checks import check_forbidden_keys, check_integers
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.transformers_import import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    AutoConfig,
)
from saliency_cli.safe_text import encodable, excerpt, visible
from saliency_cli.settings import HeadName, ModelChoice

CONFIG_FILE = "config.json"


def find_config(choice: ModelChoice, folders: tuple[Path, ...]) -> Path | None:
    """Return the config file: `--config`, else the first in MODEL's folders or the tokenizer's.

    Args:
        choice: The user's options.
        folders: MODEL's folders, in the order in which they are searched.

    Returns:
        The file, or None for a user's module, which needs no config.

    Raises:
        UsageError: There is no config, and MODEL is a file.
        CheckpointError: There is no config, and MODEL is a folder.
    """
    if choice.config is not None:
        return _explicit_config(choice.config)
    for folder in (*folders, choice.tokenizer):
        if folder is not None and (folder / CONFIG_FILE).exists():
            return folder / CONFIG_FILE
    if choice.arch is not None or choice.unsafe_pickle:
        return None
    raise missing_config_error(choice.checkpoint)


def missing_config_error(model: Path) -> CheckpointError | UsageError:
    """Return the error for a MODEL without a config.

    A folder without a config is not a model (`CheckpointError`); for a file, `--config` can name
    one (`UsageError`).
    """
    if model.is_dir():
        return CheckpointError(
            f"{visible(str(model))} is not a model: it holds no {CONFIG_FILE}",
            "give the folder that save_pretrained wrote, or a .pt file",
        )
    return UsageError(
        f"{visible(str(model))}: there is no {CONFIG_FILE} beside it",
        "name it with --config, or your own module with --arch",
    )


def _explicit_config(path: Path) -> Path:
    file = path / CONFIG_FILE if path.is_dir() else path
    if not file.exists():
        raise UsageError(f"{visible(str(file))}: there is no such file")
    return file


def read_config(path: Path) -> Any:  # noqa: ANN401 - transformers' own class
    """Return the config of a file, after checks that it is no larger than a model and runs no code.

    Raises:
        CheckpointError: The file is not a config, or fails a check.
    """
    content = read_object(path, what="the config")
    check_forbidden_keys(content, path=path)
    check_integers(content, path=path)
    with translate_errors(path, "the config"):
        if "model_type" not in content:
            raise CheckpointError(
                f"{visible(str(path))} names no model_type", _model_type_hint(content)
            )
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def _model_type_hint(content: dict[str, Any]) -> str:
    """Return what to add to a config without a model_type: the type of the class that it names."""
    types = {name: kind for kind, name in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.items()}
    named = content.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    known = [types[name] for name in names if name in types]
    if known:
        return f'add "model_type": "{known[0]}" to it'
    return (
        'add the model\'s type to it, such as "model_type": "bert", or give the config.json that '
        "transformers wrote"
    )


def read_head(config: Any, *, multi_label: bool) -> HeadName:  # noqa: ANN401
    """Return the kind of head: by option, else by the rules of transformers' own loss.

    Args:
        config: The transformers config.
        multi_label: The user gave `--multi-label`.

    Raises:
        CheckpointError: The model is a regression with several outputs.
    """
    if multi_label or config.problem_type == "multi_label_classification":
        return "multi-label"
    if config.problem_type != "regression" and config.num_labels > 1:
        return "single-label"
    if config.num_labels > 1:
        raise CheckpointError(
            f"a regression with {config.num_labels} outputs; only one output can be explained",
            "if the outputs are labels, set problem_type in config.json to "
            "single_label_classification or multi_label_classification",
        )
    return "regression"


def read_labels(path: Path, config: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the label names in the order of the logits.

    Args:
        path: The config's path, for messages.
        config: The transformers config.

    Raises:
        CheckpointError: A name is missing, occurs twice or cannot be encoded in UTF-8.
    """
    names = config.id2label
    if not names or sorted(names) != list(range(config.num_labels)):
        raise CheckpointError(f"{visible(str(path))}: id2label does not name each label once")
    labels = tuple(str(names[index]) for index in range(config.num_labels))
    for label in labels:
        if not encodable(label):
            raise CheckpointError(
                f"{visible(str(path))}: label '{excerpt(label)}' cannot be written as UTF-8"
            )
    if len(set(labels)) < len(labels):
        raise CheckpointError(f"{visible(str(path))}: two labels have the same name in id2label")
    return labels
