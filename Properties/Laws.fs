namespace Continuum.Properties

open System
open System.Collections.Generic
open Continuum
open TorchSharp

/// The laws, to run on your own model from C# (or F#): every member takes delegates, arrays and tensors, and returns what was
/// found. Hand the results to EnsureAll in a test. A null method takes Tsit5. Those about equations along paths and about operators are inherited.
[<AbstractClass; Sealed>]
type Laws private () =
    inherit LawsOfPaths()

    static let orTsit5 (method: Tableau) = if isNull (box method) then Methods.Tsit5 else method

    static let needed (name: string) (value: obj) =
        if isNull value then
            raise (ArgumentNullException name)

    static let readOnly (results: seq<LawResult>) =
        results |> Seq.toArray |> Array.AsReadOnly :> IReadOnlyList<LawResult>

    /// The order conditions of a method, on its exact coefficients.
    static member OfMethod(method: Tableau) : IReadOnlyList<LawResult> =
        needed (nameof method) (box method)
        readOnly (OrderConditions.all method)

    /// The laws of solving on a field: orders of convergence (also of dense output), flow, there and back, time reversal, step
    /// values, and other spaces. The field must be smooth, and its state reversible over the span. exact is its solution at a time;
    /// null takes a Vern9 solution at 1e-13.
    static member OfField
        (
            name: string,
            field: VectorField,
            start: float,
            finish: float,
            initial: float[],
            exact: Func<float, float[]>,
            method: Tableau
        ) : IReadOnlyList<LawResult> =
        needed (nameof field) field
        needed (nameof initial) initial
        let method = orTsit5 method

        let problem: OdeProblem = {
            Name = name
            Field = field
            Start = start
            End = finish
            Initial = initial
            Exact = if isNull exact then ValueNone else ValueSome exact.Invoke
        }

        readOnly [|
            yield! OdeLaws.all method problem
            if method.IsAdaptive then
                yield! SpaceLaws.all method 1e-8 problem
        |]

    /// OfField with Tsit5 and a Vern9 solution at 1e-13 as the exact one.
    static member OfField
        (name: string, field: VectorField, start: float, finish: float, initial: float[])
        : IReadOnlyList<LawResult> =
        Laws.OfField(name, field, start, finish, initial, null, Unchecked.defaultof<_>)

    /// The laws of one event, at tolerance 1e-9: times of the closed form, the condition's zero, independence of what is saved, and
    /// mirrored time. condition is g(t, y), whose sign changes of the crossing wanted are events; change gives the state after an
    /// event from (t, y), null leaves it; times gives the event times from the initial state, null leaves that law out.
    static member OfEvent
        (
            name: string,
            field: VectorField,
            start: float,
            finish: float,
            initial: float[],
            condition: Func<float, float[], float>,
            crossing: Crossing,
            change: Func<float, float[], float[]>,
            times: Func<float[], float[]>,
            method: Tableau
        ) : IReadOnlyList<LawResult> =
        needed (nameof field) field
        needed (nameof initial) initial
        needed (nameof condition) condition

        let problem: EventProblem = {
            Name = name
            Field = field
            Start = start
            End = finish
            Initial = initial
            Event = {
                Name = name
                Condition = fun t y -> condition.Invoke(t, y)
                Crossing = crossing
                Apply = if isNull change then ValueNone else ValueSome(fun t y -> change.Invoke(t, y))
                Terminal = false
                MaxOccurrences = Int32.MaxValue
            }
            Times = if isNull times then ValueNone else ValueSome times.Invoke
        }

        readOnly (EventLaws.all (orTsit5 method) 1e-9 problem)

    /// A field on tensors (the state as one float64 vector) is solved as the same field on arrays.
    static member OfTwoForms
        (
            name: string,
            arrays: VectorField,
            tensors: Func<Tensor, Tensor, Tensor>,
            start: float,
            finish: float,
            initial: float[],
            method: Tableau
        ) : IReadOnlyList<LawResult> =
        needed (nameof arrays) arrays
        needed (nameof tensors) tensors
        needed (nameof initial) initial

        let problem: OdeProblem = {
            Name = name
            Field = arrays
            Start = start
            End = finish
            Initial = initial
            Exact = ValueNone
        }

        readOnly [ SpaceLaws.tensors (orTsit5 method) 1e-8 1e-9 problem (TensorField tensors) ]

    /// Every sample of a batch is its own affair: steps, state and gradient. The field takes t of shape (batch, 1, ..., 1) and y of
    /// shape (batch, ...); parameters are the tensors with gradients that it reads (null for none).
    static member OfBatch
        (
            name: string,
            field: Func<Tensor, Tensor, Tensor>,
            parameters: IEnumerable<Tensor>,
            starts: float[],
            ends: float[],
            initial: Tensor,
            method: Tableau
        ) : IReadOnlyList<LawResult> =
        needed (nameof field) field
        needed (nameof starts) starts
        needed (nameof ends) ends
        needed (nameof initial) initial

        let problem: BatchProblem = {
            Name = name
            Field = TensorField(field, (if isNull parameters then Seq.empty else parameters), false)
            Starts = starts
            Ends = ends
            Initial = initial
        }

        readOnly (BatchLaws.all (RungeKutta(orTsit5 method)) 1e-7 problem)

    /// All exact ways to differentiate agree, to 1e-7, and agree with difference quotients, to 1e-5: gradients of a loss of the
    /// states at saveTimes, for the initial state and the parameters (leaves that require a gradient). All of float64.
    static member OfGradients
        (
            name: string,
            field: Func<Tensor, Tensor, Tensor>,
            parameters: IEnumerable<Tensor>,
            start: float,
            finish: float,
            initial: Tensor,
            saveTimes: float[],
            method: Tableau
        ) : IReadOnlyList<LawResult> =
        needed (nameof field) field
        needed (nameof initial) initial
        needed (nameof saveTimes) saveTimes

        let problem: GradientProblem = {
            Name = name
            Field = TensorField(field, (if isNull parameters then Seq.empty else parameters), false)
            Start = start
            End = finish
            Initial = initial
            SaveTimes = saveTimes
        }

        readOnly (GradientLaws.allAgree (orTsit5 method) 1e-10 1e-7 1e-5 problem)

    /// The laws of a stiff system, or a differential-algebraic one: solved at 1e-4, 1e-6 and 1e-8 within a hundred times the tolerance of its
    /// solution, relative per component above floor; and a Jacobian of its own agrees with that of plain, the same system without it
    /// (null leaves that law out). exact is the solution at a time; null takes Rodas5P at 1e-11, or Kvaerno5 where Rodas5P is tried. A null
    /// method takes Rodas5P.
    static member OfSystem
        (
            name: string,
            system: OdeSystem,
            plain: OdeSystem,
            start: float,
            finish: float,
            initial: float[],
            floor: float,
            exact: Func<float, float[]>,
            method: Method
        ) : IReadOnlyList<LawResult> =
        needed (nameof system) system
        needed (nameof initial) initial

        let method = if isNull (box method) then Rosenbrock RosenbrockMethods.Rodas5P else method

        let independent =
            match method with
            | Rosenbrock _ -> Esdirk EsdirkMethods.Kvaerno5
            | _ -> Rosenbrock RosenbrockMethods.Rodas5P

        let trusted = if isNull (box plain) then system else plain

        let problem: SystemProblem = {
            Name = name
            System = system
            Start = start
            End = finish
            Initial = initial
            Exact =
                if isNull exact then
                    fun t ->
                        let options = SolveOptions.create 1e-11 (1e-3 * 1e-11)
                        (ArrayOde.solveSystem independent options trusted start t initial).FinalState
                else
                    exact.Invoke
        }

        readOnly [|
            for rtol in [ 1e-4; 1e-6; 1e-8 ] do
                StiffLaws.reference method rtol 100.0 floor problem

            if not (isNull (box plain)) then
                StiffLaws.jacobian system plain 1e-4 start initial
        |]

    /// The laws of derivatives of solves on arrays, for a field over numbers: forward = adjoint, = difference quotients, and Hessian-vector
    /// products = differences of gradients, with steps of this fixed length. A null method takes Tsit5.
    static member OfSensitivities<'G when 'G: struct and 'G :> IGenericField>
        (
            name: string,
            field: 'G,
            parameters: float[],
            start: float,
            finish: float,
            initial: float[],
            step: float,
            method: Method
        ) : IReadOnlyList<LawResult> =
        needed (nameof parameters) parameters
        needed (nameof initial) initial

        let case: SensitivityCase = {
            Name = name
            Method = if isNull (box method) then RungeKutta Methods.Tsit5 else method
            Options = {
                SolveOptions.create 1e-10 1e-12 with
                    Control = Fixed step
                    SaveAt = Times [| start + 0.4 * (finish - start); finish |]
            }
            Problem = fun p -> SensitivityProblem.OfGeneric(field, p)
            Parameters = parameters
            Start = start
            End = finish
            Initial = initial
        }

        readOnly [|
            SensitivityLaws.forwardIsAdjoint 1e-9 case
            SensitivityLaws.adjointIsDifference 1e-2 1e-5 case
            SensitivityLaws.hessianIsDifference 1e-2 1e-5 case
        |]

    /// The laws of an ensemble over parameter sets, for a field over numbers: a member is a solve of its own, and threads, order and
    /// neighbours change nothing. A null method takes Tsit5.
    static member OfEnsemble<'G when 'G: struct and 'G :> IGenericField>
        (field: 'G, parameters: float[][], start: float, finish: float, initial: float[], method: Tableau)
        : IReadOnlyList<LawResult> =
        needed (nameof parameters) parameters
        needed (nameof initial) initial

        let problem: EnsembleProblem = {
            Starts = [| start |]
            Ends = [| finish |]
            Initial = [| initial |]
            Parameters = parameters
        }

        let options: SolveOptions<float[]> = SolveOptions.create 1e-6 1e-9
        readOnly (EnsembleLaws.all 1e-8 (orTsit5 method) options field problem)

    /// The laws of a symplectic method on a separable Hamiltonian of your own, with steps of this length: order, symplectic step map, there and
    /// back, and with energy (H(t, q, p), null where it is not conserved) its bounded error. velocity writes dT/dp(t, p), force -dV/dq(t, q);
    /// quadratic says that T is quadratic in p and does not depend on time. A null method takes Yoshida6.
    static member OfHamiltonian
        (
            name: string,
            velocity: VectorField,
            force: VectorField,
            energy: Func<float, float[], float[], float>,
            quadratic: bool,
            start: float,
            finish: float,
            positions: float[],
            momenta: float[],
            step: float,
            method: Splitting
        ) : IReadOnlyList<LawResult> =
        needed (nameof velocity) velocity
        needed (nameof force) force
        needed (nameof positions) positions
        needed (nameof momenta) momenta

        let problem: HamiltonianProblem = {
            Name = name
            Hamiltonian = Hamiltonian(velocity, force)
            Energy =
                if isNull energy then
                    ValueNone
                else
                    ValueSome(fun t q p -> energy.Invoke(t, q, p))
            Invariants = [||]
            Quadratic = quadratic
            Start = start
            End = finish
            Positions = positions
            Momenta = momenta
        }

        readOnly (SymplecticLaws.all (if isNull (box method) then Splitting.yoshida6 else method) step problem)

    /// InvalidOperationException, with the numbers of every law that fails, unless all hold.
    static member EnsureAll(results: IEnumerable<LawResult>) : unit =
        needed (nameof results) results
        let failing = results |> Seq.filter (fun law -> not law.Holds) |> Seq.map string |> Seq.toArray

        if failing.Length > 0 then
            raise (InvalidOperationException(String.Join(Environment.NewLine, failing)))
