// Ordinary differential equations on arrays of numbers: native speed, no allocation per step, no libtorch.
namespace Continuum

open System

/// Results of solves as Result, for F#.
[<RequireQualifiedAccess>]
module Solution =
    /// Ok when the solve ended well (or at a terminal event), else the error with the partial solution.
    let toResult (solution: Solution<'S>) : Result<Solution<'S>, SolveError<'S>> =
        match solution.Status with
        | Status.Success
        | Status.Terminated -> Ok solution
        | status ->
            Error {
                Status = status
                Time = solution.FinalTime
                Step = solution.Statistics.SmallestStep
                Component = ""
                Message = solution.Message
                Partial = solution
            }

/// Makes the stepper of a method on a system, compiled for the field's type.
type private SystemStepper(method: Method, options: SolveOptions<float[]>, system: OdeSystem, like: float[]) =
    let bad (text: string) : IStepper<float[]> = raise (ArgumentException text)
    let mutable linear = Unchecked.defaultof<ArrayLinearSystem>

    let newLinear () =
        linear <- system.LinearSystem options.Tolerance
        linear

    /// The linear system of the implicit stepper made last.
    member _.Linear = linear

    /// Both halves of the automatic choice; only the stiff one where no explicit method will do.
    member private _.Automatic<'F when 'F: struct and 'F :> IField<float[], float>>(field: 'F) : IStepper<float[]> =
        let stiff = AutomaticChoice.stiff system
        let maker = SystemStepper(stiff, options, system, like)

        let makeStiff () : StiffHalf =
            let stepper = (maker :> IFieldVisitor<IStepper<float[]>>).Visit<'F> field
            let estimate = SpectralEstimate maker.Linear.Shape
            { Stepper = stepper; Radius = fun () -> estimate.Radius maker.Linear.Jacobian }

        let explicit = AutomaticChoice.explicit options
        let whyStiff = AutomaticChoice.whyStiff system

        let stepper =
            if isNull whyStiff then
                new RungeKuttaStepper<float[], RealSpace, 'F>(explicit, RealSpace options.Tolerance, field, like)
                :> IStepper<float[]>
            else
                Unchecked.defaultof<_>

        let feedback =
            match options.Control with
            | Adaptive feedback -> feedback
            | Fixed _ -> ValueNone

        new AutomaticStepper(stepper, explicit.Name, whyStiff, makeStiff, stiff.Name, feedback)

    interface IFieldVisitor<IStepper<float[]>> with
        member this.Visit<'F when 'F: struct and 'F :> IField<float[], float>>(field: 'F) : IStepper<float[]> =
            let space = RealSpace options.Tolerance

            match method with
            | RungeKutta tableau ->
                if not system.HasIdentityMass then
                    bad
                        $"{tableau.Name} is explicit and the system has a mass matrix; take a method for stiff problems, or solve M y' = f for y' in the field where M is regular."
                else
                    new RungeKuttaStepper<float[], RealSpace, 'F>(tableau, space, field, like)
            | Rosenbrock tableau ->
                let linear = new ArrayLinear(newLinear ())
                let zero = Array.zeroCreate like.Length
                new RosenbrockStepper<float[], RealSpace, 'F, ArrayLinear>(tableau, space, field, linear, like, zero)
            | Bdf maxOrder ->
                BdfFormula.check maxOrder
                let linear = newLinear ()
                new BdfStepper<float[], RealSpace, 'F>(method.Name, maxOrder, space, field, linear, like)
            | Esdirk tableau ->
                let linear = new ArrayLinear(newLinear ())

                // A controller of the caller's is followed; otherwise the method chooses steps that spare its factorisations.
                let own =
                    match options.Control with
                    | Adaptive(ValueSome _) -> false
                    | _ -> true

                match system.Knowledge.ExplicitPart with
                | null ->
                    let none = NoField<float[], float>()

                    new EsdirkStepper<_, _, 'F, _, _>(tableau, false, space, field, none, linear, own, like)
                | _ when not tableau.IsAdditive ->
                    bad
                        $"{tableau.Name} has no explicit companion for a split field; take KenCarp4, or give the whole field as one."
                | _ when not system.HasIdentityMass ->
                    bad
                        "A split field goes with the identity as mass matrix; multiply both parts by the inverse of M, or give the whole field as one."
                | explicitPart ->
                    let explicitField = SpanField explicitPart

                    new EsdirkStepper<_, _, 'F, _, _>(tableau, true, space, field, explicitField, linear, own, like)
            | Automatic -> this.Automatic<'F> field
            | ReversibleHeun
            | Coupled _ ->
                bad $"{method.Name} works on tensors only; on arrays take a Runge-Kutta method such as Tsit5."

/// Solving y' = f(t, y) on float[].
[<RequireQualifiedAccess>]
module ArrayOde =

    /// Any stepper over any normed space; the door for other spaces (pairs, arrays of arrays) and methods.
    let solveIn<'S, 'P, 'F when 'P: struct and 'P :> INormedSpace<'S> and 'F :> IField<'S, float>>
        (space: 'P)
        (method: Tableau)
        (options: SolveOptions<'S>)
        (field: 'F)
        (t0: float)
        (t1: float)
        (y0: 'S)
        : Solution<'S> =
        let mutable space = space
        let stepper = new RungeKuttaStepper<'S, 'P, 'F>(method, space, field, y0)
        let space: INormedSpace<'S> = space
        Integrate.run stepper space.Copy space.Keep space.IsFinite Unchecked.defaultof<_> options t0 t1 y0

    let private checkState (options: SolveOptions<float[]>) (y0: float[]) =
        if isNull y0 || y0.Length = 0 then
            raise (ArgumentException "The initial state is empty; give at least one component.")

        let checkLength name (per: float[] voption) =
            match per with
            | ValueSome per when per.Length <> y0.Length ->
                raise (
                    ArgumentException(
                        $"{name} per component has {per.Length} entries and the state has {y0.Length}; give one for each component."
                    )
                )
            | ValueSome per ->
                for i in 0 .. per.Length - 1 do
                    if not (Double.IsFinite per[i]) || per[i] < 0.0 then
                        raise (
                            ArgumentException(
                                $"{name} per component must be finite and not negative; entry {i} is {per[i]}. Typical values are 1e-3 to 1e-9."
                            )
                        )
            | ValueNone -> ()

        checkLength "rtol" options.Tolerance.RtolPer
        checkLength "atol" options.Tolerance.AtolPer

    /// A field that implements IField directly (a struct of yours): the fastest door.
    let solveField
        (method: Tableau)
        (options: SolveOptions<float[]>)
        (field: 'F :> IField<float[], float>)
        t0
        t1
        (y0: float[])
        =
        checkState options y0
        let options = SolveOptions.checkedChanges y0.Length options
        solveIn (RealSpace options.Tolerance) method options field t0 t1 y0

    /// Solves y' = f(t, y) from y(t0) = y0 to t1 (t1 < t0 integrates backward). y0 is not changed.
    /// ArgumentException where options contradict the span; everything that goes wrong while solving is in the result's Status.
    let solve
        (method: Tableau)
        (options: SolveOptions<float[]>)
        (field: VectorField)
        (t0: float)
        (t1: float)
        (y0: float[])
        =
        if isNull field then
            raise (ArgumentNullException(nameof field, "The field is null; give a function that writes dy/dt."))

        solveField method options (SpanField field) t0 t1 y0

    /// The outcome of a solve that could not start: nothing but the state it was given.
    let private failedAtStart
        (method: Method)
        (saveAt: SaveAt)
        (t0: float)
        (y0: float[])
        (error: exn)
        : Solution<float[]> =
        // As in a solve that fails in its first step.
        let saved =
            match saveAt with
            | EndOnly
            | EverySteps
            | DenseOutput -> [| t0 |]
            | Times times
            | StepValues times -> times |> Array.filter (fun t -> t = t0)

        let status, message, thrown =
            match error with
            | :? InconsistentException as e -> e.Status, e.Message, null
            | e -> Status.FieldThrew, $"{e.GetType().Name} from the field at the start, t = {t0}: {e.Message}", e

        {
            Status = status
            Message = message
            Times = saved
            States = saved |> Array.map (fun _ -> Array.copy y0)
            FinalTime = t0
            FinalState = Array.copy y0
            Occurrences = [||]
            Dense = ValueNone
            Statistics = StepTally().Statistics(0, ImplicitWork.Zero)
            Choices = [| { Time = t0; Method = method.Name; Reason = "asked for" } |]
            Exception = thrown
        }

    /// solveSystem with an observer of its steps (null for none).
    let internal solveObserved
        (observer: IStepObserver<float[]>)
        (method: Method)
        (options: SolveOptions<float[]>)
        (system: OdeSystem)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        checkState options y0
        let options = SolveOptions.checkedChanges y0.Length options

        if y0.Length <> system.Size then
            raise (
                ArgumentException(
                    $"The initial state has {y0.Length} components and the system {system.Size}; they must agree."
                )
            )

        if method.IsBdf then
            BdfFormula.checkControl options.Control

        match method with
        | Esdirk _
        | Automatic -> ()
        | other when system.IsSplit ->
            raise (
                ArgumentException(
                    $"{other.Name} does not take a split field; take KenCarp4, or give the whole field as one."
                )
            )
        | _ -> ()

        let stepper = system.Accept(SystemStepper(method, options, system, y0))
        let space: INormedSpace<float[]> = RealSpace options.Tolerance

        let run options start = Integrate.run stepper space.Copy space.Keep space.IsFinite observer options t0 t1 start

        match system.Consistency options.Tolerance with
        | ValueNone -> run options y0
        | ValueSome make ->
            SolveOptions.check options t0 t1

            // Events and doses move states too.
            let consistent (change: float -> float[] -> float[]) = fun t y -> make t (change t y)

            let options = {
                options with
                    Events =
                        options.Events |> Array.map (fun e -> { e with Apply = ValueOption.map consistent e.Apply })
                    Scheduled = options.Scheduled |> Array.map (fun d -> { d with Apply = consistent d.Apply })
            }

            let start =
                try
                    Ok(make t0 y0)
                with error ->
                    Error error

            match start with
            | Ok start -> run options start
            | Error error ->
                stepper.Dispose()
                failedAtStart method options.SaveAt t0 y0 error

    /// Solves M y' = f(t, y) from y(t0) = y0 to t1 with any method that works on arrays. y0 is not changed.
    /// ArgumentException where the options contradict the span, or the method cannot do what is asked (an explicit method with a
    /// mass matrix); everything that goes wrong while solving is in the result's Status.
    let solveSystem method options system t0 t1 y0 = solveObserved Unchecked.defaultof<_> method options system t0 t1 y0
