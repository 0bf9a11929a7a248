// Symplectic splitting steps over a state that holds positions and momenta.
namespace Continuum

open System

/// The two exact flows of a separable Hamiltonian on a working point. Calls come in the order Load, Drift and Kick, Store.
type internal ISplitFlow<'S> =
    /// Makes y the working point.
    abstract Load: y: 'S -> unit
    /// q += c dT/dp(t, p).
    abstract Drift: t: float * c: float -> unit
    /// p -= c dV/dq(t, q).
    abstract Kick: t: float * c: float -> unit
    /// The working point; dest is a hint, as in IStateSpace.Combine.
    abstract Store: dest: 'S -> 'S
    /// (dq/dt, dp/dt) at a state.
    abstract Slope: t: float * y: 'S * dest: 'S -> 'S
    /// Forgets the rounding errors carried so far: the state is a new one.
    abstract Reset: unit -> unit
    /// Remembers the working point's rounding errors as those of the candidate.
    abstract Remember: unit -> unit
    /// The candidate's rounding errors become the current ones.
    abstract Adopt: unit -> unit
    /// Forces evaluated.
    abstract Forces: int

/// A splitting method as a stepper. Times move as in the extended phase space of H: kicks see t + h (d_1 + .. + d_i), drifts see
/// t + h (k_1 + .. + k_(i-1)), which keeps the order where V, or T, depends on time (each flow then freezes its own time).
/// Dense output is a Hermite interpolant of the method's order through inner nodes, each reached by a step of a part of h.
[<Sealed>]
type internal SymplecticStepper<'S, 'P, 'H when 'P: struct and 'P :> INormedSpace<'S> and 'H :> ISplitFlow<'S>>
    (method: Splitting, space: 'P, flow: 'H, like: 'S) =
    let mutable space = space
    let drift = method.Drift
    let kick = method.Kick
    let nodes = Hermite.nodes method.Order
    let parts: 'S[] = Array.zeroCreate (2 * nodes.Length - 1)
    let weights: float[] = Array.zeroCreate parts.Length
    let mutable t = 0.0
    let mutable h = 0.0
    let mutable tEnd = 0.0
    let mutable y = Unchecked.defaultof<'S>
    let mutable candidate = space.Allocate like
    let mutable spare = space.Allocate like
    let mutable scope: IDisposable = null
    let mutable started = false
    let mutable attempted = false
    let mutable partsKnown = false

    let closeScope () =
        if not (isNull scope) then
            scope.Dispose()
            scope <- null

    let release () =
        if started then
            closeScope ()
            space.Free y
            started <- false

    let step (length: float) (dest: 'S) : 'S =
        flow.Load y
        let mutable drifted = 0.0
        let mutable kicked = 0.0

        for i in 0 .. drift.Length - 1 do
            if drift[i] <> 0.0 then
                flow.Drift(t + length * kicked, length * drift[i])
                drifted <- drifted + drift[i]

            if kick[i] <> 0.0 then
                flow.Kick(t + length * drifted, length * kick[i])
                kicked <- kicked + kick[i]

        flow.Store dest

    let ensureParts () =
        if not partsKnown then
            let m = nodes.Length - 1
            parts[0] <- flow.Slope(t, y, space.Allocate y)
            parts[m] <- flow.Slope(tEnd, candidate, space.Allocate y)

            for i in 1 .. m - 1 do
                let inner = step (nodes[i] * h) (space.Allocate y)
                parts[i] <- flow.Slope(t + nodes[i] * h, inner, space.Allocate y)
                parts[m + i] <- space.Combine(space.Allocate y, inner, -1.0, [| 1.0 |], [| y |], 1)

            parts[2 * m] <- space.Combine(space.Allocate y, candidate, -1.0, [| 1.0 |], [| y |], 1)
            partsKnown <- true

    interface IStepper<'S> with
        member _.ErrorOrder = method.Order
        member _.IsAdaptive = false
        member _.DefaultFeedback = Controller.integral method.Order

        member _.Start(time, state) =
            let copy = space.Copy state
            release ()
            flow.Reset()
            t <- time
            y <- copy
            started <- true
            attempted <- false

        member _.InitialStep(_, longest) = longest

        member _.Try(length, stepEnd) =
            closeScope ()
            scope <- space.OpenScope()
            h <- length
            tEnd <- stepEnd
            partsKnown <- false
            attempted <- true

            try
                candidate <- step h spare
                flow.Remember()
                0.0
            with _ ->
                closeScope ()
                reraise ()

        member _.Accept() =
            let next = space.Keep candidate
            spare <- y
            space.Free y
            y <- next
            flow.Adopt()
            closeScope ()
            t <- tEnd
            attempted <- false

        member _.Time = t
        member _.State = y
        member _.Candidate = candidate

        member _.Interpolate theta =
            ensureParts ()
            Hermite.weights nodes h theta weights
            space.Combine(space.Allocate y, y, 1.0, weights, parts, parts.Length)

        member _.DenseStep() =
            ensureParts ()
            let mutable own = space
            let kept = parts |> Array.map (fun part -> own.Keep(own.Copy part))
            HermiteStep<'S, 'P>(space, nodes, t, h, tEnd, space.Keep(space.Copy y), kept)

        member _.Evaluations = flow.Forces
        member _.Heuristics() = struct (nan, nan)
        member _.StabilityRadius = nan

        member _.WorstComponent() =
            space.WorstComponent(y, (if attempted then candidate else y), 0.0, [| 1.0 |], [| y |], 1)

        member _.Factor(_, _) = nan
        member _.Difficulty = Status.Success
        member _.Work = ImplicitWork.Zero
        member _.Choices = [| { Time = nan; Method = method.Name; Reason = "asked for" } |]
        member _.Dispose() = release ()
