// The ways to differentiate a stochastic solve, and methods with a second state: what the front door hands over.
namespace Continuum

open System
open TorchSharp

/// Solves that need more than steps of y one after the other.
[<RequireQualifiedAccess>]
module internal SdeGradients =

    let private taskOf
        (scheme: SdeScheme)
        (terms: SdeTerms)
        (path: IBrownian<Tensor>)
        options
        t0
        t1
        (y0: Tensor)
        : SdeTask = {
        Terms = terms
        Path = FittedPath(path, y0)
        FreshKernel = fun () -> TensorSdeRun.kernel scheme (SdeTermsAt terms) t0 y0
        Options = TensorSdeOptions.toSolve options
        Start = t0
        End = t1
        Initial = y0
    }

    /// The solve as the way to differentiate asks for it; ValueNone where plain steps of y do it, recorded or not. needed: gradients are
    /// on, and the state or a parameter wants one. ArgumentException where the method, the way and the options do not fit together, and for a
    /// tensor with a gradient that is not among the parameters.
    let trySolve
        (scheme: SdeScheme)
        (terms: SdeTerms)
        (path: IBrownian<Tensor>)
        (options: TensorSdeOptions)
        (needed: bool)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution voption =
        let task = taskOf scheme terms path options t0 t1 y0

        let reversible =
            match scheme, options.Differentiation with
            | SdeScheme.ReversibleHeun, _ -> ValueSome SdeReversibleScheme.Heun
            // Also where no gradient is wanted: the solution must not depend on that.
            | _, Differentiation.Reversible reversible -> ValueSome(SdeReversible.coupled reversible task)
            | _ -> ValueNone

        let check () =
            if options.CheckTracking then
                SdeTracking.check terms t0 y0

        let values (scheme: SdeReversibleScheme) =
            use _ = torch.no_grad ()
            SdeReversible.plain scheme task false

        match options.Differentiation, reversible with
        | Differentiation.Recorded, ValueSome scheme when needed -> ValueSome(SdeReversible.plain scheme task true)
        | _, ValueSome scheme when not needed -> ValueSome(values scheme)
        | Differentiation.None, ValueSome scheme -> ValueSome(values scheme)
        | Differentiation.Reversible reversible, ValueSome scheme ->
            check ()
            ValueSome(SdeReversible.solve reversible scheme task)
        | Differentiation.Discrete _, ValueSome scheme ->
            // As exact, with less memory and without taking steps twice.
            check ()
            ValueSome(SdeReversible.solve { Coupling = 1.0; CheckpointEvery = 0; OnDrift = null } scheme task)
        | Differentiation.Backsolve backsolve, ValueSome scheme ->
            check ()
            ValueSome(SdeBacksolve.solvePair backsolve scheme task)
        | Differentiation.Discrete discrete, ValueNone when needed ->
            check ()
            ValueSome(SdeDiscrete.solve discrete task)
        | Differentiation.Backsolve backsolve, ValueNone when needed ->
            check ()
            ValueSome(SdeBacksolve.solve backsolve task)
        | _ -> ValueNone
