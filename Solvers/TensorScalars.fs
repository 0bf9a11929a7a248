// Numbers as arguments of tensor operations.
namespace Continuum

open TorchSharp

/// Operations that take a number where TorchSharp takes a Scalar. A Scalar is freed by its finaliser, and nothing keeps it alive while the
/// native code reads it: `x.mul (v.ToScalar())` may multiply by freed memory, or end the process, when a collection runs on another
/// thread at that moment. These hold it for the time of the call.
[<AutoOpen>]
module internal TensorScalars =
    type torch.Tensor with
        /// x v
        member x.mul(v: float) : Tensor =
            use s = v.ToScalar()
            x.mul s

        /// x v, in place
        member x.mul_(v: float) : Tensor =
            use s = v.ToScalar()
            x.mul_ s

        /// x / v
        member x.div(v: float) : Tensor =
            use s = v.ToScalar()
            x.div s

        /// x / v, in place
        member x.div_(v: float) : Tensor =
            use s = v.ToScalar()
            x.div_ s

        /// x + v
        member x.add(v: float) : Tensor =
            use s = v.ToScalar()
            x.add s

        /// x + v, in place
        member x.add_(v: float) : Tensor =
            use s = v.ToScalar()
            x.add_ s

        /// x + v y
        member x.add(y: Tensor, v: float) : Tensor =
            use s = v.ToScalar()
            x.add (y, s)

        /// x + v y, in place
        member x.add_(y: Tensor, v: float) : Tensor =
            use s = v.ToScalar()
            x.add_ (y, s)

        /// x - v
        member x.sub(v: float) : Tensor =
            use s = v.ToScalar()
            x.sub s

        /// x - v
        member x.sub(v: int64) : Tensor =
            use s = v.ToScalar()
            x.sub s

        /// x to the power of v
        member x.pow(v: float) : Tensor =
            use s = v.ToScalar()
            x.pow s

        /// x + v y z
        member x.addcmul(y: Tensor, z: Tensor, v: float) : Tensor =
            use s = v.ToScalar()
            x.addcmul (y, z, s)

        /// x with v times the rows of y added at the places of an index
        member x.index_add(dim: int64, index: Tensor, y: Tensor, v: float) : Tensor =
            use s = v.ToScalar()
            x.index_add (dim, index, y, s)

        /// v where a mask is true, else x
        member x.masked_fill(mask: Tensor, v: float) : Tensor =
            use s = v.ToScalar()
            x.masked_fill (mask, s)

        /// v everywhere, in place
        member x.fill_(v: float) : Tensor =
            use s = v.ToScalar()
            x.fill_ s

        /// v everywhere, in the shape of x
        member x.full_like(v: float) : Tensor =
            use s = v.ToScalar()
            x.full_like s

        /// v everywhere, in the shape of x
        member x.full_like(v: int64) : Tensor =
            use s = v.ToScalar()
            x.full_like s

        /// x within bounds, in place
        member x.clamp_(low: float, high: float) : Tensor =
            use low = low.ToScalar()
            use high = high.ToScalar()
            x.clamp_ (low, high)

        /// the smaller of x and v
        member x.clamp_max(v: int64) : Tensor =
            use s = v.ToScalar()
            x.clamp_max s

        /// x > v
        member x.gt(v: float) : Tensor =
            use s = v.ToScalar()
            x.gt s

        /// x < v
        member x.lt(v: float) : Tensor =
            use s = v.ToScalar()
            x.lt s

        /// x = v
        member x.eq(v: float) : Tensor =
            use s = v.ToScalar()
            x.eq s

        /// x = v
        member x.eq(v: int64) : Tensor =
            use s = v.ToScalar()
            x.eq s
