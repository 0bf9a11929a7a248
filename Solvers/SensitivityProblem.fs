// What is differentiated: a generic field with parameters, events and doses; and for what.
namespace Continuum

#nowarn "3535" "3536"

open System

/// A field whose derivatives can be had over numbers that carry derivatives themselves.
type internal IDifferentiableField =
    /// Components of the state.
    abstract Size: int
    /// The values of the parameters.
    abstract Parameters: float[]
    /// The same field for the forward solve.
    abstract System: OdeSystem
    /// Whether only first derivatives, forward, can be had.
    abstract IsForwardOnly: bool
    /// Derivatives of the field with these parameters.
    abstract Calculus<'B when 'B: struct and 'B :> IReal<'B>> : parameters: 'B[] -> IFieldCalculus<'B>

    /// Events and doses with these parameters, whose cotangent they add to.
    abstract Changes<'B when 'B: struct and 'B :> IReal<'B>> :
        events: GenericEvent[] * doses: GenericDose[] * parameters: 'B[] * parameterBar: 'B[] -> IChangeReplay<'B>

/// A generic field with its parameters.
[<Sealed>]
type internal DifferentiableField<'G when 'G: struct and 'G :> IGenericField>(field: 'G, parameters: float[]) =
    let system = OdeSystem.OfGeneric(field, parameters)

    interface IDifferentiableField with
        member _.Size = field.Size
        member _.Parameters = parameters
        member _.System = system
        member _.IsForwardOnly = false
        member _.Calculus(numbers: 'B[]) = GenericCalculus<'B, 'G>(field, numbers)

        member _.Changes(events, doses, numbers: 'B[], bar) = GenericChanges<'B, 'G>(field, events, doses, numbers, bar)

/// A field given as a delegate with its parameters.
[<Sealed>]
type internal DelegateField
    (
        field: ParameterField,
        size: int,
        parameters: float[],
        byState: ParameterFieldJacobian,
        byParameters: ParameterFieldJacobian
    ) =
    let plain = VectorField(fun t y dydt -> field.Invoke(t, y, ReadOnlySpan<float> parameters, dydt))

    let system =
        let system = OdeSystem.OfField(plain, size)

        if isNull byState then
            system
        else
            system.WithJacobian(fun t y jacobian ->
                let entries: float[] = Array.zeroCreate (size * size)
                byState.Invoke(t, y, ReadOnlySpan<float> parameters, Span<float> entries)
                let mutable jacobian = jacobian

                for i in 0 .. size - 1 do
                    for j in 0 .. size - 1 do
                        jacobian[i, j] <- entries[i * size + j])

    interface IDifferentiableField with
        member _.Size = size
        member _.Parameters = parameters
        member _.System = system
        member _.IsForwardOnly = true

        member _.Calculus(numbers: 'B[]) : IFieldCalculus<'B> =
            let derivatives = DelegateDerivatives(field, byState, byParameters, size, parameters)

            match box numbers with
            | :? (Partials[]) as partials -> unbox (box (DelegateTangents(derivatives, partials, size)))
            | :? (Real[]) -> unbox (box (DelegateValues(derivatives, size)))
            | _ -> raise (NotSupportedException "A field given as a delegate has first derivatives only, forward.")

        member _.Changes(_, _, _: 'B[], _) : IChangeReplay<'B> = Unchecked.defaultof<_>

/// M y' = f(t, y; p) with events and doses, to be differentiated for y(t0) and p; M is the identity unless given. Immutable; several
/// threads may use one, if the field may be called by several.
[<Sealed>]
type SensitivityProblem
    internal (field: IDifferentiableField, system: OdeSystem, events: GenericEvent[], doses: GenericDose[]) =
    let checkChanges (what: string) (changes: 'C[]) =
        if changes.Length > 0 && field.IsForwardOnly then
            raise (
                ArgumentException
                    $"{what} can be differentiated with a field written over numbers only; write the field as an IGenericField."
            )

        if changes.Length > 0 && not system.HasIdentityMass then
            raise (ArgumentException $"{what} cannot be differentiated together with a mass matrix.")

    member internal _.Field = field
    member internal _.System = system
    /// Components of the state.
    member _.Size = field.Size
    /// The parameters' values; a copy.
    member _.Parameters = Array.copy field.Parameters
    /// The events, in the order that occurrences name them.
    member _.Events = events
    /// The changes at known times.
    member _.Doses = doses

    /// With these events in place of those before. ArgumentException with a delegate's field or a mass matrix.
    member _.WithEvents(events: GenericEvent[]) =
        checkChanges "Events" events
        SensitivityProblem(field, system, events, doses)

    /// With these changes at known times in place of those before. ArgumentException with a delegate's field or a mass matrix.
    member _.WithDoses(doses: GenericDose[]) =
        checkChanges "Changes at known times" doses
        SensitivityProblem(field, system, events, doses)

    /// M = diag(entries), zeros for algebraic equations; for Rosenbrock methods. The initial state must be consistent, and derivatives
    /// for it hold along consistent directions. ArgumentException as OdeSystem.WithMass, or with events.
    member this.WithMass(diagonal: float[]) =
        SensitivityProblem(field, system.WithMass diagonal, [||], [||]).WithEvents(events).WithDoses doses

    /// M given by all its entries.
    member this.WithMass(matrix: float[,]) =
        SensitivityProblem(field, system.WithMass matrix, [||], [||]).WithEvents(events).WithDoses doses

    /// A generic field with its parameters. ArgumentException unless there are as many as the field reads.
    static member OfGeneric<'G when 'G: struct and 'G :> IGenericField>(field: 'G, parameters: float[]) =
        GenericField<'G>.Check(field, parameters, null)
        let field = DifferentiableField<'G>(field, Array.copy parameters) :> IDifferentiableField
        SensitivityProblem(field, field.System, [||], [||])

    /// A field given as a delegate, with df/dy and df/dp (null: by central differences, exact to about 1e-9 of the field only). Forward only, for
    /// explicit, ESDIRK and BDF methods. ArgumentException where the size is not positive.
    static member OfDelegates
        (
            field: ParameterField,
            size: int,
            parameters: float[],
            byState: ParameterFieldJacobian,
            byParameters: ParameterFieldJacobian
        ) =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        ArgumentNullException.ThrowIfNull(parameters, nameof parameters)

        let field =
            DelegateField(field, size, Array.copy parameters, byState, byParameters) :> IDifferentiableField

        SensitivityProblem(field, field.System, [||], [||])

/// What forward sensitivities are derivatives for: the columns of the sensitivity matrices.
type SensitivityColumns =
    /// The initial values, then the parameters.
    | Everything
    /// The initial values.
    | InitialValues
    /// The parameters, with the initial values held.
    | Parameters
    /// Directions: column j is the derivative along (initial.[*, j], parameters.[*, j]), as where initial values depend on parameters.
    /// Shapes (size, columns) and (parameters, columns).
    | Directions of initial: float[,] * parameters: float[,]

/// Derivatives of an event that happened, one entry or column for each of the sensitivity columns.
type EventSensitivity = {
    /// Of its time.
    Time: float[]
    /// Of the state just before it (size, columns): total derivatives, at the event's own moving time.
    Before: float[,]
    /// Of the state just after it.
    After: float[,]
}

/// How derivatives were found.
type SensitivityMode =
    /// Tangents beside the solution: costs grow with the number of inputs, give every output.
    | Forward = 0
    /// Backward over the recorded steps: costs do not grow with the number of inputs, give one output.
    | Adjoint = 1

/// How derivatives were found, and why so.
type SensitivityChoice = {
    /// The way.
    Mode: SensitivityMode
    /// One clause for people.
    Reason: string
}

/// A solution with its derivatives.
type ForwardSensitivities = {
    /// The solution; where it failed, what follows covers the part up to there.
    Solution: Solution<float[]>
    /// dy/d(columns) at the saved times, (size, columns) each.
    States: float[,][]
    /// dy/d(columns) at the end, (size, columns); at a terminal event the total derivative, at the event's moving time.
    Final: float[,]
    /// Derivatives of the events that happened, in their order.
    Occurrences: EventSensitivity[]
    /// Evaluations of the field for derivatives, on numbers with eight partial derivatives; those of the solve are in its Statistics.
    Evaluations: int
    /// How and why.
    Choice: SensitivityChoice
}

/// Derivatives of a scalar loss for the outcome of a solve; null where zero.
type OutcomeCotangents = {
    /// For the saved states, one array for each (null for zero).
    States: float[][]
    /// For the state at the end.
    Final: float[]
    /// For the times of events.
    EventTimes: float[]
    /// For the states just before events.
    Before: float[][]
    /// For the states just after events.
    After: float[][]
} with

    /// All zero.
    static member Zero: OutcomeCotangents = {
        States = null
        Final = null
        EventTimes = null
        Before = null
        After = null
    }

/// A scalar loss of a solution, written once over IReal.
type IGenericLoss =
    /// The loss from the saved states, row after row (times x size), the times of events that happened, and the parameters.
    abstract Evaluate<'T when 'T: struct and 'T :> IReal<'T>> :
        times: ReadOnlySpan<float> * states: ReadOnlySpan<'T> * eventTimes: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> -> 'T

/// The gradient of a loss.
type LossGradient = {
    /// The loss; NaN where the solve failed, and then the gradients are too.
    Value: float
    /// For the initial values.
    InitialValues: float[]
    /// For the parameters.
    Parameters: float[]
    /// For the start of the span, with the initial values held.
    Start: float
    /// For the end of the span; zero unless the final state is what was saved (SaveAt.EndOnly).
    End: float
    /// The solution.
    Solution: Solution<float[]>
    /// How and why.
    Choice: SensitivityChoice
}

/// A Hessian-vector product.
type HessianProduct = {
    /// The gradient.
    Gradient: LossGradient
    /// Rows of the Hessian for the initial values times the direction.
    InitialValues: float[]
    /// Rows for the parameters times the direction.
    Parameters: float[]
}

/// Beside the problem and the solve's options.
type AdjointOptions = {
    /// Most states stored for the backward sweep, beside those of one stretch between them; 0 stores all.
    MaxStates: int
} with

    /// Every state stored.
    static member Default = { MaxStates = 0 }
