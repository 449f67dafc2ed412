"""The tokens of several texts as tensors, padded on the right.

Shapes: B texts, L tokens of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from saliency_cli.model.devices import to_device
from saliency_cli.records import Encoding


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The tokens of B texts.

    Attributes:
        ids: Token ids [B, L], on the device of the model.
        type_ids: Segment ids [B, L], beside them.
        lengths: The number of tokens of each text, [B], on the CPU: the shapes of tensors follow
            from it, and reading it must not wait for a device.
        pad_id: The id after the end of a text.
    """

    ids: Tensor
    type_ids: Tensor
    lengths: Tensor
    pad_id: int

    @classmethod
    def of(
        cls, encodings: Sequence[Encoding], *, pad_id: int, device: torch.device | None = None
    ) -> Self:
        """Return the tokens of some encodings.

        Args:
            encodings: The texts, at least one.
            pad_id: The id after the end of a text.
            device: Where the tensors go; the CPU by default.
        """
        lengths = torch.tensor([len(encoding) for encoding in encodings])
        columns = (
            _padded([encoding.ids for encoding in encodings], pad_id),
            _padded([encoding.type_ids for encoding in encodings], 0),
        )
        device = device or torch.device("cpu")
        ids, type_ids = (to_device(column, device) for column in columns)
        return cls(ids, type_ids, lengths, pad_id)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """L, the tokens of the longest text."""
        return self.ids.shape[1]

    def mask(self) -> Tensor:
        """Return a mask [B, L] on the device: True for the tokens of a text, False for padding."""
        return to_device(torch.arange(self.longest) < self.lengths[:, None], self.ids.device)

    def select(self, index: Tensor) -> Self:
        """Return some texts, as wide as the longest of them.

        Args:
            index: Their numbers [N], on the CPU; a text may be there more than once.
        """
        lengths = self.lengths[index]
        there = to_device(index, self.ids.device)
        columns = (each[:, : int(lengths.max())][there] for each in (self.ids, self.type_ids))
        ids, type_ids = columns
        return type(self)(ids, type_ids, lengths, self.pad_id)

    def repeated(self, times: int) -> Self:
        """Return each text `times` times, one after the other."""
        ids, type_ids, lengths = (
            each.repeat_interleave(times, dim=0) for each in (self.ids, self.type_ids, self.lengths)
        )
        return type(self)(ids, type_ids, lengths, self.pad_id)

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Return the texts of several batches as one."""
        pad_id = batches[0].pad_id
        return cls(
            join_padded([batch.ids for batch in batches], fill=pad_id),
            join_padded([batch.type_ids for batch in batches]),
            torch.cat([batch.lengths for batch in batches]),
            pad_id,
        )


def join_padded(parts: Sequence[Tensor], *, dim: int = 1, fill: int = 0) -> Tensor:
    """Return tensors one after the other in dimension 0, each padded in another dimension.

    Args:
        parts: Tensors that are alike but for their sizes in these two dimensions.
        dim: The dimension that is padded at its end, to the largest size among the parts.
        fill: What it is padded with.
    """
    largest = max(part.shape[dim] for part in parts)
    return torch.cat([padded_to(part, largest, dim=dim, fill=fill) for part in parts])


def padded_to(tensor: Tensor, size: int, *, dim: int, fill: int = 0) -> Tensor:
    """Return a tensor with a dimension padded at its end.

    Args:
        tensor: A tensor of any shape.
        size: The size of the dimension afterwards.
        dim: The dimension.
        fill: What it is padded with.
    """
    missing = size - tensor.shape[dim]
    if not missing:
        return tensor
    after = tensor.dim() - dim - 1
    return pad(tensor, (0, 0) * after + (0, missing), value=fill)


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return the rows as one tensor [B, L], padded on the right with `fill`."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
