// Factors of the terms of a loss that follow how the terms fall.
namespace Continuum

open System

/// How the factors of a loss's terms follow their values.
type BalanceRule =
    /// All factors stay 1.
    | Constant
    /// exp(beta s_i) over their sum, with s_i the change of term i since the step before: with beta > 0, terms that fall more slowly weigh
    /// more. `lossWeighted` multiplies by the term's value, `normalised` divides s by the sum of the |s_i| (by that of the s_i
    /// themselves, the rule would turn around while terms fall). The factors sum to 1.
    /// Heydari, Thompson and Mehmood 2019, "SoftAdapt: techniques for adaptive loss weighting of neural networks with multi-part
    /// loss functions".
    | SoftAdapt of beta: float * lossWeighted: bool * normalised: bool
    /// Relative loss balancing with random lookback. With b_i(t, t') = n exp(L_i(t) / (T L_i(t'))) over their sum, the factors are
    /// alpha (rho f(t - 1) + (1 - rho) b(t, 0)) + (1 - alpha) b(t, t - 1), where rho is 1 with the probability `saudade` and else 0.
    /// They sum to n, the number of terms. Bischof and Kraus 2021, "Multi-objective loss balancing for physics-informed deep learning".
    | ReLoBRaLo of alpha: float * temperature: float * saudade: float * seed: uint64

    /// SoftAdapt with beta 0.1, neither weighted nor normalised.
    static member SoftAdaptDefault = SoftAdapt(0.1, false, false)
    /// ReLoBRaLo with alpha 0.999, temperature 0.1, saudade 0.999 and this seed.
    static member ReLoBRaLoDefault(seed: uint64) = ReLoBRaLo(0.999, 0.1, 0.999, seed)

/// The factors of n terms by a rule, step by step. Its state is an array of numbers: restored, it goes on as if it had never stopped; random
/// numbers are a function of the seed and the step.
[<Sealed>]
type LossBalance(rule: BalanceRule, terms: int) =

    static let bad (text: string) = raise (ArgumentException text)

    do
        if terms < 1 then
            bad $"A loss has at least one term; got {terms}."

        match rule with
        | SoftAdapt(beta, _, _) when not (Double.IsFinite beta) -> bad $"Beta is {beta}; it must be finite."
        | ReLoBRaLo(alpha, temperature, saudade, _) when
            not (
                alpha >= 0.0
                && alpha <= 1.0
                && saudade >= 0.0
                && saudade <= 1.0
                && temperature > 0.0
                && Double.IsFinite temperature
            )
            ->
            bad
                $"Alpha is {alpha}, saudade {saudade} and the temperature {temperature}; the first two must lie in [0, 1], the temperature must be positive."
        | _ -> ()

    /// The least value that the rule can take.
    let lowest =
        match rule with
        | Constant
        | SoftAdapt(_, false, _) -> -infinity
        | _ -> 0.0

    let mutable steps = 0L
    let mutable first: float[] = Array.zeroCreate terms
    let mutable last: float[] = Array.zeroCreate terms
    let mutable factors: float[] = Array.create terms 1.0

    /// exp(x) over their sum, times the factor of each.
    let softmax (scale: float[]) (x: float[]) =
        let most = Array.max x
        let powers = Array.map2 (fun scale x -> scale * exp (x - most)) scale x
        let total = Array.sum powers
        powers |> Array.map (fun p -> p / total)

    let ones: float[] = Array.create terms 1.0

    let softAdapt (beta: float) (lossWeighted: bool) (normalised: bool) (values: float[]) =
        let changes = if steps = 0L then Array.zeroCreate terms else Array.map2 (-) values last
        let size = Array.sumBy abs changes

        let changes =
            if normalised && size > 0.0 then
                changes |> Array.map (fun s -> s / size)
            else
                changes

        let scale = if lossWeighted && Array.sum values > 0.0 then values else ones
        softmax scale (changes |> Array.map (fun s -> beta * s))

    /// A number in [0, 1) of the seed and the step.
    let uniform (seed: uint64) =
        let struct (low, _) = Philox.bits seed (uint32 steps) (uint32 (steps >>> 32)) 0u 0u
        float (low >>> 11) / 9007199254740992.0

    let reLoBRaLo (alpha: float) (temperature: float) (saudade: float) (seed: uint64) (values: float[]) =
        if steps = 0L then
            ones
        else
            let relative (past: float[]) =
                // A term that was zero has no relative size; a tiny divisor keeps the quotient finite.
                Array.map2 (fun v p -> min 1e100 (v / (temperature * max p 1e-300))) values past
                |> softmax ones
                |> Array.map (fun b -> float terms * b)

            let history = if uniform seed < saudade then factors else relative first
            Array.map2 (fun old recent -> alpha * old + (1.0 - alpha) * recent) history (relative last)

    /// The rule.
    member _.Rule = rule
    /// How many terms it balances.
    member _.Terms = terms
    /// The factors of the step before; all 1 at first.
    member _.Factors = Array.copy factors

    /// The factors of this step from the values of the terms in it, which become the values of the step before.
    /// ArgumentException for another number of values and for values that are not finite, and, where the rule looks at their size (ReLoBRaLo,
    /// loss-weighted SoftAdapt), negative, naming the term.
    member _.Next(values: float[]) : float[] =
        ArgumentNullException.ThrowIfNull(values, nameof values)

        if values.Length <> terms then
            bad $"The balance is of {terms} terms; got {values.Length} values."

        match values |> Array.tryFindIndex (fun v -> not (Double.IsFinite v && v >= lowest)) with
        | Some i ->
            bad
                $"The value of term {i} is {values[i]}; values of terms under the rule {rule} must be finite and {lowest} or more."
        | None -> ()

        factors <-
            match rule with
            | Constant -> ones
            | SoftAdapt(beta, lossWeighted, normalised) -> softAdapt beta lossWeighted normalised values
            | ReLoBRaLo(alpha, temperature, saudade, seed) -> reLoBRaLo alpha temperature saudade seed values

        if steps = 0L then
            first <- Array.copy values

        last <- Array.copy values
        steps <- steps + 1L
        Array.copy factors

    /// All that it remembers, as 1 + 3 n numbers: the steps so far, the first values, the last values and the factors.
    member _.State: float[] = Array.concat [ [| float steps |]; first; last; factors ]

    /// Goes on from a state that a balance of as many terms had. ArgumentException for a state of another length or with numbers that are
    /// not finite.
    member _.Restore(state: float[]) =
        ArgumentNullException.ThrowIfNull(state, nameof state)

        if state.Length <> 1 + 3 * terms then
            bad $"The state of a balance of {terms} terms has {1 + 3 * terms} numbers; got {state.Length}."

        if
            state |> Array.exists (fun v -> not (Double.IsFinite v))
            || state[0] < 0.0
            || state[0] <> Math.Floor state[0]
        then
            bad "The state has numbers that are not finite, or a count of steps that is not a whole number."

        steps <- int64 state[0]
        first <- Array.sub state 1 terms
        last <- Array.sub state (1 + terms) terms
        factors <- Array.sub state (1 + 2 * terms) terms
