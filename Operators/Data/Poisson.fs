// Poisson's equation with exact solutions at any resolution.
namespace Continuum

open System
open TorchSharp

/// -Laplace u = f on a box, f Gaussian random; solved term by term in the series of the axes.
[<RequireQualifiedAccess>]
module Poisson =

    /// One over the eigenvalues, zero where they are.
    let private inverse (eigenvalues: Tensor) : Tensor =
        let zero = eigenvalues.eq 0.0
        (eigenvalues.masked_fill(zero, 1.0).reciprocal()).masked_fill(zero, 0.0)

    /// The solution with mean zero, where constants satisfy the conditions, for the part of f with mean zero; f at uniform points.
    let solve (f: Field) : Field =
        NativeLibraries.ensure ()
        AxisSeries.apply inverse f

    /// -Laplace u - f in the very series of solve, both at the same uniform points; the means of f and u do not count where constants satisfy
    /// the conditions. Differentiable.
    let residual (f: Field) (u: Field) : Field =
        if not (f.Discretisation.Equals u.Discretisation) || f.Values.shape <> u.Values.shape then
            raise (
                ArgumentException $"Source and solution need the same points, samples and channels; got {f} and {u}."
            )

        use _ = torch.NewDisposeScope()

        let zeroMean =
            AxisSeries.apply (fun eigenvalues -> eigenvalues.ne(Tensors.scalar 0.0).``to`` eigenvalues.dtype) f

        u.With((AxisSeries.laplacian u).Values.neg().sub(zeroMean.Values).MoveToOuterDisposeScope())

    /// Samples of the operator from `f` to `u`.
    /// ArgumentException for sources whose mean is not zero where constants satisfy the conditions: the equation has no solution then.
    let generate (source: RandomState) (g: Generation) : OperatorDataset =
        if
            not source.ZeroMean
            && source.Domain.Axes |> Array.forall (fun a -> a.Boundary <> Boundary.Dirichlet)
        then
            raise (
                ArgumentException
                    "Poisson's equation has no solution for a source whose mean is not zero where no axis fixes the value at its ends; set ZeroMean, or take Dirichlet axes."
            )

        RandomStates.dataset source g "-Laplace u = f" [] [| "f" |] "u" [||] (fun sample ->
            let f = RandomStates.coefficients source g 0 sample
            let u = f.mul (inverse (RandomStates.eigenvalues source))
            [| RandomStates.channels source [| f |]; RandomStates.channels source [| u |] |])
