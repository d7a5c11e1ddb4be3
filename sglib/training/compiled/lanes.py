"""Eight channels at a time: a small vector type for Numba, and how its kernels are compiled.

The networks have 8 and 16 channels, so the kernels keep eight channels of a pixel together and do
the same to all of them. LLVM turns a `Lanes` value into whatever the machine has: one AVX register,
two of NEON or SSE. Plain loops over the channels give the same numbers; but there the compiler may
leave the running sums in memory, and then the kernel takes two to three times as long.
"""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

# Sums may be reordered and fused; infinities and NaN stay what they are.
_OPTIONS = {
    "fastmath": {"contract", "reassoc", "nsz"},
    "error_model": "numpy",
    "no_cpython_wrapper": True,
}
stage = njit(**_OPTIONS)
inlined = njit(**_OPTIONS, forceinline=True)  # a part of a stage, unrolled for its constants


class Lanes(types.Type):
    """The Numba type of `n` numbers of one dtype, held in registers."""

    def __init__(self, dtype: types.Type, n: int) -> None:
        self.dtype, self.n = dtype, n
        super().__init__(name=f"Lanes({dtype}, {n})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        element = dmm.lookup(fe_type.dtype).get_data_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.n))


def _element_pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _splat(builder, value, vector_type):
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), [0] * vector_type.count)
    return builder.shuffle_vector(first, undefined, zeros)


def _make_load(n: int):
    @intrinsic
    def load(typingctx, array, index):
        def codegen(context, builder, signature, args):
            pointer = _element_pointer(context, builder, signature.args[0], *args)
            vector = context.get_value_type(signature.return_type)
            value = builder.load(builder.bitcast(pointer, vector.as_pointer()))
            value.align = context.get_abi_sizeof(vector.element)
            return value

        return Lanes(array.dtype, n)(array, types.intp), codegen

    return load


load4, load8 = _make_load(4), _make_load(8)  # load8(array, i) = array[i : i + 8], not checked


@intrinsic
def store(typingctx, array, index, value):
    """Store `value` at array[index : index + n], not checked."""

    def codegen(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[0], *args[:2])
        pointer = builder.bitcast(pointer, args[2].type.as_pointer())
        builder.store(args[2], pointer, align=context.get_abi_sizeof(args[2].type.element))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat8(typingctx, value):
    """Return eight lanes of one number."""

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0], context.get_value_type(signature.return_type))

    return Lanes(value, 8)(value), codegen


@intrinsic
def lane(typingctx, value, index):
    """Return one of the lanes."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(*args)

    return value.dtype(value, types.intp), codegen


@intrinsic
def multiply_add(typingctx, total, lanes, array, index):
    """Return total + lanes * array[index] in every lane; the index is not checked."""

    def codegen(context, builder, signature, args):
        pointer = _element_pointer(context, builder, signature.args[2], *args[2:])
        factor = _splat(builder, builder.load(pointer), args[0].type)
        product = builder.fmul(args[1], factor, flags=("contract",))
        return builder.fadd(args[0], product, flags=("contract",))

    return total(total, lanes, array, types.intp), codegen


@intrinsic
def scaled_add(typingctx, total, lanes, factor):
    """Return total + lanes * factor in every lane, with a scalar factor."""

    def codegen(context, builder, signature, args):
        product = builder.fmul(args[1], _splat(builder, args[2], args[0].type), flags=("contract",))
        return builder.fadd(args[0], product, flags=("contract",))

    return total(total, lanes, total.dtype), codegen


@intrinsic
def greater(typingctx, a, b):
    """Return a > b, lane by lane; false where one is NaN."""

    def codegen(context, builder, signature, args):
        return builder.fcmp_ordered(">", *args)

    return Lanes(types.boolean, a.n)(a, b), codegen


@intrinsic
def where(typingctx, condition, a, b):
    """Return a where the condition holds and b elsewhere, lane by lane."""

    def codegen(context, builder, signature, args):
        return builder.select(*args)

    return a(condition, a, b), codegen
