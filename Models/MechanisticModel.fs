// A model with names: what parameter estimation and simulation by name work on.
namespace Continuum

open System

/// Simulates a generic field with exact sensitivities.
[<Sealed>]
type internal GenericSimulator<'G when 'G: struct and 'G :> IGenericField>
    (field: 'G, method: Method, rtol: float, atol: float) =
    let options times : SolveOptions<float[]> = { SolveOptions.create rtol atol with SaveAt = Times times }

    /// Column range of every matrix, row-major.
    let part first count (matrices: float[,][]) =
        matrices
        |> Array.map (fun matrix ->
            Array.init (matrix.GetLength 0 * count) (fun k -> matrix[k / count, first + k % count]))

    interface ISensitivitySimulator with
        member _.Size = field.Size
        member _.ParameterCount = field.ParameterCount

        member _.Simulate(t0, y0, p, times, derivatives) =
            let problem = SensitivityProblem.OfGeneric(field, p)
            let last = times[times.Length - 1]

            if derivatives then
                let result = Sensitivity.forward method (options times) Everything problem t0 last y0

                {
                    Status = result.Solution.Status
                    Message = result.Solution.Message
                    States = result.Solution.States
                    ByInitial = part 0 field.Size result.States
                    ByParameters = part field.Size field.ParameterCount result.States
                    Evaluations = result.Solution.Statistics.Evaluations + result.Evaluations
                }
            else
                let solution = ArrayOde.solveSystem method (options times) (OdeSystem.OfGeneric(field, p)) t0 last y0

                {
                    Status = solution.Status
                    Message = solution.Message
                    States = solution.States
                    ByInitial = [||]
                    ByParameters = [||]
                    Evaluations = solution.Statistics.Evaluations
                }

/// y' = f(t, y; p) with names for its states and parameters and usual values for both.
[<AbstractClass>]
type MechanisticModel internal (states: NamedValue[], parameters: NamedValue[]) =
    do
        let names = Array.append states parameters |> Array.map _.Name

        if names |> Array.exists String.IsNullOrWhiteSpace || Array.distinct names <> names then
            let list = String.Join(", ", names)
            raise (ArgumentException $"States and parameters need names that differ; got {list}.")

    /// Components of the state and their usual initial values.
    member _.States = states
    /// Parameters and their usual values.
    member _.Parameters = parameters
    /// The system at these parameters.
    abstract System: parameters: float[] -> OdeSystem
    /// Solves with sensitivities by a method at these tolerances.
    abstract Simulator: method: Method * rtol: float * atol: float -> ISensitivitySimulator

    /// Solves many trajectories: explicit tableaus in lanes, other methods one trajectory at a time, on all processors.
    abstract SolveEnsemble:
        method: Method * options: SolveOptions<float[]> * ensemble: EnsembleOptions * problem: EnsembleProblem ->
            EnsembleSolution

    /// Solves at these parameters.
    member this.Solve(method: Method, options: SolveOptions<float[]>, p: float[], t0: float, t1: float, y0: float[]) =
        ArrayOde.solveSystem method options (this.System p) t0 t1 y0

    /// The method for repeated solves with sensitivities: what the automatic choice ended with on one solve of the span.
    member this.ChooseMethod(p: float[], t0: float, t1: float, y0: float[], rtol: float, atol: float) : Method =
        let solution = this.Solve(Method.Automatic, SolveOptions.create rtol atol, p, t0, t1, y0)

        match Array.tryLast solution.Choices with
        | Some choice ->
            match Methods.TryFind choice.Method with
            | true, tableau -> RungeKutta tableau
            | _ -> Method.Rosenbrock RosenbrockMethods.Rodas5P
        | None -> RungeKutta Methods.Tsit5

    /// A generic field with names.
    static member OfGeneric(field: 'G, states: NamedValue[], parameters: NamedValue[]) : MechanisticModel =
        GenericModel<'G>(field, states, parameters)

    /// A named problem.
    static member OfNamed(problem: NamedProblem) : MechanisticModel =
        problem.Accept
            {
                new IGenericFieldVisitor<MechanisticModel> with
                    member _.Visit field = GenericModel<_>(field, problem.States, problem.Parameters)
            }

/// A generic field with names.
and [<Sealed>] internal GenericModel<'G when 'G: struct and 'G :> IGenericField>
    (field: 'G, states: NamedValue[], parameters: NamedValue[]) =
    inherit MechanisticModel(states, parameters)

    do
        if states.Length <> field.Size || parameters.Length <> field.ParameterCount then
            raise (
                ArgumentException
                    $"The field has {field.Size} components and {field.ParameterCount} parameters; {states.Length} and {parameters.Length} are named."
            )

    override _.System p = OdeSystem.OfGeneric(field, p)
    override _.Simulator(method, rtol, atol) = GenericSimulator<'G>(field, method, rtol, atol)

    override _.SolveEnsemble(method, options, ensemble, problem) =
        Ensemble.solveWith method options ensemble field problem
