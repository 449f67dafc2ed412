"""The containers of tensors: one that lies about what it holds is not unpacked."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from safetensors import safe_open

from saliency_cli.checkpoints.disguises import check_file
from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import excerpt, visible

ZIP = b"PK\x03\x04"
_CHUNK = 1 << 20
_ENCRYPTED = 1
_AGAIN = "save it again with torch.save(model.state_dict(), path)"


def check_archive(path: Path) -> None:
    """See that a zip archive is one of tensors, whole, and no larger unpacked than it is.

    A file that is no zip archive passes: `torch.save` wrote plain pickles once. CRCs are checked
    here since torch reads records without looking at them.

    Raises:
        CheckpointError: it is TorchScript or another program's, or a record is compressed, larger
            than the file or damaged.
    """
    with path.open("rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            return
    try:
        with ZipFile(path) as archive:
            records = archive.infolist()
            _check_kind(path, [record.filename for record in records])
            _check_sizes(path, records)
            _check_content(path, archive)
    except (BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        _refuse(path, excerpt(f"the zip archive is damaged or cut short ({error})"))


def check_safetensors(path: Path) -> None:
    """See that a file's safetensors header is sound, so that what is wrong is told of this file.

    The library sees to it that the tensors lie side by side and fill the file.

    Raises:
        CheckpointError: it is not.
    """
    check_file(path, what="the weights")
    with refusing(path, "the weights"), safe_open(path, "pt"):
        pass


def _check_kind(path: Path, names: Sequence[str]) -> None:
    files = {PurePosixPath(name).name for name in names}
    if "constants.pkl" in files:
        raise CheckpointError(f"{visible(str(path))} is a TorchScript archive: a program", _AGAIN)
    if "data.pkl" in files:
        return
    kind = "a zip archive of something else"
    if "model.weights.h5" in files:
        kind = "a Keras model"
    elif files and all(name.endswith(".npy") for name in files):
        kind = "a NumPy archive"
    elif any(name.endswith(".pt2") for name in files) or "archive_format" in files:
        kind = "an exported program"
    raise CheckpointError(f"{visible(str(path))} is {kind}, not a state dict", _AGAIN)


def _check_sizes(path: Path, records: Sequence[ZipInfo]) -> None:
    # zipfile forgives bytes before the archive, torch does not: with the first record at 0 the two
    # read the same one.
    if min(record.header_offset for record in records) != 0:
        _refuse(path, "the zip archive does not begin with its first record")
    if len({record.filename for record in records}) < len(records):
        _refuse(path, "two records of the zip archive have the same name")
    for record in records:
        if record.compress_type != ZIP_STORED or record.flag_bits & _ENCRYPTED:
            _refuse(path, f"record {visible(record.filename)} is compressed or encrypted")
        if record.file_size != record.compress_size:
            _refuse(path, f"record {visible(record.filename)} has two sizes")
    if sum(record.file_size for record in records) > path.stat().st_size:
        _refuse(path, "its records are larger than the file")


def _check_content(path: Path, archive: ZipFile) -> None:
    for record in archive.infolist():
        try:
            with archive.open(record) as stream:
                while stream.read(_CHUNK):
                    pass
        except (BadZipFile, EOFError):
            _refuse(path, f"record {visible(record.filename)} is damaged: its CRC-32 is another")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise CheckpointError(f"{visible(str(path))}: the weights cannot be read: {reason}", _AGAIN)
