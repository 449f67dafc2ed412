"""Counts the matrix products of a run, and times them without the rest of the run."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from threading import Barrier
from time import perf_counter
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.records import Row

Shape: TypeAlias = tuple[int, ...]
TORCH_PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}
ONEDNN_LINEAR = "mkldnn::_linear_pointwise"
ATTENTION = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": 0,
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": 1,
}
"""Operators of fused attention, and the index of the queries among their arguments."""


@dataclass(frozen=True, slots=True)
class Product:
    """A batch of equal matrix products, [M, K] · [K, N].

    Attributes:
        name: The operator: `ONEDNN_LINEAR`, or "aten::mm" for torch's own.
        count: The number of products in the batch.
        sizes: M, K and N.
    """

    name: str
    count: int
    sizes: tuple[int, int, int]
    dtype: torch.dtype

    @property
    def operations(self) -> int:
        """The number of multiplications and additions."""
        rows, inner, columns = self.sizes
        return 2 * self.count * rows * inner * columns

    def prepared(self) -> Callable[[], object]:
        """Return a function that computes the product of random matrices, which exist already."""
        rows, inner, columns = self.sizes
        batch = () if self.name == ONEDNN_LINEAR or self.count == 1 else (self.count,)
        left = torch.randn(*batch, rows, inner).to(self.dtype)
        right = torch.randn(*batch, columns, inner).to(self.dtype)
        if self.name == ONEDNN_LINEAR:
            onednn = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - as the tool does
            return partial(onednn, left, right, None, "none", [], "")
        return partial(torch.matmul, left, right.transpose(-1, -2))


Products: TypeAlias = Mapping[Product, int]
"""How often each product is computed in a run."""


class _ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products that this thread computes inside the block, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[Product] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own, untyped
        _types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        name = func.name().partition(".")[0]
        if name == ONEDNN_LINEAR:
            self.counts[_linear(name, args[0], args[1])] += 1
        elif name in TORCH_PRODUCTS:
            left, right = [each for each in args if isinstance(each, Tensor)][-2:]
            self.counts[_matmul(left, right)] += 1
        elif name in ATTENTION:
            first = ATTENTION[name]
            self.counts.update(_attention(*args[first : first + 2], backward=first == 1))
        return func(*args, **(kwargs or {}))


def _linear(name: str, x: Tensor, weight: Tensor) -> Product:
    columns, inner = weight.shape
    return Product(name, 1, (x.numel() // inner, inner, columns), x.dtype)


def _matmul(left: Tensor, right: Tensor) -> Product:
    count = left.shape[0] if left.dim() == 3 else 1
    sizes = (left.shape[-2], left.shape[-1], right.shape[-1])
    return Product("aten::mm", count, sizes, left.dtype)


def _attention(queries: Tensor, keys: Tensor, *, backward: bool) -> Counter[Product]:
    """Return the products of fused attention.

    Forward there are two, Q·Kᵀ and P·V. Backward there are four; P, which the kernel computes
    again, does not count.
    """
    count = queries.shape[0] * queries.shape[1]
    length, size, others = queries.shape[2], queries.shape[3], keys.shape[2]
    over_dimensions = Product("aten::mm", count, (length, size, others), queries.dtype)
    over_positions = Product("aten::mm", count, (length, others, size), queries.dtype)
    return Counter({over_dimensions: 1, over_positions: 3 if backward else 1})


def count_products(rows: Iterable[Row], engine: Engine) -> Products:
    """Return the products that explaining rows takes.

    Args:
        rows: The rows that are explained, with all batches in this thread.
        engine: The engine.
    """
    counter = _ProductCounter()
    with counter:
        for _ in explain(rows, replace(engine, replicas=1)):
            pass
    return counter.counts


def operations(products: Products) -> int:
    """Return the number of multiplications and additions of all products."""
    return sum(product.operations * times for product, times in products.items())


def seconds_alone(
    products: Products, *, streams: int, clock: Callable[[], float] = perf_counter
) -> float:
    """Return the seconds that the products of a run take without the rest of the run.

    Every stream computes all products while the other streams do the same, on matrices that exist
    already. The result is the mean time of a stream, divided by the number of streams.

    Args:
        products: The products of the run.
        streams: The number of threads that compute batches at the same time.
        clock: Returns seconds.
    """
    threads = max(1, torch.get_num_threads() // streams)
    start = Barrier(streams)
    with ThreadPoolExecutor(
        streams, initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        seconds = pool.map(lambda _: _time(products, start, clock), range(streams))
        return sum(seconds) / streams**2


def _time(products: Products, start: Barrier, clock: Callable[[], float]) -> float:
    """Return the seconds of all products; the first computation of each warms up."""
    total = 0.0
    start.wait()
    for _, equal_sizes in groupby(_by_size(products), key=lambda product: product.sizes):
        for product in equal_sizes:
            multiply = product.prepared()
            multiply()
            started = clock()
            for _ in range(products[product]):
                multiply()
            total += clock() - started
    return total


def _by_size(products: Products) -> Iterator[Product]:
    yield from sorted(products, key=lambda product: (product.sizes, product.name, product.count))
