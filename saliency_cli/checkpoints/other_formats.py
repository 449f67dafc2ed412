"""Recognise models of other programs, and folders that hold checkpoints, to say what to give."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from saliency_cli.checkpoints.file_checks import GIVE_ORIGINAL, WEIGHT_SUFFIXES
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible

_OLD_TRANSFORMERS = (
    "convert it with transformers 4: AutoModelForSequenceClassification.from_pretrained(DIR, "
    "from_{}=True).save_pretrained(NEW_DIR)"
)

OTHER_FORMATS: dict[str, tuple[str, str]] = {
    "*.gguf": ("a GGUF model, as llama.cpp reads it", GIVE_ORIGINAL),
    "*.onnx": ("an ONNX graph, which gives no gradients", GIVE_ORIGINAL),
    "tf_model.h5": ("TensorFlow weights", _OLD_TRANSFORMERS.format("tf")),
    "*.h5": ("an HDF5 file, as Keras writes it", GIVE_ORIGINAL),
    "*.keras": ("a Keras model", GIVE_ORIGINAL),
    "model.ckpt.index": ("a TensorFlow 1 checkpoint", GIVE_ORIGINAL),
    "saved_model.pb": ("a TensorFlow SavedModel", GIVE_ORIGINAL),
    "*.tflite": ("a TensorFlow Lite model", GIVE_ORIGINAL),
    "flax_model.msgpack": ("Flax weights", _OLD_TRANSFORMERS.format("flax")),
    "*.msgpack": ("Flax weights", GIVE_ORIGINAL),
    "openvino_model.xml": ("an OpenVINO model", GIVE_ORIGINAL),
    "rust_model.ot": ("weights of rust-bert", GIVE_ORIGINAL),
}
"""A pattern of file names, what the file is, and what to do about it."""

TRAINER_STATE = "trainer_state.json"
_STEP = re.compile(r"checkpoint-(?P<step>[0-9]{1,12})")
_SUBFOLDERS = ("", "onnx")  # where exporters put their files


def other_file_error(path: Path) -> CheckpointError | None:
    """Return the error for a file of another program, or None if its name is not of one."""
    for pattern, (kind, hint) in OTHER_FORMATS.items():
        if fnmatch(path.name.lower(), pattern):
            return CheckpointError(f"{visible(str(path))} is {kind}, not a checkpoint", hint)
    return None


def other_folder_error(folder: Path) -> CheckpointError | None:
    """Return the error for a folder that holds something else than one model's weights.

    Checkpoints of a trainer come first, then another program's model, then files of weights under
    a name of their own. None if the folder has none of them.
    """
    return _trainer_error(folder) or _other_model_error(folder) or _weights_error(folder)


def _trainer_error(folder: Path) -> CheckpointError | None:
    steps = _checkpoints(folder)
    if not steps:
        return None
    newest = max(steps)
    best = _best_checkpoint(folder / steps[newest], steps)
    hint = f"give the newest, {visible(str(folder / steps[newest]))}"
    if best is not None:
        hint += f", or the best by {TRAINER_STATE}, {visible(str(folder / best))}"
    names = [steps[step] for step in sorted(steps)]
    return CheckpointError(
        f"{visible(str(folder))} holds the checkpoints of a training run, and no weights of its "
        f"own: {listed(names)}",
        hint,
    )


def _checkpoints(folder: Path) -> dict[int, str]:
    """Return the names of the checkpoint folders that transformers' Trainer wrote, by step."""
    matches = (_STEP.fullmatch(path.name) for path in folder.iterdir() if path.is_dir())
    return {int(match["step"]): match[0] for match in matches if match}


def _best_checkpoint(newest: Path, steps: dict[int, str]) -> str | None:
    """Return the best checkpoint that is here, as the state of the newest names it."""
    if not (newest / TRAINER_STATE).is_file():
        return None
    state = read_object(newest / TRAINER_STATE, what="the trainer's state")
    name = str(state.get("best_model_checkpoint")).replace("\\", "/").rpartition("/")[2]
    return name if name in steps.values() else None


def _other_model_error(folder: Path) -> CheckpointError | None:
    for pattern, (kind, hint) in OTHER_FORMATS.items():
        for path in _matches(folder, pattern):
            return CheckpointError(
                f"{visible(str(folder))} holds {kind} ({excerpt(path.name)}), and no weights for "
                "PyTorch",
                hint,
            )
    return None


def _matches(folder: Path, pattern: str) -> Iterator[Path]:
    for name in _SUBFOLDERS:
        yield from sorted((folder / name).glob(pattern))


def _weights_error(folder: Path) -> CheckpointError | None:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in WEIGHT_SUFFIXES)
    if not files:
        return None
    names = [path.name for path in files]
    return CheckpointError(
        f"{visible(str(folder))} holds no weights of a name that transformers writes, but "
        f"{listed(names)}",
        f"give the file: {visible(str(files[0]))}",
    )
