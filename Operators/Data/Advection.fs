// Linear transport with exact solutions at any resolution.
namespace Continuum

open System
open TorchSharp

/// u_t + c . grad u = 0 on a torus from a Gaussian random state.
type AdvectionOptions = {
    /// Where and how the state is drawn; periodic axes.
    Initial: RandomState
    /// c, one number for each axis.
    Velocity: float[]
    /// Times of the output's frames, rising.
    Times: float[]
} with

    /// c = 1 up to t = 0.5 on the unit circle with 256 points.
    static member Default: AdvectionOptions = {
        Initial = RandomState.On(Domain.Torus 1, [| 256 |])
        Velocity = [| 1.0 |]
        Times = [| 0.5 |]
    }

/// Transport at constant velocity: a translation of the Fourier series.
[<RequireQualifiedAccess>]
module Advection =

    /// k . c of Fourier coefficients, and zero for waves that alternate from point to point.
    let private frequencies (velocity: float[]) (field: Field) : struct (Tensor * Tensor * int64[]) =
        let n = SpectralEvolution.requireTorus field.Discretisation.Axes.Length field

        if velocity.Length <> n.Length || velocity |> Array.exists (fun c -> not (Double.IsFinite c)) then
            raise (
                ArgumentException
                    $"The velocity has {velocity.Length} entries; {n.Length} axes need as many finite ones."
            )

        let along i = (SpectralEvolution.waves n i).mul(2.0 * Math.PI * velocity[i] / field.Domain[i].Length)

        let held i = ((SpectralEvolution.waves n i).abs().mul(2.0).lt(float n[i])).``to`` torch.float64

        let all f combine = Array.init n.Length f |> Array.reduce combine
        struct (all along (fun a b -> a.add b), all held (fun a b -> a.mul b), Array.map int64 n)

    let private filtered (velocity: float[]) (factor: Tensor -> Tensor) (u: Field) : Field =
        use _ = torch.NewDisposeScope()
        let struct (frequency, held, sizes) = frequencies velocity u
        let coefficients = (SpectralEvolution.forward sizes.Length u.Values).mul held
        let values = SpectralEvolution.toValues sizes (coefficients.mul (factor frequency))
        u.With((values.``to`` u.Values.dtype).MoveToOuterDisposeScope())

    /// The solution u(x - c t) from a field at uniform points of a torus, channel by channel, without waves that alternate from point to point.
    let solve (velocity: float[]) (t: float) (u: Field) : Field =
        NativeLibraries.ensure ()
        filtered velocity (fun k -> torch.complex (k.mul(t).cos(), k.mul(t).sin().neg())) u

    /// -c . grad u, in the very series of solve. Differentiable.
    let rightHandSide (velocity: float[]) (u: Field) : Field =
        filtered velocity (fun k -> SpectralEvolution.imaginary (k.neg ())) u

    /// Samples of the operator from `u0` to `u`, one channel for each time.
    let generate (o: AdvectionOptions) (g: Generation) : OperatorDataset =
        SpectralEvolution.times "Times" 0.0 o.Times
        let notes = [ "velocity", box o.Velocity ]

        RandomStates.dataset o.Initial g "u_t + c . grad u = 0" notes [| "u0" |] "u" o.Times (fun sample ->
            let c = RandomStates.coefficients o.Initial g 0 sample
            let u0 = new Field(o.Initial.Points, RandomStates.channels o.Initial [| c |])
            let frames = o.Times |> Array.map (fun t -> (solve o.Velocity t u0).Values)
            [| u0.Values; torch.cat (frames, 1L) |])
