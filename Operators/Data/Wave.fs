// The wave equation with exact solutions at any resolution.
namespace Continuum

open System
open TorchSharp

/// u_tt = c^2 Laplace u from a Gaussian random state, at rest or with a random velocity.
type WaveOptions = {
    /// Where and how the state is drawn.
    Initial: RandomState
    /// c.
    Speed: float
    /// Draws the initial velocity as the state, as a second input; otherwise it is zero.
    RandomVelocity: bool
    /// Times of the output's frames, rising; each has two components, u and u_t.
    Times: float[]
} with

    /// c = 1 up to t = 0.5, at rest at first, on the unit square with u = 0 on the boundary and 65 x 65 points.
    static member Default: WaveOptions = {
        Initial = RandomState.On(Domain.Cube(2, 1.0, Boundary.Dirichlet), [| 65; 65 |])
        Speed = 1.0
        RandomVelocity = false
        Times = [| 0.5 |]
    }

/// The wave equation, exact in the series of the axes. A state has two channels: u and u_t.
[<RequireQualifiedAccess>]
module Wave =

    let private bad (text: string) = raise (ArgumentException text)

    let private check (speed: float) =
        if not (Double.IsFinite speed && speed > 0.0) then
            bad $"The speed must be positive and finite; got {speed}."

    /// u and u_t after time t, from coefficients of both.
    let private turned
        (speed: float)
        (t: float)
        (eigenvalues: Tensor)
        (u: Tensor)
        (v: Tensor)
        : struct (Tensor * Tensor) =
        let frequency = eigenvalues.sqrt().mul speed
        let still = frequency.eq 0.0
        let c, s = frequency.mul(t).cos(), frequency.mul(t).sin()
        // sin(w t) / w, t at w = 0.
        let ratio = s.div(frequency.masked_fill (still, 1.0)).masked_fill(still, t)
        struct (u.mul(c).add(v.mul ratio), v.mul(c).sub(u.mul (frequency.mul s)))

    let private requireState (state: Field) =
        if state.Channels <> 2 then
            bad $"A state of the wave equation has two channels, u and u_t; got {state}."

    /// The state (u, u_t) after time t, at uniform points.
    let solve (speed: float) (t: float) (state: Field) : Field =
        NativeLibraries.ensure ()
        check speed
        requireState state
        use _ = torch.NewDisposeScope()
        let points = state.Discretisation
        let c = AxisSeries.analysisBox points state.Values
        let counts = points.Axes |> Array.map AxisSeries.count
        let eigenvalues = AxisSeries.eigenvalues points.Domain counts c.dtype c.device
        let struct (u, v) = turned speed t eigenvalues (c.select (1L, 0L)) (c.select (1L, 1L))
        state.With((AxisSeries.synthesisBox points (torch.stack ([| u; v |], 1L))).MoveToOuterDisposeScope())

    /// (u_t, c^2 Laplace u) of a state, in the very series of solve. Differentiable.
    let rightHandSide (speed: float) (state: Field) : Field =
        check speed
        requireState state
        use _ = torch.NewDisposeScope()
        let curved = (AxisSeries.laplacian state).Values.narrow(1L, 0L, 1L).mul(speed * speed)
        state.With(torch.cat([| state.Values.narrow (1L, 1L, 1L); curved |], 1L).MoveToOuterDisposeScope())

    /// The energy of states, the integral of (u_t^2 + c^2 |grad u|^2) / 2, by the series: (batch).
    let energy (speed: float) (state: Field) : Tensor =
        check speed
        requireState state
        use _ = torch.NewDisposeScope()
        let points = state.Discretisation
        let c = AxisSeries.analysisBox points state.Values
        let counts = points.Axes |> Array.map AxisSeries.count
        let eigenvalues = AxisSeries.eigenvalues points.Domain counts c.dtype c.device
        let u, v = c.select (1L, 0L), c.select (1L, 1L)
        let density = v.mul(v).add(u.mul(u).mul(eigenvalues).mul(speed * speed))
        let axes = Array.init points.Axes.Length (fun i -> int64 (i + 1))
        (density.sum(axes).mul 0.5).MoveToOuterDisposeScope()

    /// Samples of the operator from `u0` (and `v0`) to `u`: two channels, u and u_t, for each time.
    let generate (o: WaveOptions) (g: Generation) : OperatorDataset =
        check o.Speed
        SpectralEvolution.times "Times" 0.0 o.Times
        let notes = [ "speed", box o.Speed; "randomVelocity", box o.RandomVelocity ]
        let inputs = if o.RandomVelocity then [| "u0"; "v0" |] else [| "u0" |]

        RandomStates.dataset o.Initial g "u_tt = c^2 Laplace u" notes inputs "u" o.Times (fun sample ->
            let u0 = RandomStates.coefficients o.Initial g 0 sample

            let v0 =
                if o.RandomVelocity then
                    RandomStates.coefficients o.Initial g 1 sample
                else
                    torch.zeros_like u0

            let eigenvalues = RandomStates.eigenvalues o.Initial

            let at t =
                let struct (u, v) = turned o.Speed t eigenvalues u0 v0
                [| u; v |]

            [|
                RandomStates.channels o.Initial [| u0 |]
                if o.RandomVelocity then
                    RandomStates.channels o.Initial [| v0 |]
                RandomStates.channels o.Initial (Array.collect at o.Times)
            |])
