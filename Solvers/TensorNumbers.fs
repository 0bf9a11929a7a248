// Tensors and plain numbers. A Scalar made in an argument has no owner during the call: the collector may free it while libtorch reads
// it. Here each lives until its call has returned.
namespace Continuum

open TorchSharp

/// Operations of a tensor with one number, each rounded once.
[<RequireQualifiedAccess>]
module internal TensorNumbers =

    /// factor * x.
    let times (factor: float) (x: Tensor) : Tensor =
        use scalar = factor.ToScalar()
        x.mul scalar

    /// x + term.
    let plus (term: float) (x: Tensor) : Tensor =
        use scalar = term.ToScalar()
        x.add scalar

    /// x <- x + term.
    let plusInPlace (term: float) (x: Tensor) : Tensor =
        use scalar = term.ToScalar()
        x.add_ scalar

    /// x + term for integers.
    let plusInteger (term: int64) (x: Tensor) : Tensor =
        use scalar = term.ToScalar()
        x.add scalar

    /// Where x < bound.
    let isBelow (bound: float) (x: Tensor) : Tensor =
        use scalar = bound.ToScalar()
        x.lt scalar

    /// Where x > bound.
    let isAbove (bound: float) (x: Tensor) : Tensor =
        use scalar = bound.ToScalar()
        x.gt scalar

    /// A tensor like x, of this number.
    let filled (value: float) (x: Tensor) : Tensor =
        use scalar = value.ToScalar()
        torch.full_like (x, scalar)
