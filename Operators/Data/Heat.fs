// The heat equation with exact solutions at any resolution.
namespace Continuum

open System
open TorchSharp

/// u_t = kappa Laplace u from a Gaussian random state.
type HeatOptions = {
    /// Where and how the state is drawn.
    Initial: RandomState
    /// kappa.
    Diffusivity: float
    /// Times of the output's frames, rising.
    Times: float[]
} with

    /// kappa = 0.01 up to t = 1 on the unit square torus with 64 x 64 points.
    static member Default: HeatOptions = {
        Initial = RandomState.On(Domain.Torus 2, [| 64; 64 |])
        Diffusivity = 0.01
        Times = [| 1.0 |]
    }

/// The heat equation, exact in the series of the axes.
[<RequireQualifiedAccess>]
module Heat =

    let private check (diffusivity: float) (times: float[]) =
        SpectralEvolution.times "Times" 0.0 times

        if not (Double.IsFinite diffusivity && diffusivity >= 0.0) then
            raise (ArgumentException $"The diffusivity must be finite and not negative; got {diffusivity}.")

    /// The solution at time t from a field at uniform points, channel by channel.
    let solve (diffusivity: float) (t: float) (u: Field) : Field =
        NativeLibraries.ensure ()
        check diffusivity [| t |]
        AxisSeries.apply (fun eigenvalues -> eigenvalues.mul(-diffusivity * t).exp()) u

    /// kappa Laplace u, in the very series of solve. Differentiable.
    let rightHandSide (diffusivity: float) (u: Field) : Field =
        AxisSeries.apply (fun eigenvalues -> eigenvalues.mul -diffusivity) u

    /// Samples of the operator from `u0` to `u`, one channel for each time.
    let generate (o: HeatOptions) (g: Generation) : OperatorDataset =
        check o.Diffusivity o.Times
        let notes = [ "diffusivity", box o.Diffusivity ]

        RandomStates.dataset o.Initial g "u_t = kappa Laplace u" notes [| "u0" |] "u" o.Times (fun sample ->
            let u0 = RandomStates.coefficients o.Initial g 0 sample
            let eigenvalues = RandomStates.eigenvalues o.Initial
            let at t = u0.mul (eigenvalues.mul(-o.Diffusivity * t).exp())

            [|
                RandomStates.channels o.Initial [| u0 |]
                RandomStates.channels o.Initial (Array.map at o.Times)
            |])
