// Splitting methods for separable Hamiltonians: their coefficients as data.
namespace Continuum

open System

/// A symplectic splitting method for H = T(p, t) + V(q, t): one step of length h alternates, for every i, a drift
/// q += d_i h dT/dp(p) and a kick p -= k_i h dV/dq(q), from the new values of the other half. Coefficients that are zero are skipped.
type Splitting = {
    /// Name in the literature.
    Name: string
    /// Order where T is quadratic in p and does not depend on time (V may depend on time).
    Order: int
    /// Order for any separable H.
    GeneralOrder: int
    /// Coefficients d_i of the drifts; their sum is 1.
    Drift: float[]
    /// Coefficients k_i of the kicks, as many; their sum is 1.
    Kick: float[]
    /// Carries the rounding errors of q and p from step to step (compensated summation), on arrays only: worth its small cost in
    /// long runs whose steps are accurate to rounding.
    Compensated: bool
} with

    /// Evaluations of the force -dV/dq in a step.
    member method.Forces = method.Kick |> Array.sumBy (fun k -> if k = 0.0 then 0 else 1)

    /// Whether a step of -h undoes a step of h, up to rounding: the coefficients read the same from both ends.
    member method.IsSymmetric =
        let flows =
            Array.map2 (fun d k -> [| struct (0, d); struct (1, k) |]) method.Drift method.Kick
            |> Array.concat
            |> Array.filter (fun struct (_, c) -> c <> 0.0)

        Array.forall2
            (fun struct (kind, c) struct (kind', c') -> kind = kind' && abs (c - c') <= 1e-15)
            flows
            (Array.rev flows)

/// Construction of splitting methods, and the catalogue.
[<RequireQualifiedAccess>]
module Splitting =

    /// A method from its coefficients. ArgumentException unless both lists have the same length and the sum 1 (to 1e-12).
    /// The stated order is yours: SymplecticLaws measures it.
    let create (name: string) (order: int) (generalOrder: int) (drift: float[]) (kick: float[]) : Splitting =
        if drift.Length <> kick.Length then
            raise (
                ArgumentException(
                    $"{name} has {drift.Length} drifts and {kick.Length} kicks; give as many of both, with zeros where one is left out."
                )
            )

        for what, coefficients in [ "drifts", drift; "kicks", kick ] do
            let sum = Array.sum coefficients

            if not (abs (sum - 1.0) <= 1e-12) then
                raise (
                    ArgumentException(
                        $"The {what} of {name} must sum to 1, or a step does not cover its length; they sum to {sum}."
                    )
                )

        {
            Name = name
            Order = order
            GeneralOrder = generalOrder
            Drift = Array.copy drift
            Kick = Array.copy kick
            Compensated = false
        }

    /// The composition of drift-kick-drift leapfrogs of lengths w_1 h, w_2 h, ..., the drifts between two of them merged.
    let ofLeapfrogs (name: string) (order: int) (weights: float[]) : Splitting =
        let n = weights.Length
        let at i = if i < 0 || i >= n then 0.0 else weights[i]
        create name order order (Array.init (n + 1) (fun i -> 0.5 * (at (i - 1) + at i))) (Array.init (n + 1) at)

    /// The same method with compensated summation.
    let compensated (method: Splitting) = { method with Compensated = true }

    /// w_1 .. w_m mirrored around the middle weight.
    let private mirrored (half: float[]) (middle: float) = Array.concat [ half; [| middle |]; Array.rev half ]

    /// Stormer-Verlet (leapfrog), drift-kick-drift: order 2, one force a step, symmetric.
    /// Source: Verlet 1967; Hairer, Lubich and Wanner 2006, I.1.4.
    let stormerVerlet = ofLeapfrogs "StormerVerlet" 2 [| 1.0 |]

    /// Ruth's method: order 3, three forces a step, not symmetric. Source: Ruth 1983.
    let ruth3 = create "Ruth3" 3 3 [| 7.0 / 24.0; 0.75; -1.0 / 24.0 |] [| 2.0 / 3.0; -2.0 / 3.0; 1.0 |]

    /// The optimal method of order 4 with four forces for a kinetic energy quadratic in p (order 3 otherwise): it starts with a
    /// kick, hence the leading zero. Not symmetric. Source: McLachlan and Atela 1992.
    let mcAte4 =
        create "McAte4" 4 3 [|
            0.0
            0.515352837431122936
            -0.085782019412973646
            0.441583023616466524
            0.128846158365384185
        |] [| 0.134496199277431089; -0.224819803079420806; 0.756320000515668291; 0.334003603286321425; 0.0 |]

    /// Yoshida's solution A: order 6, seven forces a step, symmetric. Source: Yoshida 1990, its digits refined on the order
    /// conditions.
    let yoshida6 =
        ofLeapfrogs
            "Yoshida6"
            6
            (mirrored
                [|
                    0.784513610477557263819497633866
                    0.235573213359358133684793182979
                    -1.17767998417887100694641568096
                |]
                1.31518632068391121888424972824)

    /// The composition s17odr8a: order 8, seventeen forces a step, symmetric. Source: Kahan and Li 1997.
    let kahanLi8 =
        ofLeapfrogs
            "KahanLi8"
            8
            (mirrored
                [|
                    0.13020248308889008087881763
                    0.56116298177510838456196441
                    -0.38947496264484728640807860
                    0.15884190655515560089621075
                    -0.39590389413323757733623154
                    0.18453964097831570709183254
                    0.25837438768632204729397911
                    0.29501172360931029887096624
                |]
                -0.60550853383003451169892108)

    /// The catalogue, by order.
    let all = [| stormerVerlet; ruth3; mcAte4; yoshida6; kahanLi8 |]
