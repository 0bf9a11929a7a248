// The continuous adjoint: a'(t) = -a df/dy, solved backward together with y, in one sweep over all save times.
// Chen et al. 2018; Kidger, On Neural Differential Equations, section 5.1.2; seminorm: Kidger, Chen and Lyons 2021.
namespace Continuum

open System
open System.Collections.Generic
open TorchSharp

/// [y; a; parameters' part] with the parameters' part left out of error control.
[<Struct>]
type internal SeminormSpace(inner: ArraySpace<Tensor, TensorSpace>, leaves: int) =
    member private _.Head(y: Tensor[]) = if y.Length <= leaves then y else Array.sub y 0 leaves

    interface INormedSpace<Tensor[]> with
        member _.Allocate y = (inner :> INormedSpace<_>).Allocate y
        member _.Combine(dest, y, h, w, k, count) = (inner :> INormedSpace<_>).Combine(dest, y, h, w, k, count)
        member _.Advance(t, h, c) = t + c * h

        member this.ErrorNorm(y0, y1, h, w, k, count) =
            (inner :> INormedSpace<_>).ErrorNorm(this.Head y0, this.Head y1, h, w, k, count)

        member this.ScaledDistance(a, b, y) =
            (inner :> INormedSpace<_>).ScaledDistance(this.Head a, this.Head b, this.Head y)

        member _.Distance(a, b) = (inner :> INormedSpace<_>).Distance(a, b)
        member _.Size y = (inner :> INormedSpace<_>).Size y
        member _.IsFinite y = (inner :> INormedSpace<_>).IsFinite y

        member _.WorstComponent(y0, y1, h, w, k, count) =
            (inner :> INormedSpace<_>).WorstComponent(y0, y1, h, w, k, count)

        member _.Copy y = (inner :> INormedSpace<_>).Copy y
        member _.OpenScope() = (inner :> INormedSpace<_>).OpenScope()
        member _.Keep y = (inner :> INormedSpace<_>).Keep y
        member _.Free y = (inner :> INormedSpace<_>).Free y

/// d/dt [y; a; g] = [f; -a df/dy; -a df/dtheta], the vector-Jacobian products by autograd.
[<Struct>]
type internal AdjointField(field: TensorField, parameters: Tensor[]) =
    interface IField<Tensor[], float> with
        member _.Eval(t, state, _) =
            let y = state[0]
            let a = state[1]
            use scope = torch.NewDisposeScope()
            use _ = torch.enable_grad ()
            let leaf = y.detach().requires_grad_ true
            let slope = TensorField.verify leaf (field.Eval(TensorField.time field t leaf, leaf))
            let products = Autograd.vjp [| slope |] (Array.append [| leaf |] parameters) [| a.neg () |]
            let dy = slope.detach ()

            let dg =
                if parameters.Length = 0 then
                    [||]
                else
                    [| torch.cat [| for g in products[1..] -> g.reshape -1L |] |]

            Array.concat [ [| dy; products[0].detach() |]; dg ]
            |> Array.map (fun x -> x.MoveToOuterDisposeScope())

/// Solving with the continuous adjoint.
[<RequireQualifiedAccess>]
module internal Backsolve =

    let solve
        (options: BacksolveOptions)
        (tableau: Tableau)
        (solveOptions: SolveOptions<Tensor>)
        (events: TensorEvent[])
        (field: TensorField)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution =
        if events.Length > 0 || solveOptions.Scheduled.Length > 0 then
            raise (
                ArgumentException
                    "Backsolve cannot differentiate through events or scheduled changes; differentiate by Discrete."
            )

        let mutable raw = Unchecked.defaultof<Solution<Tensor>>
        let size = y0.numel ()
        let shape = y0.shape

        let forward () : struct (Tensor * Tensor[]) =
            use _ = torch.NewDisposeScope()
            let space = TensorSpace(solveOptions.Tolerance, false)
            let normed = space :> INormedSpace<Tensor>

            let stepper =
                new RungeKuttaStepper<Tensor, TensorSpace, ScalarClockField>(tableau, space, ScalarClockField field, y0)

            raw <-
                Integrate.run
                    stepper
                    normed.Copy
                    normed.Keep
                    normed.IsFinite
                    Unchecked.defaultof<_>
                    { solveOptions with Events = [||] }
                    t0
                    t1
                    y0
                |> TensorSolution.DetachDense

            let flat =
                torch.cat [|
                    for state in raw.States do
                        yield state.reshape -1L
                    yield raw.FinalState.reshape -1L
                |]

            let final = raw.FinalState.clone ()

            struct (flat.MoveToOuterDisposeScope(),
                    Array.append [| y0; final.MoveToOuterDisposeScope() |] field.Parameters)

        let backward (context: VjpContext) (gradient: Tensor) : Tensor[] =
            use _ = torch.NewDisposeScope()
            let saved = context.Saved
            let initial = saved[0]
            let final = saved[1]
            let tEnd = raw.FinalTime
            let parameters = field.Parameters |> Array.filter (fun p -> p.requires_grad)
            let count = raw.States.Length

            let cotangent i = gradient.narrow(0L, int64 i * size, size).reshape shape

            // The cotangent of each saved value enters where the sweep passes its time: at its end, at the start, or between.
            let mutable adjoint = (cotangent count).clone()
            let inner = List<Scheduled<Tensor[]>>()
            let mutable atStart = torch.zeros_like initial

            for i in 0 .. count - 1 do
                let time = raw.Times[i]

                if time = tEnd then
                    adjoint <- adjoint.add (cotangent i)
                elif time = t0 then
                    atStart <- atStart.add (cotangent i)
                else
                    let g = cotangent i

                    inner.Add {
                        Time = time
                        Apply = fun _ state -> Array.mapi (fun j (x: Tensor) -> if j = 1 then x.add g else x) state
                    }

            let parameterCount = parameters |> Array.sumBy (fun p -> p.numel ())

            let start =
                Array.concat [
                    [| final; adjoint |]
                    (if parameters.Length = 0 then
                         [||]
                     else
                         [| torch.zeros (parameterCount, dtype = initial.dtype, device = initial.device) |])
                ]

            if tEnd = t0 then
                Array.append
                    [| adjoint.add(atStart).MoveToOuterDisposeScope() |]
                    (field.Parameters |> Array.map (fun _ -> null))
            else
                let tolerance = {
                    solveOptions.Tolerance with
                        Rtol = (if Double.IsNaN options.Rtol then solveOptions.Tolerance.Rtol else options.Rtol)
                        Atol = (if Double.IsNaN options.Atol then solveOptions.Tolerance.Atol else options.Atol)
                }

                let leaves =
                    ArraySpace<Tensor, TensorSpace>(
                        TensorSpace({ tolerance with RtolPer = ValueNone; AtolPer = ValueNone }, false),
                        Rms
                    )

                let space = SeminormSpace(leaves, (if options.Seminorm then 2 else 3))
                let normed = space :> INormedSpace<Tensor[]>

                let sweepOptions: SolveOptions<Tensor[]> = {
                    Control = solveOptions.Control
                    Tolerance = Tolerance.create 1.0 1.0
                    SaveAt = EndOnly
                    Events = [||]
                    Scheduled = inner.ToArray()
                    Jumps = solveOptions.Jumps
                    InitialStep = ValueNone
                    MaxStep = solveOptions.MaxStep
                    MinStep = solveOptions.MinStep
                    MaxSteps = solveOptions.MaxSteps
                    Heuristics = false
                    Progress = null
                    Cancellation = solveOptions.Cancellation
                }

                let stepper =
                    new RungeKuttaStepper<Tensor[], SeminormSpace, AdjointField>(
                        tableau,
                        space,
                        AdjointField(field, parameters),
                        start
                    )

                let swept =
                    Integrate.run
                        stepper
                        normed.Copy
                        normed.Keep
                        normed.IsFinite
                        Unchecked.defaultof<_>
                        sweepOptions
                        tEnd
                        t0
                        start

                if swept.Status <> Status.Success then
                    raise (
                        SolveFailedException(
                            swept.Status,
                            swept.FinalTime,
                            $"The backward solve of the continuous adjoint failed ({swept.Message}); differentiate by Discrete, which replays the forward steps.",
                            swept.Exception
                        )
                    )

                let result = swept.FinalState

                let drift =
                    (TensorSpace(tolerance, false) :> INormedSpace<Tensor>).ScaledDistance(result[0], initial, initial)

                if not (drift <= 100.0) then
                    Drift.report
                        options.OnDrift
                        drift
                        $"Backsolve reconstructed the initial state with an error of {drift:g3} tolerances, so its gradient is unreliable; differentiate by Discrete or Reversible, or tighten the tolerances."

                let mutable offset = 0L

                let parameterGradients =
                    field.Parameters
                    |> Array.map (fun p ->
                        if not p.requires_grad then
                            null
                        else
                            let g = result[2].narrow(0L, offset, p.numel ()).reshape(p.shape).clone()
                            offset <- offset + p.numel ()
                            g.MoveToOuterDisposeScope())

                Array.append [| result[1].add(atStart).MoveToOuterDisposeScope() |] parameterGradients

        let flat = Autograd.customVjp (Array.append [| y0 |] field.Parameters) forward backward
        let n = int64 raw.States.Length
        let states = flat.narrow(0L, 0L, n * size).reshape(Array.append [| n |] y0.shape)
        new TensorSolution(raw, states, flat.narrow(0L, n * size, size).reshape y0.shape, [||], null, null)
