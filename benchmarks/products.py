"""The matrix products of a run, found by looking on, and the time that they take by themselves."""

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
TORCHS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}
ONEDNNS = "mkldnn::_linear_pointwise"
ATTENTION = {
    "aten::_scaled_dot_product_flash_attention_for_cpu": 0,
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward": 1,
}
"""Fused attention, and the place of the queries among its arguments."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of `count` pairs of matrices, [M, K] · [K, N], made by torch or by oneDNN."""

    name: str
    count: int
    sizes: tuple[int, int, int]
    dtype: torch.dtype

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        rows, inner, columns = self.sizes
        return 2 * self.count * rows * inner * columns

    def ready(self) -> Callable[[], object]:
        """Return the product of matrices that are at hand."""
        rows, inner, columns = self.sizes
        many = () if self.name == ONEDNNS or self.count == 1 else (self.count,)
        left = torch.randn(*many, rows, inner).to(self.dtype)
        right = torch.randn(*many, columns, inner).to(self.dtype)
        if self.name == ONEDNNS:
            onednn = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - as the tool does
            return partial(onednn, left, right, None, "none", [], "")
        return partial(torch.matmul, left, right.transpose(-1, -2))


Products: TypeAlias = Mapping[Product, int]


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products that run inside, in this thread, backward passes with them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[Product] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own, untyped
        _types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        name = func.name().partition(".")[0]
        if name == ONEDNNS:
            self.seen[_linear(name, args[0], args[1])] += 1
        elif name in TORCHS:
            left, right = [each for each in args if isinstance(each, Tensor)][-2:]
            self.seen[_matmul(left, right)] += 1
        elif name in ATTENTION:
            first = ATTENTION[name]
            self.seen.update(_attention(*args[first : first + 2], backward=first == 1))
        return func(*args, **(kwargs or {}))


def _linear(name: str, x: Tensor, weight: Tensor) -> Product:
    columns, inner = weight.shape
    return Product(name, 1, (x.numel() // inner, inner, columns), x.dtype)


def _matmul(left: Tensor, right: Tensor) -> Product:
    count = left.shape[0] if left.dim() == 3 else 1
    sizes = (left.shape[-2], left.shape[-1], right.shape[-1])
    return Product("aten::mm", count, sizes, left.dtype)


def _attention(queries: Tensor, keys: Tensor, *, backward: bool) -> Counter[Product]:
    """Return two products forward, Q·Kᵀ and P·V; four backward, as long as P is not made again."""
    count = queries.shape[0] * queries.shape[1]
    length, size, others = queries.shape[2], queries.shape[3], keys.shape[2]
    inward = Product("aten::mm", count, (length, size, others), queries.dtype)
    outward = Product("aten::mm", count, (length, others, size), queries.dtype)
    return Counter({inward: 1, outward: 3} if backward else {inward: 1, outward: 1})


def products_of(rows: Iterable[Row], engine: Engine) -> Products:
    """Explain rows with all batches in this thread, and return the products that it took."""
    watch = _Watch()
    with watch:
        for _ in explain(rows, replace(engine, streams=1)):
            pass
    return watch.seen


def operations(products: Products) -> int:
    """Return the multiplications and additions of all products."""
    return sum(product.operations * times for product, times in products.items())


def alone(products: Products, *, streams: int, clock: Callable[[], float] = perf_counter) -> float:
    """Return the seconds that the products take by themselves, divided among so many streams.

    Every stream makes all of them, at the same time as the others; matrices are made beforehand.
    """
    each = max(1, torch.get_num_threads() // streams)
    start = Barrier(streams)
    with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(each,)) as pool:
        seconds = pool.map(lambda _: _time(products, start, clock), range(streams))
        return sum(seconds) / streams**2


def _time(products: Products, start: Barrier, clock: Callable[[], float]) -> float:
    total = 0.0
    start.wait()
    for _, alike in groupby(_by_size(products), key=lambda product: product.sizes):
        for product in alike:
            multiply = product.ready()
            multiply()
            started = clock()
            for _ in range(products[product]):
                multiply()
            total += clock() - started
    return total


def _by_size(products: Products) -> Iterator[Product]:
    yield from sorted(products, key=lambda product: (product.sizes, product.name, product.count))
