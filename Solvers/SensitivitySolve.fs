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

    let private applied (change: IGenericChange) (parameters: float[]) (t: float) (y: float[]) =
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

    /// Where second derivatives of the field are missing, the automatic choice is made once: the explicit method, or Bdf if it did not stay.
    let private settled (method: Method) (options: SolveOptions<float[]>) (problem: SensitivityProblem) t0 t1 y0 =
        match method with
        | Automatic when problem.Field.IsForwardOnly ->
            let plain = {
                SolveOptions.create options.Tolerance.Rtol options.Tolerance.Atol with
                    Control = options.Control
                    Jumps = options.Jumps
                    MaxSteps = options.MaxSteps
                    Cancellation = options.Cancellation
            }

            let solution = ArrayOde.solveSystem Automatic plain problem.System t0 t1 y0

            if solution.Choices.Length > 1 || not problem.System.HasIdentityMass then
                Bdf BdfFormula.maxOrder
            else
                RungeKutta(AutomaticChoice.explicit options)
        | other -> other

    let run (method: Method) (options: SolveOptions<float[]>) (problem: SensitivityProblem) t0 t1 (y0: float[]) =
        match method with
        | RungeKutta _
        | Rosenbrock _
        | Esdirk _
        | Bdf _
        | Automatic -> ()
        | _ ->
            bad
                $"{method.Name} has no sensitivities on arrays; take the automatic choice, an explicit Runge-Kutta method, or Rodas5P for stiff problems."

        let method = settled method options problem t0 t1 y0
        let methods = methodsOf method options problem.System

        match Array.last methods with
        | Rosenbrock _ when problem.Field.IsForwardOnly ->
            bad
                $"{method.Name} is differentiated by second derivatives of the field, which a delegate does not have; take an ESDIRK method or Bdf, or give the problem by SensitivityProblem.OfGeneric."
        | Esdirk _
        | Bdf _ when not problem.System.HasIdentityMass ->
            bad $"{method.Name} has no sensitivities with a mass matrix; take Rodas5P."
        | _ -> ()

        if options.Events.Length > 0 || options.Scheduled.Length > 0 then
            bad
                "Events and scheduled changes in the options have no derivatives; give them to the problem (SensitivityProblem.WithEvents, WithDoses), written over numbers."

        let field = problem.Field
        let parameters = field.Parameters

        let options = {
            options with
                Events = problem.Events |> Array.map (plainEvent parameters)
                Scheduled =
                    problem.Doses
                    |> Array.map (fun dose -> { Time = dose.Time; Apply = applied dose.Change parameters })
        }

        let recorder = TraceRecorder which
        let solution = ArrayOde.solveObserved recorder method options problem.System t0 t1 y0
        TracedSolve(problem, methods, solution, recorder.Finish())
