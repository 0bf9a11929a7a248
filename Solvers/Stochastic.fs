// The vocabulary of equations driven by noise: calculus, classes of noise, what a step may ask of a Brownian path, and the terms of
// an equation on tensors. No algorithm here.
//   dy = f(t, y) dt + g(t, y) dW (Ito)    or    dy = f(t, y) dt + g(t, y) o dW (Stratonovich)
namespace Continuum

open System
open TorchSharp

// ------------------------------------------------------------------------------------------------ calculus and noise

/// The sense of a stochastic integral, as a type: equations and methods of different calculi do not fit together. Never an object.
[<AbstractClass>]
type Calculus internal () = class end

/// Ito's integral: the integrand at the left end. No chain rule.
[<AbstractClass>]
type Ito internal () =
    inherit Calculus()

/// Stratonovich's integral: the integrand at the midpoint. Obeys the ordinary chain rule.
[<AbstractClass>]
type Stratonovich internal () =
    inherit Calculus()

/// The class of an equation's noise, as a type: each method says the widest class it can take, and takes its subclasses too.
/// Any matrix g(t, y), one column for each Brownian motion; shape (..., n, m). Never an object.
[<AbstractClass>]
type GeneralNoise internal () = class end

/// A matrix whose columns commute: (D g_j) g_i = (D g_i) g_j. High order then needs no Levy area. The caller's promise.
[<AbstractClass>]
type CommutativeNoise internal () =
    inherit GeneralNoise()

/// One number of g for each component of the state: either the same Brownian motion for all, or one for each.
[<AbstractClass>]
type ElementwiseNoise internal () =
    inherit CommutativeNoise()

/// One Brownian motion drives all components: g has the shape of y.
[<AbstractClass>]
type ScalarNoise internal () =
    inherit ElementwiseNoise()

/// A Brownian motion for each component: g has the shape of y, and g_i depends on y_i alone wherever a method uses derivatives of g.
[<AbstractClass>]
type DiagonalNoise internal () =
    inherit ElementwiseNoise()

/// g does not depend on y (it cannot: it is a function of t); both calculi agree. A matrix, shape (n, m) or (..., n, m).
[<AbstractClass>]
type AdditiveNoise internal () =
    inherit CommutativeNoise()

/// The calculus as a value.
type CalculusKind =
    /// Ito.
    | Ito = 0
    /// Stratonovich.
    | Stratonovich = 1

/// The class of noise as a value.
type NoiseKind =
    /// g(t, y) of shape (..., n, m).
    | General = 0
    /// The same with commuting columns.
    | Commutative = 1
    /// g of the shape of y, one Brownian motion for all.
    | Scalar = 2
    /// g of the shape of y, a Brownian motion for each component.
    | Diagonal = 3
    /// g(t) of shape (..., n, m).
    | Additive = 4

/// The phantom types as values.
[<RequireQualifiedAccess>]
module internal NoiseTypes =
    let calculusOf<'C when 'C :> Calculus> =
        if typeof<'C> = typeof<Ito> then
            CalculusKind.Ito
        elif typeof<'C> = typeof<Stratonovich> then
            CalculusKind.Stratonovich
        else
            raise (ArgumentException $"{typeof<'C>.Name} is no calculus; take Ito or Stratonovich.")

// ------------------------------------------------------------------------------------------------------ Brownian paths

/// What a path gives beside its increments W over a step of length h. Each level includes those above it.
type LevyLevel =
    /// W alone.
    | Increments = 0
    /// H = (1/h) int (W_r - (r - s)/h W) dr ~ N(0, h/12), independent of W: space-time Levy area.
    | SpaceTime = 1
    /// K = (1/h^2) int (W_r - (r - s)/h W) (h/2 - (r - s)) dr ~ N(0, h/720), independent of W and H: space-time-time Levy area.
    | SpaceTimeTime = 2
    /// H, and the matrix A_ij = 1/2 int (W^i dW^j - W^j dW^i): Levy area.
    | Area = 3

/// A path over one step [s, t], h = t - s. Fields beyond the level are null. W, H and K have shape (..., m), A (..., m, m).
/// Over a step backward in time (t < s) they are those of the path run backward: -W, H, -K, -A of [t, s].
[<Struct>]
type BrownianStep<'X> = {
    /// W_t - W_s.
    W: 'X
    /// Space-time area, or null.
    H: 'X
    /// Space-time-time area, or null.
    K: 'X
    /// Levy area, or null.
    A: 'X
}

/// A fixed Brownian path (or a batch of them): what it returns for an interval depends on nothing that was asked before.
type IBrownian<'X> =
    /// First time of the path.
    abstract Start: float
    /// Last time of the path.
    abstract End: float
    /// Number of Brownian motions, m.
    abstract Dimension: int
    /// What Step returns beside W.
    abstract Level: LevyLevel
    /// The path over [s, t] (or backward). ArgumentOutOfRangeException outside of [Start, End]. The caller owns the result.
    abstract Step: s: float * t: float -> BrownianStep<'X>
    /// The time nearest to t, within (t - s)/16 of it, at which queries are cheap and exact in joint law: adaptive solvers end their
    /// steps there. t itself where any time is as good as another.
    abstract Snap: s: float * t: float -> float
    /// Announces that a solve will step through these times in this order, so that all increments may be drawn at once.
    abstract Prepare: times: float[] -> unit

// ------------------------------------------------------------------------------------------------ equations on tensors

/// Drift and diffusion on tensors, without the types that say what they are. y has shape (..., n); t arrives as for TensorField.
[<Sealed; AllowNullLiteral>]
type SdeTerms
    internal
    (
        calculus: CalculusKind,
        noise: NoiseKind,
        noiseSize: int,
        drift: Func<Tensor, Tensor, Tensor>,
        diffusion: Func<Tensor, Tensor, Tensor>,
        parameters: Tensor[],
        autonomous: bool
    ) =
    do
        ArgumentNullException.ThrowIfNull(drift, nameof drift)
        ArgumentNullException.ThrowIfNull(diffusion, nameof diffusion)

        if noise <> NoiseKind.Diagonal && noiseSize < 1 then
            raise (ArgumentException $"The number of Brownian motions must be positive; got {noiseSize}.")

    /// The sense of the integral.
    member _.Calculus = calculus
    /// The class of noise.
    member _.Noise = noise
    /// Number m of Brownian motions; 0 for diagonal noise, where it is the state's last extent.
    member _.NoiseSize = noiseSize
    /// f(t, y), shaped as y.
    member _.Drift(t: Tensor, y: Tensor) = drift.Invoke(t, y)
    /// g(t, y): shaped as y for scalar and diagonal noise, else (..., n, m); additive noise ignores y.
    member _.Diffusion(t: Tensor, y: Tensor) = diffusion.Invoke(t, y)
    /// The tensors that f and g read and whose gradients are wanted.
    member _.Parameters = parameters
    /// Neither f nor g looks at t, so no time tensor is made for them.
    member _.Autonomous = autonomous
    /// One number of g for each component of the state.
    member _.IsElementwise = noise = NoiseKind.Scalar || noise = NoiseKind.Diagonal

    /// Number of Brownian motions for a state.
    member _.NoiseSizeFor(y: Tensor) =
        if noise = NoiseKind.Diagonal then
            int y.shape[y.shape.Length - 1]
        else
            noiseSize

/// An equation on tensors, its calculus and noise in its type. Made by the functions of module Sde.
[<Sealed; AllowNullLiteral>]
type Sde<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> internal (terms: SdeTerms) =
    /// The terms.
    member _.Terms = terms

/// Construction of equations. Drift and diffusion are functions of t and y (curried), as for TensorField: t is a 0-d tensor of y's
/// dtype and device, y has shape (..., n). The parameters are the tensors they read with gradients of their own.
[<RequireQualifiedAccess>]
module Sde =
    let private make<'C, 'N when 'C :> Calculus and 'N :> GeneralNoise> noise size parameters drift diffusion =
        Sde<'C, 'N>(
            SdeTerms(
                NoiseTypes.calculusOf<'C>,
                noise,
                size,
                Func<_, _, _>(fun t y -> drift t y),
                Func<_, _, _>(fun t y -> diffusion t y),
                Seq.toArray parameters,
                false
            )
        )

    /// A Brownian motion for each component: g(t, y) has the shape of y.
    let diagonal<'C when 'C :> Calculus> (parameters: seq<Tensor>) drift diffusion =
        make<'C, DiagonalNoise> NoiseKind.Diagonal 0 parameters drift diffusion

    /// One Brownian motion for all components: g(t, y) has the shape of y.
    let scalar<'C when 'C :> Calculus> (parameters: seq<Tensor>) drift diffusion =
        make<'C, ScalarNoise> NoiseKind.Scalar 1 parameters drift diffusion

    /// m Brownian motions: g(t, y) has shape (..., n, m).
    let general<'C when 'C :> Calculus> (m: int) (parameters: seq<Tensor>) drift diffusion =
        make<'C, GeneralNoise> NoiseKind.General m parameters drift diffusion

    /// m Brownian motions whose vector fields commute: g(t, y) has shape (..., n, m).
    let commutative<'C when 'C :> Calculus> (m: int) (parameters: seq<Tensor>) drift diffusion =
        make<'C, CommutativeNoise> NoiseKind.Commutative m parameters drift diffusion

    /// m Brownian motions with a diffusion g(t) of shape (n, m) or (..., n, m) that does not see the state.
    let additive<'C when 'C :> Calculus> (m: int) (parameters: seq<Tensor>) drift (diffusion: Tensor -> Tensor) =
        make<'C, AdditiveNoise> NoiseKind.Additive m parameters drift (fun t _ -> diffusion t)
