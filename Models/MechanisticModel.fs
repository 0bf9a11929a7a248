// A model with names: what parameter estimation and simulation by name work on.
namespace Continuum

open System

/// Simulates a problem with sensitivities, given as a function of the parameters.
[<Sealed>]
type internal ProblemSimulator
    (
        problem: float[] -> float -> float -> SensitivityProblem,
        size: int,
        parameterCount: int,
        method: Method,
        rtol: float,
        atol: float
    ) =
    let options times : SolveOptions<float[]> = { SolveOptions.create rtol atol with SaveAt = Times times }

    /// Column range of every matrix, row-major.
    let part first count (matrices: float[,][]) =
        matrices
        |> Array.map (fun matrix ->
            Array.init (matrix.GetLength 0 * count) (fun k -> matrix[k / count, first + k % count]))

    interface ISensitivitySimulator with
        member _.Size = size
        member _.ParameterCount = parameterCount

        member _.Simulate(t0, y0, p, times, derivatives) =
            let last = times[times.Length - 1]
            let problem = problem p t0 last

            if derivatives then
                let result = Sensitivity.forward method (options times) Everything problem t0 last y0

                {
                    Status = result.Solution.Status
                    Message = result.Solution.Message
                    States = result.Solution.States
                    ByInitial = part 0 size result.States
                    ByParameters = part size parameterCount result.States
                    Evaluations = result.Solution.Statistics.Evaluations + result.Evaluations
                }
            else
                let solution = TracedSolve.plain method (options times) problem t0 last y0

                {
                    Status = solution.Status
                    Message = solution.Message
                    States = solution.States
                    ByInitial = [||]
                    ByParameters = [||]
                    Evaluations = solution.Statistics.Evaluations
                }

/// Adds an amount to a component of the state.
type internal AddedAmount(index: int, amount: float) =
    interface IGenericChange with
        member _.Apply(_, _, _, after: Span<'T>) = after[index] <- after[index] + 'T.Of amount

/// y' = f(t, y; p) with names for its states and parameters and usual values for both, and with doses. Immutable; several threads may use
/// one, if the field may be called by several.
[<Sealed>]
type MechanisticModel
    private
    (
        states: NamedValue[],
        parameters: NamedValue[],
        problem: float[] -> SensitivityProblem,
        doses: GenericDose[],
        ensembles: (Method -> SolveOptions<float[]> -> EnsembleOptions -> EnsembleProblem -> EnsembleSolution) voption
    ) =
    do
        let names = Array.append states parameters |> Array.map _.Name

        if states.Length = 0 then
            raise (ArgumentException "The model has no states; name each component of the state.")

        if names |> Array.exists String.IsNullOrWhiteSpace || Array.distinct names <> names then
            let list = String.Join(", ", names)
            raise (ArgumentException $"States and parameters need names that differ; got {list}.")

    let between t0 t1 = doses |> Array.filter (fun dose -> dose.Time >= min t0 t1 && dose.Time <= max t0 t1)

    /// A dose at the end of a stretch is the next stretch's.
    let dosed p t0 t1 =
        let problem: SensitivityProblem = problem p

        if doses.Length = 0 then
            problem
        else
            problem.WithDoses(between t0 t1 |> Array.filter (fun d -> d.Time <> t1))

    /// Components of the state and their usual initial values.
    member _.States = states
    /// Parameters and their usual values.
    member _.Parameters = parameters
    /// The system at these parameters.
    member _.System(parameters: float[]) : OdeSystem = (problem parameters).System

    /// Solves with sensitivities by a method at these tolerances.
    member _.Simulator(method: Method, rtol: float, atol: float) : ISensitivitySimulator =
        ProblemSimulator(dosed, states.Length, parameters.Length, method, rtol, atol)

    /// Solves at these parameters, with the doses of the span.
    member this.Solve(method: Method, options: SolveOptions<float[]>, p: float[], t0: float, t1: float, y0: float[]) =
        let scheduled =
            between t0 t1
            |> Array.map (fun dose -> { Time = dose.Time; Apply = TracedSolve.applied dose.Change p })

        let options = { options with Scheduled = Array.append scheduled options.Scheduled }
        ArrayOde.solveSystem method options (this.System p) t0 t1 y0

    /// Solves many trajectories, with the doses of their spans, on all processors: a field over numbers without doses by explicit tableaus in
    /// lanes, everything else one trajectory at a time.
    member this.SolveEnsemble
        (method: Method, options: SolveOptions<float[]>, ensemble: EnsembleOptions, problem: EnsembleProblem)
        : EnsembleSolution =
        match ensembles with
        | ValueSome solve when doses.Length = 0 -> solve method options ensemble problem
        | _ when doses.Length = 0 ->
            Ensemble.solveSystems method options ensemble (fun i -> this.System(problem.Values i)) problem
        | _ ->
            Ensemble.solveEach ensemble options.Cancellation problem.Count states.Length (fun i ->
                this.Solve(method, options, problem.Values i, problem.Start i, problem.End i, problem.State i))

    /// The method for repeated solves with sensitivities: a stiff one where the automatic choice takes a stiff one on one solve of the span.
    member _.ChooseMethod(p: float[], t0: float, t1: float, y0: float[], rtol: float, atol: float) : Method =
        let struct (method, _) = TracedSolve.settle (SolveOptions.create rtol atol) (dosed p t0 t1) t0 t1 y0
        method

    /// With an amount added to a component of the state at each of these times, in place of the doses before; a dose at the start of a solve
    /// counts. ArgumentException where a time is not finite, a component does not exist, or the field is a delegate.
    member _.WithDoses(doses: struct (float * int * float)[]) =
        for struct (time, index, amount) in doses do
            if not (Double.IsFinite time && Double.IsFinite amount) || index < 0 || index >= states.Length then
                raise (
                    ArgumentException
                        $"A dose of {amount} to component {index} at time {time} makes no sense; times and amounts must be finite, and the components are 0 to {states.Length - 1}."
                )

        let doses =
            doses
            |> Array.map (fun struct (time, index, amount) -> { Time = time; Change = AddedAmount(index, amount) })

        (problem (parameters |> Array.map _.Value)).WithDoses doses |> ignore // which says why a delegate has none
        MechanisticModel(states, parameters, problem, doses, ensembles)

    /// A generic field with names. ArgumentException unless each component and parameter of the field has one.
    static member OfGeneric<'G when 'G: struct and 'G :> IGenericField>
        (field: 'G, states: NamedValue[], parameters: NamedValue[])
        : MechanisticModel =
        if states.Length <> field.Size || parameters.Length <> field.ParameterCount then
            raise (
                ArgumentException
                    $"The field has {field.Size} components and {field.ParameterCount} parameters; {states.Length} and {parameters.Length} are named."
            )

        MechanisticModel(
            states,
            parameters,
            (fun p -> SensitivityProblem.OfGeneric(field, p)),
            [||],
            ValueSome(fun method options ensemble problem -> Ensemble.solveWith method options ensemble field problem)
        )

    /// A field given as a delegate with names, and df/dy and df/dp (null: by central differences, exact to about 1e-9 of the field only).
    /// Fields over numbers have exact derivatives instead, doses, and more methods: this one explicit, ESDIRK and BDF methods.
    static member OfDelegates
        (
            field: ParameterField,
            states: NamedValue[],
            parameters: NamedValue[],
            byState: ParameterFieldJacobian,
            byParameters: ParameterFieldJacobian
        ) : MechanisticModel =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        let size = states.Length

        MechanisticModel(
            states,
            parameters,
            (fun p -> SensitivityProblem.OfDelegates(field, size, p, byState, byParameters)),
            [||],
            ValueNone
        )

    /// A named problem.
    static member OfNamed(problem: NamedProblem) : MechanisticModel =
        problem.Accept
            {
                new IGenericFieldVisitor<MechanisticModel> with
                    member _.Visit field = MechanisticModel.OfGeneric(field, problem.States, problem.Parameters)
            }
