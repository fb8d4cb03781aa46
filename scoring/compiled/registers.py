"""Inner products of four rows with four others, held in vector registers from the first number to the last.

numba takes such sums for sixteen reductions and adds up the lanes of each by itself, which takes as long as
the products. Here the sixteen registers become one by pairs. Written in LLVM's language, for registers of
sixteen numbers, which it cuts to the size of the processor's own: all add in the same order. A kernel on disk
does not notice that this file has changed: change theirs too.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import errors, types
from numba.extending import intrinsic

cgutils: Any = untyped

LANES: Final = 16
"""Numbers of a register: rows are multiplied up to a multiple of it."""
SIDE: Final = 4
"""Rows of each side: sixteen sums and eight rows fill most of 32 registers."""
_LANE: Final = ir.IntType(32)
_REGISTER: Final = ir.VectorType(ir.FloatType(), LANES)
_FUSED: Final = ("contract",)
_TO_L2: Final = 2
"""How near llvm.prefetch brings a line: the rows at work are in L1, and stay there."""


def _rows(builder: Any, array: Any, first: Any) -> list[Any]:
    """Where SIDE rows of a C-contiguous array begin; the last row stands in for those beyond it."""
    count, dimension = cgutils.unpack_tuple(builder, array.shape, 2)
    last, begins = builder.sub(count, first.type(1)), []
    for more in range(SIDE):
        row = builder.add(first, first.type(more))
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        begins.append(builder.gep(array.data, [builder.mul(row, dimension)]))
    return begins


def _prefetch(builder: Any, address: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, _LANE, _LANE, _LANE])
    instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
    read, keep, data = (_LANE(number) for number in (0, _TO_L2, 1))
    builder.call(instruction, [builder.inttoptr(address, byte), read, keep, data])


def _lanes_added(builder: Any, sums: list[Any]) -> Any:
    """LANES registers -> one, in whose lanes their sums stand: neighbours are added, of two at a time."""
    even, odd = (ir.Constant(ir.VectorType(_LANE, LANES), list(range(lane, 2 * LANES, 2))) for lane in (0, 1))
    while len(sums) > 1:
        halves = [
            [builder.shuffle_vector(one, other, lanes) for lanes in (even, odd)]
            for one, other in zip(sums[::2], sums[1::2], strict=True)
        ]
        sums = [builder.fadd(*both) for both in halves]
    return sums[0]


def _inner_products(
    _context: Any, a: Any, i: Any, b: Any, j: Any, start: Any, end: Any, out: Any, ahead: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, i, right, j, start, end, target, address = arguments
        arrays = zip(signature.args[:7:2], (left, right, None, target), strict=True)
        x, y, _, found = (one and context.make_array(kind)(context, builder, one) for kind, one in arrays)
        sides = [*_rows(builder, x, i), *_rows(builder, y, j)]
        zeros = ir.Constant(_REGISTER, [0.0] * LANES)
        sums = [cgutils.alloca_once_value(builder, zeros) for _ in range(SIDE * SIDE)]
        value_at = builder.load
        with cgutils.for_range_slice(builder, start, end, start.type(LANES), inc=True) as (p, _):
            _prefetch(builder, builder.add(address, builder.mul(p, p.type(4))))
            numbers = []
            for row in sides:
                at = builder.bitcast(builder.gep(row, [p]), _REGISTER.as_pointer())
                numbers.append(value_at(at, align=4))
            for place, total in enumerate(sums):
                one, other = numbers[place // SIDE], numbers[SIDE + place % SIDE]
                product = builder.fmul(one, other, flags=_FUSED)
                builder.store(builder.fadd(value_at(total), product, flags=_FUSED), total)
        added = _lanes_added(builder, [value_at(total) for total in sums])
        builder.store(added, builder.bitcast(found.data, _REGISTER.as_pointer()), align=4)
        return context.get_dummy_value()

    if any(array.layout != "C" for array in (a, b, out)):
        raise errors.TypingError("inner products of rows that do not lie one after the other")
    number = types.int64
    return types.void(a, number, b, number, number, number, out, number), generate


inner_products: Any = intrinsic(_inner_products)
"""In a kernel: of rows i to i + 3 of a [N, D] with rows j to j + 3 of b [M, D], over coordinates `start` to
`end`, a multiple of LANES apart -> out [16], row after row; a last row stands in for those beyond it.

Meanwhile the same coordinates of a row that is needed later come to L2: `ahead` is its address."""
