// Stochastic equations on arrays: written once over numbers, or as everyday delegates on doubles.
//   dy = f(t, y; p) dt + g(t, y; p) dW (Ito)    or    dy = f(t, y; p) dt + g(t, y; p) o dW (Stratonovich)
namespace Continuum

// Interfaces with static members and their use on type variables are what this file is about.
#nowarn "3535" "3536"

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices

/// Drift and diffusion written once over IReal, as IGenericField is for ordinary equations. Implement it as a struct, so that every use
/// is compiled for it: on double, on eight paths in SIMD lanes, and on dual numbers for the derivatives that Milstein's method needs.
type IGenericSde =
    /// Components n of the state.
    abstract Size: int
    /// Number m of Brownian motions: n for diagonal noise, 1 for scalar noise.
    abstract NoiseSize: int
    /// Parameters that Drift and Diffusion read.
    abstract ParameterCount: int

    /// Writes f(t, y; p) into dest (n numbers, not cleared before the call).
    abstract Drift<'T when 'T: struct and 'T :> IReal<'T>> :
        t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> * dest: Span<'T> -> unit

    /// Writes g(t, y; p) into dest (not cleared before the call): n numbers for scalar and diagonal noise, else the n x m of a matrix, row
    /// by row. For additive noise it must not look at y.
    abstract Diffusion<'T when 'T: struct and 'T :> IReal<'T>> :
        t: 'T * y: ReadOnlySpan<'T> * p: ReadOnlySpan<'T> * dest: Span<'T> -> unit

/// A diffusion that does not see the state: writes g(t) into dest (n x m, row by row, not cleared before the call).
type AdditiveDiffusion = delegate of t: float * dest: Span<float> -> unit

/// Arrays of doubles as spans of numbers that are made of doubles.
[<AbstractClass; Sealed>]
type internal NumberSpan =
    /// The same memory as numbers of another kind.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Of<'T>(values: float[]) : Span<'T> =
        MemoryMarshal.CreateSpan<'T>(
            &Unsafe.As<float, 'T>(&MemoryMarshal.GetArrayDataReference<float> values),
            values.Length * 8 / Unsafe.SizeOf<'T>()
        )

    /// Numbers from a place on, to write; the caller vouches for their being there.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Part<'T>(values: float[], start: int, count: int) : Span<'T> =
        MemoryMarshal.CreateSpan<'T>(
            &Unsafe.Add(&Unsafe.As<float, 'T>(&MemoryMarshal.GetArrayDataReference<float> values), start),
            count
        )

    /// The same, to read.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member ReadPart<'T>(values: float[], start: int, count: int) : ReadOnlySpan<'T> =
        MemoryMarshal.CreateReadOnlySpan<'T>(
            &Unsafe.Add(&Unsafe.As<float, 'T>(&MemoryMarshal.GetArrayDataReference<float> values), start),
            count
        )

    /// A span of numbers as one of doubles; 'T is a double in disguise.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Doubles<'T>(values: Span<'T>) : Span<float> =
        MemoryMarshal.CreateSpan<float>(&Unsafe.As<'T, float>(&MemoryMarshal.GetReference values), values.Length)

    /// The same, to read.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    static member Doubles<'T>(values: ReadOnlySpan<'T>) : ReadOnlySpan<float> =
        MemoryMarshal.CreateReadOnlySpan<float>(
            &Unsafe.As<'T, float>(&MemoryMarshal.GetReference values),
            values.Length
        )

/// Drift and diffusion given as delegates on doubles: for branches, tables, library calls. They have no lanes and no derivatives: methods
/// that need derivatives of g refuse them and name one that does not. Several threads may call them at once in an ensemble.
[<Struct; NoComparison; NoEquality>]
type SdeDelegates(size: int, noiseSize: int, parameterCount: int, drift: ParameterField, diffusion: ParameterField) =
    static member private Real<'T>() =
        if typeof<'T> <> typeof<Real> && typeof<'T> <> typeof<LaneReal> then
            raise (
                NotSupportedException $"An equation given as delegates works on doubles only, not on {typeof<'T>.Name}."
            )

    interface IGenericSde with
        member _.Size = size
        member _.NoiseSize = noiseSize
        member _.ParameterCount = parameterCount

        member _.Drift<'T when 'T: struct and 'T :> IReal<'T>>
            (t: 'T, y: ReadOnlySpan<'T>, p: ReadOnlySpan<'T>, dest: Span<'T>)
            =
            SdeDelegates.Real<'T>()
            let mutable t = t

            drift.Invoke(
                Unsafe.As<'T, float>(&t),
                NumberSpan.Doubles<'T> y,
                NumberSpan.Doubles<'T> p,
                NumberSpan.Doubles<'T> dest
            )

        member _.Diffusion<'T when 'T: struct and 'T :> IReal<'T>>
            (t: 'T, y: ReadOnlySpan<'T>, p: ReadOnlySpan<'T>, dest: Span<'T>)
            =
            SdeDelegates.Real<'T>()
            let mutable t = t

            diffusion.Invoke(
                Unsafe.As<'T, float>(&t),
                NumberSpan.Doubles<'T> y,
                NumberSpan.Doubles<'T> p,
                NumberSpan.Doubles<'T> dest
            )

/// What is made from an equation with its type known, so that loops are compiled for it.
type internal ISdeVisitor<'R> =
    /// Called once.
    abstract Visit<'G when 'G: struct and 'G :> IGenericSde> : field: 'G -> 'R

/// An equation on arrays without the types that say what it is.
[<AbstractClass; AllowNullLiteral>]
type internal ArraySdeTerms(calculus: CalculusKind, noise: NoiseKind, size: int, noiseSize: int, parameterCount: int) =
    member _.Calculus = calculus
    member _.Noise = noise
    member _.Size = size
    member _.NoiseSize = noiseSize
    member _.ParameterCount = parameterCount
    member _.IsElementwise = noise = NoiseKind.Scalar || noise = NoiseKind.Diagonal

    /// The class of noise as a method sees it: one column commutes with itself.
    member _.EffectiveNoise =
        if noise = NoiseKind.General && noiseSize = 1 then
            NoiseKind.Commutative
        else
            noise

    /// Numbers of a value of g.
    member this.DiffusionSize = if this.IsElementwise then size else size * noiseSize
    /// Whether it runs on lanes and dual numbers.
    abstract IsGeneric: bool
    /// Hands the equation to a visitor that is generic over its type.
    abstract Accept: visitor: ISdeVisitor<'R> -> 'R

/// An equation of a known type.
[<Sealed>]
type internal ArraySdeTerms<'G when 'G: struct and 'G :> IGenericSde>
    (calculus: CalculusKind, noise: NoiseKind, field: 'G) =
    inherit ArraySdeTerms(calculus, noise, field.Size, field.NoiseSize, field.ParameterCount)
    override _.IsGeneric = typeof<'G> <> typeof<SdeDelegates>
    override _.Accept visitor = visitor.Visit<'G> field

/// An equation on arrays with its parameters, its calculus and noise in its type. Immutable. Made by the functions of modules GenericSde
/// and DelegateSde.
[<Sealed; AllowNullLiteral>]
type ArraySde<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> internal (terms: ArraySdeTerms, parameters: float[]) =
    do
        ArgumentNullException.ThrowIfNull(parameters, nameof parameters)

        if parameters.Length <> terms.ParameterCount then
            raise (
                ArgumentException(
                    $"The equation reads {terms.ParameterCount} parameters; got {parameters.Length}.",
                    nameof parameters
                )
            )

    member internal _.Terms = terms
    /// The parameters; read at every evaluation.
    member _.Parameters = parameters
    /// Components of the state.
    member _.Size = terms.Size
    /// Number of Brownian motions.
    member _.NoiseSize = terms.NoiseSize
    /// The class of noise.
    member _.Noise = terms.Noise
    /// The same equation with other parameters. ArgumentException where they are not as many as it reads.
    member _.WithParameters(parameters: float[]) = ArraySde<'C, 'N>(terms, parameters)

/// Equations written once over numbers. The parameters are those of the equation until an ensemble gives each path its own.
/// ArgumentException, with both numbers, where sizes do not go with the class of noise or with the parameters.
[<RequireQualifiedAccess>]
module GenericSde =
    let private bad (text: string) = raise (ArgumentException text)

    let internal make<'C, 'N, 'G when 'C :> Calculus and 'N :> GeneralNoise and 'G: struct and 'G :> IGenericSde>
        (noise: NoiseKind)
        (parameters: float[])
        (field: 'G)
        : ArraySde<'C, 'N> =
        let n = field.Size
        let m = field.NoiseSize

        if n < 1 then
            bad $"An equation has at least one component; its Size is {n}."

        if m < 1 then
            bad $"The number of Brownian motions must be positive; NoiseSize is {m}."

        if noise = NoiseKind.Diagonal && m <> n then
            bad
                $"Diagonal noise has a Brownian motion for each component: NoiseSize must be Size, {n}; it is {m}. Take general noise for a matrix of {n} x {m}."

        if noise = NoiseKind.Scalar && m <> 1 then
            bad
                $"Scalar noise has one Brownian motion: NoiseSize must be 1; it is {m}. Take general noise for a matrix of {n} x {m}."

        ArraySde<'C, 'N>(ArraySdeTerms<'G>(NoiseTypes.calculusOf<'C>, noise, field), parameters)

    /// A Brownian motion for each component: g has n numbers, g_i seeing y_i alone wherever a method uses derivatives of g.
    let diagonal<'C, 'G when 'C :> Calculus and 'G: struct and 'G :> IGenericSde> parameters field =
        make<'C, DiagonalNoise, 'G> NoiseKind.Diagonal parameters field

    /// One Brownian motion for all components: g has n numbers.
    let scalar<'C, 'G when 'C :> Calculus and 'G: struct and 'G :> IGenericSde> parameters field =
        make<'C, ScalarNoise, 'G> NoiseKind.Scalar parameters field

    /// m Brownian motions: g is a matrix n x m.
    let general<'C, 'G when 'C :> Calculus and 'G: struct and 'G :> IGenericSde> parameters field =
        make<'C, GeneralNoise, 'G> NoiseKind.General parameters field

    /// m Brownian motions whose vector fields commute: g is a matrix n x m.
    let commutative<'C, 'G when 'C :> Calculus and 'G: struct and 'G :> IGenericSde> parameters field =
        make<'C, CommutativeNoise, 'G> NoiseKind.Commutative parameters field

    /// m Brownian motions with a matrix g(t), n x m, that does not look at the state; a solve checks that it does not.
    let additive<'C, 'G when 'C :> Calculus and 'G: struct and 'G :> IGenericSde> parameters field =
        make<'C, AdditiveNoise, 'G> NoiseKind.Additive parameters field

/// Equations as delegates on doubles, without parameters (they close over theirs): f(t, y) into n numbers, g(t, y) into n numbers
/// (diagonal, scalar) or n x m (row by row). For parameters that an ensemble varies give SdeDelegates to the functions of GenericSde.
[<RequireQualifiedAccess>]
module DelegateSde =
    let private plain name (field: VectorField) =
        if isNull field then
            raise (ArgumentNullException(name, $"The {name} is null; give a function that writes its values."))

        ParameterField(fun t y _ dest -> field.Invoke(t, y, dest))

    let private terms size noiseSize drift diffusion =
        SdeDelegates(size, noiseSize, 0, plain "drift" drift, plain "diffusion" diffusion)

    /// A Brownian motion for each of n components.
    let diagonal<'C when 'C :> Calculus> (size: int) (drift: VectorField) (diffusion: VectorField) =
        GenericSde.diagonal<'C, SdeDelegates> [||] (terms size size drift diffusion)

    /// One Brownian motion for all n components.
    let scalar<'C when 'C :> Calculus> (size: int) (drift: VectorField) (diffusion: VectorField) =
        GenericSde.scalar<'C, SdeDelegates> [||] (terms size 1 drift diffusion)

    /// m Brownian motions.
    let general<'C when 'C :> Calculus> (size: int) (m: int) (drift: VectorField) (diffusion: VectorField) =
        GenericSde.general<'C, SdeDelegates> [||] (terms size m drift diffusion)

    /// m Brownian motions whose vector fields commute.
    let commutative<'C when 'C :> Calculus> (size: int) (m: int) (drift: VectorField) (diffusion: VectorField) =
        GenericSde.commutative<'C, SdeDelegates> [||] (terms size m drift diffusion)

    /// m Brownian motions with a diffusion that does not see the state.
    let additive<'C when 'C :> Calculus> (size: int) (m: int) (drift: VectorField) (diffusion: AdditiveDiffusion) =
        if isNull diffusion then
            raise (
                ArgumentNullException(
                    nameof diffusion,
                    "The diffusion is null; give a function that writes its values."
                )
            )

        let field = VectorField(fun t _ dest -> diffusion.Invoke(t, dest))
        GenericSde.additive<'C, SdeDelegates> [||] (terms size m drift field)
