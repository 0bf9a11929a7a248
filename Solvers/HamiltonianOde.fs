// Separable Hamiltonian systems on arrays and on tensors: the front doors of the symplectic methods.
namespace Continuum

open System
open TorchSharp

/// The equations of motion of a separable Hamiltonian H = T(p, t) + V(q, t) on arrays. Implement it as a struct for the fastest door.
type ISeparable =
    /// Writes dq/dt = dT/dp(p, t) into dqdt, as long as p.
    abstract Velocity: t: float * p: ReadOnlySpan<float> * dqdt: Span<float> -> unit
    /// Writes dp/dt = -dV/dq(q, t) into dpdt, as long as q.
    abstract Force: t: float * q: ReadOnlySpan<float> * dpdt: Span<float> -> unit

/// A separable Hamiltonian from two functions: the velocity dq/dt = dT/dp of (t, p), and the force dp/dt = -dV/dq of (t, q).
[<Sealed; AllowNullLiteral>]
type Hamiltonian(velocity: VectorField, force: VectorField) =
    do
        ArgumentNullException.ThrowIfNull(velocity, nameof velocity)
        ArgumentNullException.ThrowIfNull(force, nameof force)

    /// dq/dt of (t, p).
    member _.Velocity = velocity
    /// dp/dt of (t, q).
    member _.Force = force

    /// T = sum p_i^2 / (2 m_i), with one mass for each momentum. ArgumentException unless every mass is finite and > 0.
    static member Newton(masses: float[], force: VectorField) =
        ArgumentNullException.ThrowIfNull(masses, nameof masses)
        let masses = Array.copy masses

        masses
        |> Array.iteri (fun i m ->
            if not (Double.IsFinite m) || m <= 0.0 then
                raise (ArgumentException $"Masses must be finite and > 0; mass {i} is {m}."))

        Hamiltonian(
            VectorField(fun _ p dqdt ->
                if p.Length <> masses.Length then
                    raise (
                        ArgumentException
                            $"There are {masses.Length} masses and {p.Length} momenta; give one mass for each."
                    )

                for i in 0 .. p.Length - 1 do
                    dqdt[i] <- p[i] / masses[i]),
            force
        )

    /// The same equations as one field on the state (q; p), for methods that do not look at the splitting.
    member _.Field =
        VectorField(fun t y dydt ->
            let n = y.Length / 2
            velocity.Invoke(t, y.Slice n, dydt.Slice(0, n))
            force.Invoke(t, y.Slice(0, n), dydt.Slice n))

/// Delegates as a struct that the stepper specialises on.
[<Struct>]
type internal DelegateHamiltonian(hamiltonian: Hamiltonian) =
    interface ISeparable with
        member _.Velocity(t, p, dqdt) = hamiltonian.Velocity.Invoke(t, p, dqdt)
        member _.Force(t, q, dpdt) = hamiltonian.Force.Invoke(t, q, dpdt)

/// The flows on a state (q; p) of 2n numbers: no allocation after construction.
[<Sealed>]
type internal ArraySplitFlow<'H when 'H :> ISeparable>(hamiltonian: 'H, n: int, compensated: bool) =
    let mutable hamiltonian = hamiltonian
    let point: float[] = Array.zeroCreate (2 * n)
    let slope: float[] = Array.zeroCreate n
    let lost: float[] = Array.zeroCreate (if compensated then 2 * n else 0)
    let candidateLost: float[] = Array.zeroCreate lost.Length
    let currentLost: float[] = Array.zeroCreate lost.Length
    let mutable forces = 0

    /// point[at ..] += c slope; Knuth's two-sum keeps what the addition rounds off.
    let add (at: int) (c: float) =
        if compensated then
            for i in 0 .. n - 1 do
                let old = point[at + i]
                let change = c * slope[i] + lost[at + i]
                let sum = old + change
                let virtual' = sum - old
                lost[at + i] <- (old - (sum - virtual')) + (change - virtual')
                point[at + i] <- sum
        else
            for i in 0 .. n - 1 do
                point[at + i] <- point[at + i] + c * slope[i]

    interface ISplitFlow<float[]> with
        member _.Load y =
            Array.blit y 0 point 0 (2 * n)
            Array.blit currentLost 0 lost 0 lost.Length

        member _.Drift(t, c) =
            hamiltonian.Velocity(t, ReadOnlySpan<float>(point, n, n), Span<float> slope)
            add 0 c

        member _.Kick(t, c) =
            forces <- forces + 1
            hamiltonian.Force(t, ReadOnlySpan<float>(point, 0, n), Span<float> slope)
            add n c

        member _.Store dest =
            Array.blit point 0 dest 0 (2 * n)
            dest

        member _.Slope(t, y, dest) =
            forces <- forces + 1
            hamiltonian.Velocity(t, ReadOnlySpan<float>(y, n, n), Span<float>(dest, 0, n))
            hamiltonian.Force(t, ReadOnlySpan<float>(y, 0, n), Span<float>(dest, n, n))
            dest

        member _.Reset() = Array.Clear currentLost
        member _.Remember() = Array.blit lost 0 candidateLost 0 lost.Length
        member _.Adopt() = Array.blit candidateLost 0 currentLost 0 lost.Length
        member _.Forces = forces

/// A separable Hamiltonian on tensors of any shape (a batch of systems): the velocity dq/dt of (t, p) and the force dp/dt of (t, q).
[<Sealed; AllowNullLiteral>]
type TensorHamiltonian(velocity: TensorField, force: TensorField) =
    do
        ArgumentNullException.ThrowIfNull(velocity, nameof velocity)
        ArgumentNullException.ThrowIfNull(force, nameof force)

    /// dq/dt of (t, p).
    member _.Velocity = velocity
    /// dp/dt of (t, q).
    member _.Force = force

/// The flows on a tensor (2, ...): q and p stacked.
[<Sealed>]
type internal TensorSplitFlow(hamiltonian: TensorHamiltonian) =
    let velocity = ScalarClockField hamiltonian.Velocity :> IField<Tensor, float>
    let force = ScalarClockField hamiltonian.Force :> IField<Tensor, float>
    let mutable q: Tensor = null
    let mutable p: Tensor = null
    let mutable forces = 0

    let add (x: Tensor) (slope: Tensor) (c: float) =
        use scalar = c.ToScalar()
        x.add (slope, scalar)

    interface ISplitFlow<Tensor> with
        member _.Load y =
            q <- y.select (0L, 0L)
            p <- y.select (0L, 1L)

        member _.Drift(t, c) = q <- add q (velocity.Eval(t, p, p)) c

        member _.Kick(t, c) =
            forces <- forces + 1
            p <- add p (force.Eval(t, q, q)) c

        member _.Store _ = torch.stack [| q; p |]

        member _.Slope(t, y, _) =
            forces <- forces + 1
            let q, p = y.select (0L, 0L), y.select (0L, 1L)
            torch.stack [| velocity.Eval(t, p, p); force.Eval(t, q, q) |]

        member _.Reset() = ()
        member _.Remember() = ()
        member _.Adopt() = ()
        member _.Forces = forces

/// Options of methods that take fixed steps.
[<RequireQualifiedAccess>]
module FixedSteps =
    /// Steps of this length, as many as the span needs; the end state only. Tolerances do not apply.
    let every<'S> (step: float) : SolveOptions<'S> = {
        SolveOptions.create 1e-6 1e-6 with
            Control = Fixed step
            MaxSteps = Int32.MaxValue
    }

/// Solving Hamilton's equations with symplectic methods: fixed steps, energy error bounded over very long times.
/// Evaluations in the statistics are those of the force.
[<RequireQualifiedAccess>]
module HamiltonianOde =

    let private bad (text: string) = raise (ArgumentException text)

    /// A Hamiltonian that implements ISeparable directly: the fastest door. See solve.
    let solveSeparable
        (method: Splitting)
        (options: SolveOptions<float[]>)
        (hamiltonian: 'H :> ISeparable)
        (t0: float)
        (t1: float)
        (q0: float[])
        (p0: float[])
        : Solution<float[]> =
        if isNull q0 || q0.Length = 0 then
            bad "The positions are empty; give at least one."

        if isNull p0 || p0.Length <> q0.Length then
            let found = if isNull p0 then 0 else p0.Length
            bad $"There are {q0.Length} positions and {found} momenta; give one momentum for each position."

        let y0 = Array.append q0 p0
        let space = RealSpace options.Tolerance
        let normed: INormedSpace<float[]> = space
        let flow = ArraySplitFlow<'H>(hamiltonian, q0.Length, method.Compensated)
        let stepper = new SymplecticStepper<float[], RealSpace, ArraySplitFlow<'H>>(method, space, flow, y0)
        Integrate.run stepper normed.Copy normed.Keep normed.IsFinite Unchecked.defaultof<_> options t0 t1 y0

    /// Solves dq/dt = dT/dp, dp/dt = -dV/dq from q0, p0 at t0 to t1 with fixed steps (FixedSteps.every h). States are (q; p) in one
    /// array; events, scheduled changes and save times see that array. Dense output has the order of the method and costs, in the
    /// steps that use it, one (Yoshida6) or two (KahanLi8) further steps and up to four slopes; it is not symplectic itself.
    /// ArgumentException where options contradict the span or are not fixed steps; failures while solving are in the Status.
    let solve
        (method: Splitting)
        (options: SolveOptions<float[]>)
        (hamiltonian: Hamiltonian)
        (t0: float)
        (t1: float)
        (q0: float[])
        (p0: float[])
        : Solution<float[]> =
        if isNull hamiltonian then
            raise (
                ArgumentNullException(nameof hamiltonian, "The Hamiltonian is null; give its velocity and its force.")
            )

        solveSeparable method options (DelegateHamiltonian hamiltonian) t0 t1 q0 p0

    /// The same on tensors: q0 and p0 of one shape, dtype and device; states are stacked as (2, ...), q first, so that
    /// solution.States is (times, 2, ...). One step length serves the whole batch. Recorded for gradients when they are enabled and
    /// q0, p0 or a parameter of the two fields requires one (events and scheduled changes that depend on such tensors excepted:
    /// event times carry no gradient, so events are then refused).
    /// ArgumentException for misuse; failures while solving are in the Status.
    let solveTensors
        (method: Splitting)
        (options: SolveOptions<Tensor>)
        (hamiltonian: TensorHamiltonian)
        (t0: float)
        (t1: float)
        (q0: Tensor)
        (p0: Tensor)
        : TensorSolution =
        NativeLibraries.ensure ()

        if isNull hamiltonian then
            raise (
                ArgumentNullException(nameof hamiltonian, "The Hamiltonian is null; give its velocity and its force.")
            )

        if isNull q0 || q0.numel () = 0L || not (q0.is_floating_point ()) then
            bad "The positions must be a floating point tensor with at least one element."

        if isNull p0 || p0.dtype <> q0.dtype || not (Seq.toArray p0.shape = Seq.toArray q0.shape) then
            let found = if isNull p0 then "null" else $"{Tensors.shapeText p0} {p0.dtype}"

            bad
                $"The momenta must have the shape and dtype of the positions, {Tensors.shapeText q0} {q0.dtype}; they are {found}."

        if method.Compensated then
            bad "Compensated summation works on arrays only; take the plain method on tensors."

        let tracked = Seq.concat [ [| q0; p0 |]; hamiltonian.Velocity.Parameters; hamiltonian.Force.Parameters ]

        let recording = torch.is_grad_enabled () && tracked |> Seq.exists (fun x -> x.requires_grad)

        if recording && options.Events.Length > 0 then
            bad
                "Events carry no gradient through a symplectic solve; detach q0, p0 and the parameters, solve with gradients off, or take a general method on tensors."

        use _ = torch.NewDisposeScope()
        use _ = torch.set_grad_enabled recording
        let y0 = torch.stack [| q0; p0 |]
        let space = TensorSpace(options.Tolerance, recording)
        let normed: INormedSpace<Tensor> = space
        let flow = TensorSplitFlow hamiltonian
        let stepper = new SymplecticStepper<Tensor, TensorSpace, TensorSplitFlow>(method, space, flow, y0)

        Integrate.run stepper normed.Copy normed.Keep normed.IsFinite Unchecked.defaultof<_> options t0 t1 y0
        |> TensorSolution.DetachDense
        |> TensorResults.plain y0
