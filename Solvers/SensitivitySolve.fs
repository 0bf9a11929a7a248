// The forward solve that is differentiated, and the replays of its methods over numbers with derivatives.
namespace Continuum

#nowarn "3535" "3536"

open System

/// A finished solve with the trace of what it did.
[<Sealed>]
type internal TracedSolve
    (problem: SensitivityProblem, methods: Method[], solution: Solution<float[]>, trace: SolveTrace) =
    let field = problem.Field

    member _.Solution = solution
    member _.Size = field.Size
    member _.Parameters = field.Parameters

    /// A walk over the solve with these parameters, and the field's derivatives that it uses.
    member _.Sweep<'B when 'B: struct and 'B :> IReal<'B>>
        (parameters: 'B[])
        : struct (SolveSweep<'B> * IFieldCalculus<'B>) =
        let calculus = field.Calculus<'B> parameters

        let values () = field.Calculus<Real>(NumberRows.constants<Real> field.Parameters)
        let found index = trace.Unknowns[index]

        let replay (method: Method) : IStepReplay<'B> =
            match method with
            | RungeKutta tableau -> RungeKuttaReplay<'B>(tableau, calculus)
            | Rosenbrock tableau -> RosenbrockReplay<'B>(tableau, problem.System.Knowledge.Mass, calculus)
            | Esdirk tableau -> EsdirkReplay<'B>(tableau, calculus, values (), found)
            | Bdf _ -> BdfReplay<'B>(BdfPast.ofEntries trace.Entries, calculus, values (), found)
            | _ -> invalidOp $"{method.Name} has no sensitivities on arrays."

        let replays = Array.map replay methods

        let changes = field.Changes<'B>(problem.Events, problem.Doses, parameters, calculus.ParameterCotangent)
        struct (SolveSweep<'B>(trace, field.Size, replays, changes), calculus)

/// Making the forward solve.
[<RequireQualifiedAccess>]
module internal TracedSolve =
    let private bad (text: string) = raise (ArgumentException text)

    let applied (change: IGenericChange) (parameters: float[]) (t: float) (y: float[]) =
        let after = Array.copy y

        change.Apply<Real>(
            Real t,
            Real.Of(ReadOnlySpan<float> y),
            Real.Of(ReadOnlySpan<float> parameters),
            Real.Of(Span<float> after)
        )

        after

    let private plainEvent (parameters: float[]) (event: GenericEvent) : Event<float[]> = {
        Name = event.Name
        Condition =
            fun t y ->
                event.Condition
                    .Evaluate<Real>(Real t, Real.Of(ReadOnlySpan<float> y), Real.Of(ReadOnlySpan<float> parameters))
                    .Value
        Crossing = event.Crossing
        Apply = event.Change |> ValueOption.map (fun change -> applied change parameters)
        Terminal = event.Terminal
        MaxOccurrences = event.MaxOccurrences
    }

    /// Number of the method at work: 1 for the stiff half of the automatic choice.
    let private which (stepper: IStepper<float[]>) =
        match stepper with
        | :? AutomaticStepper as automatic when automatic.IsStiff -> 1
        | _ -> 0

    /// The methods that a solve may step with, in the order in which `which` numbers them.
    let private methodsOf (method: Method) (options: SolveOptions<float[]>) (system: OdeSystem) =
        match method with
        | Automatic -> [| RungeKutta(AutomaticChoice.explicit options); AutomaticChoice.stiff system |]
        | other -> [| other |]

    let private check (method: Method) (problem: SensitivityProblem) =
        match method with
        | Rosenbrock _ when problem.Field.IsForwardOnly ->
            bad
                $"{method.Name} is differentiated by second derivatives of the field, which a delegate does not have; take Kvaerno5, KenCarp4 or Bdf, or write the field over numbers (IGenericField)."
        | Esdirk _
        | Bdf _ when not problem.System.HasIdentityMass ->
            bad $"{method.Name} has no sensitivities with a mass matrix; take Rodas5P."
        | RungeKutta _
        | Rosenbrock _
        | Esdirk _
        | Bdf _ -> ()
        | _ ->
            bad
                $"{method.Name} has no sensitivities on arrays; take the automatic choice, an explicit Runge-Kutta method, or Rodas5P for stiff problems."

    /// The options with the events and doses of the problem.
    let private withChanges (options: SolveOptions<float[]>) (problem: SensitivityProblem) =
        let parameters = problem.Field.Parameters

        {
            options with
                Events = problem.Events |> Array.map (plainEvent parameters)
                Scheduled =
                    problem.Doses
                    |> Array.map (fun dose -> { Time = dose.Time; Apply = applied dose.Change parameters })
        }

    /// The solve alone, without a trace.
    let plain (method: Method) (options: SolveOptions<float[]>) (problem: SensitivityProblem) t0 t1 (y0: float[]) =
        ArrayOde.solveSystem method (withChanges options problem) problem.System t0 t1 y0

    /// The one method that stands for the automatic choice, and why: a stiff one with derivatives where the automatic choice takes a stiff
    /// one on the way, else its explicit one. Costs a solve.
    let settle (options: SolveOptions<float[]>) (problem: SensitivityProblem) t0 t1 (y0: float[]) =
        let system = problem.System
        let choices = (plain Method.Automatic { options with SaveAt = EndOnly } problem t0 t1 y0).Choices

        let tableau (choice: MethodChoice) =
            match Methods.TryFind choice.Method with
            | true, tableau -> ValueSome tableau
            | _ -> ValueNone

        match choices |> Array.tryFind (fun choice -> (tableau choice).IsNone) with
        | Some stiff when not system.HasIdentityMass ->
            struct (Method.Rosenbrock RosenbrockMethods.Rodas5P, stiff.Reason)
        | Some stiff when problem.Field.IsForwardOnly && system.Size <= AutomaticChoice.small ->
            struct (Esdirk EsdirkMethods.Kvaerno5, stiff.Reason)
        | Some stiff -> struct (AutomaticChoice.stiff system, stiff.Reason)
        | None ->
            let chosen = choices |> Array.tryLast |> Option.map tableau |> Option.defaultValue ValueNone

            struct (RungeKutta(ValueOption.defaultValue Methods.Tsit5 chosen),
                    "stability did not limit the steps of the automatic choice")

    let run (method: Method) (options: SolveOptions<float[]>) (problem: SensitivityProblem) t0 t1 (y0: float[]) =
        if options.Events.Length > 0 || options.Scheduled.Length > 0 then
            bad
                "Events and scheduled changes in the options have no derivatives; give them to the problem (SensitivityProblem.WithEvents, WithDoses), written over numbers."

        // A delegate has no second derivatives, which Rodas5P would need: the choice is made once, before.
        let struct (method, why) =
            match method with
            | Automatic when problem.Field.IsForwardOnly -> settle options problem t0 t1 y0
            | _ -> struct (method, null)

        let methods = methodsOf method options problem.System

        for method in methods do
            check method problem

        let recorder = TraceRecorder which
        let options = withChanges options problem
        let solution = ArrayOde.solveObserved recorder method options problem.System t0 t1 y0

        let solution =
            if isNull why then
                solution
            else
                {
                    solution with
                        Choices = [| { Time = t0; Method = method.Name; Reason = why } |]
                }

        TracedSolve(problem, methods, solution, recorder.Finish())
