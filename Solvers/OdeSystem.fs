// A problem with what is known about it: M y' = f(t, y; p) on float[], its Jacobian, its structure, its mass matrix.
namespace Continuum

open System

/// A VectorField as a field the stepper can specialise on.
[<Struct>]
type internal SpanField(field: VectorField) =
    interface IField<float[], float> with
        member _.Eval(t, y, dest) =
            field.Invoke(t, ReadOnlySpan<float>(y), Span<float>(dest))
            dest

/// What is made from a system's field with its type known, so that loops are compiled for it.
type IFieldVisitor<'R> =
    /// Called once with the field.
    abstract Visit<'F when 'F: struct and 'F :> IField<float[], float>> : field: 'F -> 'R

/// What is known of a system beside its field.
type internal Knowledge = {
    Jacobian: JacobianFunction
    TimeSlope: VectorField
    Autonomous: bool
    Sparsity: Sparsity
    Mass: Mass
    /// fE of y' = fE + f; null without one.
    ExplicitPart: VectorField
    StartValues: StartValues
} with

    static member Nothing = {
        Jacobian = null
        TimeSlope = null
        Autonomous = false
        Sparsity = Sparsity.Dense
        Mass = Mass.Identity
        ExplicitPart = null
        StartValues = StartValues.Solve
    }

/// A field that keeps its type behind an interface.
type internal ISystemField =
    abstract Accept: visitor: IFieldVisitor<'R> -> 'R
    /// A source of Jacobians for one solve; smallest are the sizes below which components do not matter.
    abstract Derivatives: size: int * sparsity: Sparsity * smallest: float[] * autonomous: bool -> JacobianSource

/// A field whose derivatives come from differences unless given.
[<Sealed>]
type internal PlainField<'F when 'F: struct and 'F :> IField<float[], float>>(field: 'F) =
    interface ISystemField with
        member _.Accept visitor = visitor.Visit<'F> field

        member _.Derivatives(size, sparsity, smallest, autonomous) =
            DifferenceJacobian<'F>(field, size, sparsity, smallest, autonomous)

/// A generic field with its parameters, whose derivatives are exact.
[<Sealed>]
type internal NumberField<'G when 'G: struct and 'G :> IGenericField>(field: 'G, parameters: float[]) =
    interface ISystemField with
        member _.Accept visitor = visitor.Visit<GenericField<'G>>(GenericField<'G>(field, parameters))

        member _.Derivatives(_, sparsity, _, autonomous) = ColouredJacobian<'G>(field, parameters, sparsity, autonomous)

/// M y' = f(t, y) on float[] with what is known about it: Jacobian, band or sparsity, mass matrix. Immutable: made by OfField or
/// OfStruct, refined by the With members. Several threads may solve the same system if its field may be called by several.
[<Sealed>]
type OdeSystem internal (field: ISystemField, size: int, knowledge: Knowledge) =
    let bad (text: string) = raise (ArgumentException text)

    do
        if size <= 0 then
            bad $"A system has at least one component; got {size}."

    /// Components of the state.
    member _.Size = size
    member internal _.Knowledge = knowledge
    /// Whether M is the identity.
    member _.HasIdentityMass = knowledge.Mass.IsIdentity
    /// Whether the Jacobian is given.
    member _.HasJacobian = not (isNull knowledge.Jacobian)
    /// Hands the field to a visitor that is generic over its type.
    member _.Accept(visitor: IFieldVisitor<'R>) : 'R = field.Accept visitor
    member private _.Know(knowledge: Knowledge) = OdeSystem(field, size, knowledge)

    /// The Jacobian is given: writes df/dy.
    member this.WithJacobian(jacobian: JacobianFunction) : OdeSystem =
        if isNull jacobian then
            raise (
                ArgumentNullException(nameof jacobian, "The Jacobian is null; leave it out to have it approximated.")
            )

        this.Know { knowledge with Jacobian = jacobian }

    /// df/dt is given (Rosenbrock methods read it): writes it into its last argument, which is zero before the call.
    member this.WithTimeSlope(slope: VectorField) : OdeSystem = this.Know { knowledge with TimeSlope = slope }

    /// f does not depend on t: df/dt = 0 costs nothing.
    member this.WithoutTime() : OdeSystem = this.Know { knowledge with Autonomous = true }

    /// df_i/dy_j = 0 unless -lower <= j - i <= upper. ArgumentException where a bandwidth is negative.
    member this.WithBand(lower: int, upper: int) : OdeSystem =
        if lower < 0 || upper < 0 then
            bad
                $"Bandwidths count the diagonals beside the main one and are not negative; got {lower} below and {upper} above."

        this.Know { knowledge with Sparsity = Sparsity.Band(lower, upper) }

    /// df_i/dy_j = 0 unless j is in rows.[i]. Columns are coloured, so that few evaluations give the Jacobian; the matrix is factored
    /// as a band where the pattern is one. ArgumentException unless there is a row for each component with columns in range.
    member this.WithSparsity(rows: int[][]) : OdeSystem =
        if isNull rows || rows.Length <> size then
            let count = if isNull rows then 0 else rows.Length
            bad $"A sparsity pattern has the columns of each row: {size} lists; got {count}."

        let clean =
            rows
            |> Array.mapi (fun i columns ->
                if isNull columns then
                    bad
                        $"Row {i} of the sparsity pattern is null; give an empty list where df_{i} does not depend on the state."

                for j in columns do
                    if j < 0 || j >= size then
                        bad $"Row {i} of the sparsity pattern names column {j}; columns lie in [0, {size})."

                columns |> Array.distinct |> Array.sort)

        this.Know { knowledge with Sparsity = Sparsity.Pattern clean }

    /// M = diag(entries); zeros make algebraic equations 0 = f_i(t, y). ArgumentException unless there is a finite entry for each component.
    member this.WithMass(diagonal: float[]) : OdeSystem =
        if isNull diagonal || diagonal.Length <> size then
            let count = if isNull diagonal then 0 else diagonal.Length
            bad $"A diagonal mass matrix has {size} entries for {size} components; got {count}."

        diagonal
        |> Array.iteri (fun i m ->
            if not (Double.IsFinite m) then
                bad $"Entry {i} of the mass matrix's diagonal is {m}; entries must be finite.")

        this.Know { knowledge with Mass = Mass.Diagonal(Array.copy diagonal) }

    /// M given by all its entries, constant; it may be singular where the system is of index 1 (a differential-algebraic equation).
    /// ArgumentException unless it is size x size and finite.
    member this.WithMass(matrix: float[,]) : OdeSystem =
        if isNull matrix || Array2D.length1 matrix <> size || Array2D.length2 matrix <> size then
            let shape =
                if isNull matrix then
                    "null"
                else
                    $"{Array2D.length1 matrix} x {Array2D.length2 matrix}"

            bad $"The mass matrix of {size} components is {size} x {size}; got {shape}."

        let entries =
            Array.init (size * size) (fun at ->
                let m = matrix[at / size, at % size]

                if not (Double.IsFinite m) then
                    bad $"Entry ({at / size}, {at % size}) of the mass matrix is {m}; entries must be finite."

                m)

        this.Know { knowledge with Mass = Mass.Full entries }

    /// Adds a part that is not stiff: y' = explicitPart(t, y) + f(t, y), f being the field so far, stiff, with its Jacobian and
    /// band. For additive methods (KenCarp4), which solve for f and take explicitPart as it comes (IMEX).
    member this.WithExplicitPart(explicitPart: VectorField) : OdeSystem =
        if isNull explicitPart then
            raise (
                ArgumentNullException(
                    nameof explicitPart,
                    "The explicit part is null; give a function that writes its dy/dt, or leave it out."
                )
            )

        this.Know { knowledge with ExplicitPart = explicitPart }

    /// Whether the field is split in two parts.
    member _.IsSplit = not (isNull knowledge.ExplicitPart)

    /// What to do about algebraic equations at the start, and after events and changes of the state; StartValues.Solve by default.
    member this.WithStartValues(treatment: StartValues) : OdeSystem =
        this.Know { knowledge with StartValues = treatment }

    /// The Jacobian df/dy at (t, y) as implicit methods see it: given, exact or by differences. ArgumentException where y has another size.
    member this.Jacobian(t: float, y: float[]) : float[,] =
        if isNull y || y.Length <> size then
            bad $"The state has {(if isNull y then 0 else y.Length)} components and the system {size}; they must agree."

        let linear = this.LinearSystem(Tolerance.create 1e-6 1e-9)
        let shape = linear.Shape

        let slope =
            field.Accept
                {
                    new IFieldVisitor<float[]> with
                        member _.Visit<'F when 'F: struct and 'F :> IField<float[], float>>(field: 'F) =
                            (field :> IField<float[], float>).Eval(t, y, Array.zeroCreate size)
                }

        linear.Linearise(t, y, slope)

        Array2D.init size size (fun i j ->
            if shape.Contains(i, j) then
                linear.Jacobian[i * shape.Stride + j + shape.Offset]
            else
                0.0)

    /// A function that makes states consistent with the algebraic equations of M at a time; ValueNone where there are none.
    member internal this.Consistency(tolerance: Tolerance<float[]>) : (float -> float[] -> float[]) voption =
        let part = AlgebraicPart.ofMass size knowledge.Mass

        if part.Left.Length = 0 || knowledge.StartValues = StartValues.Trust then
            ValueNone
        else
            let linear = this.LinearSystem tolerance

            let evaluate =
                field.Accept
                    {
                        new IFieldVisitor<float -> float[] -> float[] -> unit> with
                            member _.Visit<'F when 'F: struct and 'F :> IField<float[], float>>(field: 'F) =
                                fun t y dydt -> (field :> IField<float[], float>).Eval(t, y, dydt) |> ignore
                    }

            ValueSome(StartValues.make part knowledge.StartValues tolerance linear evaluate)

    /// The linear systems of implicit steps, for one solve at a time.
    member internal _.LinearSystem(tolerance: Tolerance<float[]>) : ArrayLinearSystem =
        let smallest =
            Array.init size (fun i ->
                match tolerance.AtolPer with
                | ValueSome values -> values[i]
                | ValueNone -> tolerance.Atol)

        let sparsity =
            match knowledge.Sparsity with
            | Sparsity.Dense -> Sparsity.Dense
            | _ when knowledge.Mass.IsIdentity -> knowledge.Sparsity
            | _ ->
                // The matrix M - g J holds M too.
                let struct (massLower, massUpper) = Mass.bandwidth size knowledge.Mass

                match knowledge.Sparsity with
                | Sparsity.Band(lower, upper) -> Sparsity.Band(max lower massLower, max upper massUpper)
                | Sparsity.Pattern rows ->
                    let struct (lower, upper) = Sparsity.bandwidth rows

                    if massLower <= lower && massUpper <= upper then
                        knowledge.Sparsity
                    else
                        Sparsity.Band(max lower massLower, max upper massUpper)
                | Sparsity.Dense -> Sparsity.Dense

        let derivatives = field.Derivatives(size, sparsity, smallest, knowledge.Autonomous)

        let source =
            if isNull knowledge.Jacobian then
                derivatives
            else
                GivenJacobian(derivatives.Shape, knowledge.Jacobian, knowledge.TimeSlope, derivatives)

        new ArrayLinearSystem(source, knowledge.Mass)

    /// A system from its right-hand side and size.
    static member OfField(field: VectorField, size: int) : OdeSystem =
        if isNull field then
            raise (ArgumentNullException(nameof field, "The field is null; give a function that writes dy/dt."))

        OdeSystem(PlainField<SpanField>(SpanField field), size, Knowledge.Nothing)

    /// A system from a field that implements IField as a struct, so that loops are compiled for it.
    static member OfStruct(field: 'F, size: int) : OdeSystem = OdeSystem(PlainField<'F> field, size, Knowledge.Nothing)

    /// A system from a field written once over numbers: loops are compiled for it and its Jacobian is exact. The parameters are read
    /// at every evaluation. ArgumentException where they are not as many as the field reads.
    static member OfGeneric(field: 'G, parameters: float[]) : OdeSystem =
        GenericField<'G>.Check(field, parameters, null)
        OdeSystem(NumberField<'G>(field, parameters), field.Size, Knowledge.Nothing)
