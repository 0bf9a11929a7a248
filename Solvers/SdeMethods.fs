// The methods for stochastic equations as values whose types say which equations they take.
namespace Continuum

open System
open System.IO

/// What a method is made of, without the types.
[<RequireQualifiedAccess>]
type internal SdeScheme =
    /// A stochastic Runge-Kutta tableau.
    | Stages of SdeTableau
    /// Milstein's method, with the derivative of the diffusion or with differences (a tableau where noise is elementwise).
    | Milstein of calculus: CalculusKind * derivative: bool
    /// The log-ODE method, its flow by this tableau.
    | LogOde of flow: Tableau
    /// The drift-implicit Euler method.
    | DriftImplicitEuler
    /// Reversible Heun.
    | ReversibleHeun

/// The tableaus, each read from its coefficient file on first use.
[<RequireQualifiedAccess>]
module internal SdeTableaus =
    let private load (file: string) =
        lazy
            (use stream = typeof<SdeTableau>.Assembly.GetManifestResourceStream $"tableau.{file}.json"
             use reader = new StreamReader(stream)
             SdeTableau.Parse(reader.ReadToEnd()))

    let private table =
        dict [
            for file in
                [
                    "euler_maruyama"
                    "milstein_free_ito"
                    "srid2"
                    "sra1"
                    "sea"
                    "shark"
                    "euler_heun"
                    "heun_stratonovich"
                    "midpoint_stratonovich"
                    "ralston_stratonovich"
                    "milstein_free_stratonovich"
                    "spark"
                    "general_shark"
                    "slowrk"
                ] do
                file, load file
        ]

    /// The tableau in a file.
    let get (file: string) : SdeTableau = table[file].Value

    /// All of them.
    let all () : SdeTableau[] = [| for pair in table -> pair.Value.Value |]

/// Facts about schemes.
[<RequireQualifiedAccess>]
module internal SdeSchemes =
    let private freeTableau (calculus: CalculusKind) =
        SdeTableaus.get (
            if calculus = CalculusKind.Ito then
                "milstein_free_ito"
            else
                "milstein_free_stratonovich"
        )

    /// The tableau that makes the steps for this noise; ValueNone where there is none.
    let tableau (scheme: SdeScheme) (noise: NoiseKind) : SdeTableau voption =
        match scheme with
        | SdeScheme.Stages tableau -> ValueSome tableau
        | SdeScheme.Milstein(calculus, false) when noise = NoiseKind.Scalar || noise = NoiseKind.Diagonal ->
            ValueSome(freeTableau calculus)
        | _ -> ValueNone

    let name (scheme: SdeScheme) =
        match scheme with
        | SdeScheme.Stages tableau -> tableau.Name
        | SdeScheme.Milstein(_, true) -> "Milstein"
        | SdeScheme.Milstein(_, false) -> "MilsteinFree"
        | SdeScheme.LogOde flow -> LogOdeName.ofFlow flow
        | SdeScheme.DriftImplicitEuler -> "DriftImplicitEuler"
        | SdeScheme.ReversibleHeun -> "ReversibleHeun"

    let strongOrder (scheme: SdeScheme) (noise: NoiseKind) : float =
        match scheme with
        | SdeScheme.Stages tableau -> tableau.StrongOrders.For noise
        | SdeScheme.Milstein _
        | SdeScheme.LogOde _ -> 1.0
        | SdeScheme.DriftImplicitEuler -> if noise = NoiseKind.Additive then 1.0 else 0.5
        | SdeScheme.ReversibleHeun -> if noise = NoiseKind.General then 0.5 else 1.0

    let weakOrder (scheme: SdeScheme) : float =
        match scheme with
        | SdeScheme.Stages tableau -> tableau.WeakOrder
        | _ -> 1.0

    let level (scheme: SdeScheme) (noise: NoiseKind) : LevyLevel =
        match scheme with
        | SdeScheme.Stages tableau -> tableau.Level
        | SdeScheme.Milstein _
        | SdeScheme.LogOde _ when noise = NoiseKind.General -> LevyLevel.Area
        | _ -> LevyLevel.Increments

    /// Whether a path of one level serves a method that needs another.
    let private serves (has: LevyLevel) (needs: LevyLevel) =
        match needs with
        | LevyLevel.Increments -> true
        | LevyLevel.SpaceTime -> has <> LevyLevel.Increments
        | _ -> has = needs

    /// ArgumentException, or its kin, where a path of this level from `first` to `last` does not serve a method over [t0, t1]. `noise` is
    /// what the equation has, `effective` the class that the method sees.
    let checkPath
        (scheme: SdeScheme)
        (noise: NoiseKind)
        (effective: NoiseKind)
        (has: LevyLevel)
        (first: float)
        (last: float)
        (t0: float)
        (t1: float)
        =
        let needs = level scheme effective

        if not (serves has needs) then
            raise (
                ArgumentException
                    $"{name scheme} with {noise.ToString().ToLowerInvariant()} noise needs a path of level {needs}, and this one has level {has}; make the path with that level, or take a method that needs less."
            )

        let slack = 1e-12 * (last - first)

        if Math.Min(t0, t1) < first - slack || Math.Max(t0, t1) > last + slack then
            raise (
                ArgumentOutOfRangeException(
                    nameof t1,
                    $"The span [{t0}, {t1}] is not within the path's [{first}, {last}]; make the path longer."
                )
            )

    /// What paths for a method over [t0, t1] are functions of: one cell for each fixed step, one cell for adaptive steps; the level that the
    /// method needs for this class of noise. ArgumentException for more steps than can be counted.
    let pathSpec
        (scheme: SdeScheme)
        (effective: NoiseKind)
        (control: StepControl)
        (dimension: int)
        (seed: uint64)
        (t0: float)
        (t1: float)
        : BrownianSpec =
        let span = abs (t1 - t0)

        let struct (cells, length) =
            match control with
            | Fixed step when step < span ->
                let count = Math.Ceiling(span / step * (1.0 - 1e-12))

                if count > 1e9 then
                    raise (
                        ArgumentException
                            $"A step of {step} divides the span [{t0}, {t1}] into {count:g3} steps; take longer ones."
                    )

                struct (int count, Math.Max(span, count * step))
            | _ -> struct (1, span)

        let struct (start, finish) =
            if t1 > t0 then
                struct (t0, Math.Max(t1, t0 + length))
            else
                struct (Math.Min(t1, t0 - length), t0)

        {
            BrownianSpec.create start finish dimension seed with
                Cells = cells
                Level = level scheme effective
        }

    let hasErrorEstimate (scheme: SdeScheme) =
        match scheme with
        | SdeScheme.Stages tableau -> tableau.HasErrorEstimate
        | SdeScheme.ReversibleHeun -> true
        | _ -> false

/// A one-step method for equations of calculus 'C and noise 'N. Every method can take adaptive steps: where it has no error estimate of
/// its own, a step is compared with two half steps along the same path.
[<Sealed; AllowNullLiteral(false)>]
type SdeMethod<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> internal (scheme: SdeScheme) =
    member internal _.Scheme = scheme
    /// The name used in the literature.
    member _.Name = SdeSchemes.name scheme
    /// Strong order for a class of noise: E|error| = O(h^order) along the same path. NaN where the method does not take such noise.
    member _.StrongOrder(noise: NoiseKind) = SdeSchemes.strongOrder scheme noise
    /// Weak order: the error of expectations is O(h^order).
    member _.WeakOrder = SdeSchemes.weakOrder scheme
    /// What it needs of the path for a class of noise.
    member _.Level(noise: NoiseKind) = SdeSchemes.level scheme noise
    /// Whether it estimates its local error from its own stages.
    member _.HasErrorEstimate = SdeSchemes.hasErrorEstimate scheme
    /// The name.
    override _.ToString() = SdeSchemes.name scheme

/// The catalogue. Types say what a method takes: 'N is any class of noise within the bound. Costs are evaluations of drift and diffusion
/// a step; "weak" is the weak order, 1 where nothing is said.
[<RequireQualifiedAccess>]
module SdeMethods =
    let private stages file = SdeScheme.Stages(SdeTableaus.get file)

    /// A method of one's own from a tableau. ArgumentException where its calculus is not 'C or it gives no strong order for noise of class 'N.
    let ofTableau<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> (tableau: SdeTableau) : SdeMethod<'C, 'N> =
        let calculus = NoiseTypes.calculusOf<'C>

        let noise =
            if typeof<AdditiveNoise>.IsAssignableFrom typeof<'N> then
                NoiseKind.Additive
            elif typeof<ElementwiseNoise>.IsAssignableFrom typeof<'N> then
                NoiseKind.Scalar
            elif typeof<CommutativeNoise>.IsAssignableFrom typeof<'N> then
                NoiseKind.Commutative
            else
                NoiseKind.General

        match tableau.Calculus with
        | ValueSome own when own <> calculus && noise <> NoiseKind.Additive ->
            raise (
                ArgumentException $"{tableau.Name} solves {own} equations, not {calculus} ones; convert the equation."
            )
        | _ when
            Double.IsNaN(tableau.StrongOrders.For noise)
            || (tableau.IsElementwise
                && (noise = NoiseKind.General || noise = NoiseKind.Commutative || noise = NoiseKind.Additive))
            ->
            raise (ArgumentException $"{tableau.Name} has no strong order for {noise} noise.")
        | _ -> SdeMethod(SdeScheme.Stages tableau)

    // ---------------------------------------------------------------------------------------------------------------- Ito

    /// Euler-Maruyama, Ito: strong order 1/2, for additive noise 1. One drift, one diffusion; level Increments. Maruyama 1955.
    let eulerMaruyama<'N when 'N :> GeneralNoise> : SdeMethod<Ito, 'N> = SdeMethod(stages "euler_maruyama")

    /// Milstein with the derivative of the diffusion by automatic differentiation, Ito: strong order 1. Diagonal noise costs one evaluation and a
    /// reverse sweep, scalar noise a derivative along one vector, matrices one for each Brownian motion. Level Increments; Area for
    /// noise that is general. Milstein 1975.
    let milstein<'N when 'N :> GeneralNoise> : SdeMethod<Ito, 'N> =
        SdeMethod(SdeScheme.Milstein(CalculusKind.Ito, true))

    /// Milstein with differences instead of derivatives, Ito: strong order 1. Two diffusions for elementwise noise, 1 + 2m for m Brownian
    /// motions otherwise. Level Increments; Area for noise that is general. Kloeden and Platen 1992, section 11.1.
    let milsteinFree<'N when 'N :> GeneralNoise> : SdeMethod<Ito, 'N> =
        SdeMethod(SdeScheme.Milstein(CalculusKind.Ito, false))

    /// Roessler's SRI method with the tableau SRID2, Ito, scalar and diagonal noise: strong order 3/2. Three drifts, four
    /// diffusions; level SpaceTime. Roessler 2010.
    let srid2<'N when 'N :> ElementwiseNoise> : SdeMethod<Ito, 'N> = SdeMethod(stages "srid2")

    /// The drift-implicit Euler method for stiff drifts, Ito: strong order 1/2, for additive noise 1. Newton's method with the
    /// Jacobian of the drift, systems as in implicit methods for ordinary equations; level Increments. Kloeden and Platen 1992,
    /// section 12.2.
    let driftImplicitEuler<'N when 'N :> GeneralNoise> : SdeMethod<Ito, 'N> =
        SdeMethod SdeScheme.DriftImplicitEuler

    // ----------------------------------------------------------------------------------------------------- additive noise

    /// SRA1, additive noise in either calculus: strong order 3/2. Two drifts, two diffusions g(t); level SpaceTime; error estimate from the
    /// drift. Roessler 2010.
    let sra1<'C when 'C :> Calculus> : SdeMethod<'C, AdditiveNoise> = SdeMethod(stages "sra1")

    /// ShARK, additive noise in either calculus: strong order 3/2 with a smaller error than SRA1. Two drifts, two diffusions g(t); level
    /// SpaceTime; error estimate from the drift. Foster, dos Reis and Strange 2023.
    let shark<'C when 'C :> Calculus> : SdeMethod<'C, AdditiveNoise> = SdeMethod(stages "shark")

    /// The shifted Euler method, additive noise in either calculus: strong order 1 at the cost of one drift and two diffusions g(t); level
    /// SpaceTime. Foster, dos Reis and Strange 2023.
    let sea<'C when 'C :> Calculus> : SdeMethod<'C, AdditiveNoise> = SdeMethod(stages "sea")

    // ------------------------------------------------------------------------------------------------------- Stratonovich

    /// Euler-Heun, Stratonovich: strong order 1 for commutative noise, 1/2 for general. One drift, two diffusions; level Increments.
    let eulerHeun<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> = SdeMethod(stages "euler_heun")

    /// Heun's method, Stratonovich: strong order 1 for commutative noise, 1/2 for general; order 2 without noise. Two drifts, two
    /// diffusions; level Increments. Ruemelin 1982.
    let heun<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(stages "heun_stratonovich")

    /// The midpoint rule, Stratonovich: orders and cost of Heun's method.
    let midpoint<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(stages "midpoint_stratonovich")

    /// Ralston's method, Stratonovich: orders and cost of Heun's method.
    let ralston<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(stages "ralston_stratonovich")

    /// SPaRK, Stratonovich: strong order 3/2 for additive, 1 for commutative, 1/2 for general noise, with a smaller error than Heun's
    /// method, and an error estimate from its stages: the choice for adaptive steps. Three drifts, three diffusions; level SpaceTime.
    /// Foster and Jelincic 2023.
    let spark<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> = SdeMethod(stages "spark")

    /// GeneralShARK, Stratonovich: strong order 3/2 for additive, 1 for commutative, 1/2 for general noise. Two drifts, three
    /// diffusions; level SpaceTime. Foster, dos Reis and Strange 2023.
    let generalShark<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(stages "general_shark")

    /// SlowRK, Stratonovich: strong order 3/2 for commutative noise, 1/2 for general. Two drifts, five diffusions; level
    /// SpaceTime. Foster, dos Reis and Strange 2023.
    let slowRk<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> = SdeMethod(stages "slowrk")

    /// Milstein with the derivative of the diffusion, Stratonovich: strong order 1; cost and level of `milstein`.
    let milsteinStratonovich<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(SdeScheme.Milstein(CalculusKind.Stratonovich, true))

    /// Milstein with central differences instead of derivatives, Stratonovich: strong order 1. Three diffusions for elementwise noise, else
    /// as `milsteinFree`.
    let milsteinFreeStratonovich<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod(SdeScheme.Milstein(CalculusKind.Stratonovich, false))

    /// The log-ODE method, Stratonovich: strong order 1 for all noise. Each step is the flow of one ordinary equation, so that invariants and
    /// groups are kept as well as `flow`, an explicit tableau of which one step is taken, keeps them. For general noise the brackets of the
    /// columns enter with the Levy area (a derivative for each Brownian motion and stage; level Area), else level Increments. Castell and
    /// Gaines 1995.
    let logOdeBy<'N when 'N :> GeneralNoise> (flow: Tableau) : SdeMethod<Stratonovich, 'N> =
        SdeMethod(SdeScheme.LogOde flow)

    /// The log-ODE method with the flow by Rk4.
    let logOde<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> = logOdeBy Methods.Rk4

    /// Reversible Heun, Stratonovich: strong order 1 for commutative noise, 1/2 for general; algebraically reversible, with an error
    /// estimate. One drift, one diffusion; level Increments. Stable only near the imaginary axis. Kidger, Foster, Li and Lyons 2021.
    let reversibleHeun<'N when 'N :> GeneralNoise> : SdeMethod<Stratonovich, 'N> =
        SdeMethod SdeScheme.ReversibleHeun
