"""Eight channels at a time: a small vector type for Numba, and how its kernels are compiled.

The networks have 8 and 16 channels, so the kernels keep eight channels of a pixel together and do
the same to all of them. LLVM turns a `Lanes` value into whatever the machine has: one AVX register,
two of NEON or SSE. Plain loops over the channels give the same numbers; but there the compiler may
leave the running sums in memory, and then the kernel takes two to three times as long.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True}
FASTMATH = {"contract", "reassoc", "nsz"}  # sums may be reordered and fused; NaN stays NaN
stage = njit(**OPTIONS, fastmath=FASTMATH)
inlined = njit(**OPTIONS, fastmath=FASTMATH, forceinline=True)  # unrolled for its constants


class Lanes(types.Type):
    """The Numba type of eight numbers of one dtype, held in registers."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        element = dmm.lookup(fe_type.dtype).get_data_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, 8))


def _pointer(context, builder, array_type, array, index, vector):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def load8(typingctx, array, index):
    """Return array[index : index + 8]; the index is not checked."""

    def codegen(context, builder, signature, args):
        vector = context.get_value_type(signature.return_type)
        value = builder.load(_pointer(context, builder, signature.args[0], *args, vector))
        value.align = context.get_abi_sizeof(vector.element)
        return value

    return Lanes(array.dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx, array, index, value):
    """Store `value` at array[index : index + 8]; the index is not checked."""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], *args[:2], args[2].type)
        builder.store(args[2], pointer, align=context.get_abi_sizeof(args[2].type.element))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


def _splat(builder, value, vector):
    undefined, word = ir.Constant(vector, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(undefined, value, ir.Constant(word, 0))
    zeros = ir.Constant(ir.VectorType(word, 8), [0] * 8)
    return builder.shuffle_vector(first, undefined, zeros)


@intrinsic
def splat8(typingctx, value):
    """Return eight lanes of one number."""

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0], context.get_value_type(signature.return_type))

    return Lanes(value)(value), codegen


@intrinsic
def scaled_add(typingctx, total, lanes, factor):
    """Return total + lanes * factor in every lane, with a scalar factor."""

    def codegen(context, builder, signature, args):
        product = builder.fmul(args[1], _splat(builder, args[2], args[0].type), flags=("contract",))
        return builder.fadd(args[0], product, flags=("contract",))

    return total(total, lanes, total.dtype), codegen


@inlined
def multiply_add(total, lanes, array, index):
    """Return total + lanes * array[index] in every lane."""
    return scaled_add(total, lanes, array[np.uint64(index)])  # unsigned: not from the array's end


@intrinsic
def greater(typingctx, a, b):
    """Return a > b, lane by lane; false where one is NaN."""

    def codegen(context, builder, signature, args):
        return builder.fcmp_ordered(">", *args)

    return Lanes(types.boolean)(a, b), codegen


@intrinsic
def where(typingctx, condition, a, b):
    """Return a where the condition holds and b elsewhere, lane by lane."""

    def codegen(context, builder, signature, args):
        return builder.select(*args)

    return a(condition, a, b), codegen
