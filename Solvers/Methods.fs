namespace Continuum

open System
open System.Collections.Generic
open System.IO
open System.Runtime.InteropServices

/// The catalogue of explicit Runge-Kutta methods. Each is read from its coefficient file in this
/// assembly on first use, checked, and shared from then on. "Order p" of an error estimate is the
/// order of the embedded formula.
[<AbstractClass; Sealed>]
type Methods private () =
    static let load (name: string) =
        let read () =
            let file = $"tableau.{name.ToLowerInvariant()}.json"
            use stream = typeof<Tableau>.Assembly.GetManifestResourceStream file
            use reader = new StreamReader(stream)
            Tableau.Parse(reader.ReadToEnd())

        KeyValuePair(name, Lazy<Tableau>(read))

    static let euler = load "Euler"
    static let midpoint = load "Midpoint"
    static let heun = load "Heun"
    static let ralston = load "Ralston"
    static let bosh3 = load "Bosh3"
    static let rk4 = load "Rk4"
    static let threeEighths = load "ThreeEighths"
    static let dopri5 = load "Dopri5"
    static let tsit5 = load "Tsit5"
    static let vern7 = load "Vern7"
    static let dop853 = load "Dop853"
    static let vern9 = load "Vern9"

    static let catalogue = [|
        euler
        midpoint
        heun
        ralston
        bosh3
        rk4
        threeEighths
        dopri5
        tsit5
        vern7
        dop853
        vern9
    |]

    /// The explicit Euler method: order 1, one stage, not FSAL.
    /// No error estimate: fixed steps. Continuous extension of order 1.
    /// Source: Euler 1768.
    static member Euler: Tableau = euler.Value.Value

    /// The explicit midpoint rule: order 2, two stages, not FSAL.
    /// No error estimate: fixed steps. Continuous extension of order 2.
    /// Source: Runge 1895.
    static member Midpoint: Tableau = midpoint.Value.Value

    /// The explicit trapezoidal rule, or Heun's second-order method: two stages, not FSAL. Not to be
    /// confused with Heun's method of order 3.
    /// Error estimate of order 1 (Euler embedded). Continuous extension of order 2.
    /// Source: Runge 1895.
    static member Heun: Tableau = heun.Value.Value

    /// Ralston's method with node 2/3, the smallest error bound of order 2: two stages, not FSAL.
    /// Error estimate of order 1 (Euler embedded). Continuous extension of order 2.
    /// Source: Ralston 1962.
    static member Ralston: Tableau = ralston.Value.Value

    /// The Bogacki-Shampine 3(2) pair: order 3, four stages, FSAL, so three evaluations a step.
    /// Error estimate of order 2. Continuous extension of order 3 (cubic Hermite), no extra stage.
    /// Source: Bogacki and Shampine 1989.
    static member Bosh3: Tableau = bosh3.Value.Value

    /// The classical Runge-Kutta method: order 4, four stages, not FSAL.
    /// No error estimate: fixed steps. Continuous extension of order 3, no extra stage.
    /// Source: Kutta 1901; Hairer, Norsett and Wanner 1993, Table II.1.2.
    static member Rk4: Tableau = rk4.Value.Value

    /// Kutta's 3/8 rule: order 4, four stages, not FSAL; its error constants are smaller than Rk4's.
    /// No error estimate: fixed steps. Continuous extension of order 3, no extra stage.
    /// Source: Kutta 1901; Hairer, Norsett and Wanner 1993, Table II.1.2.
    static member ThreeEighths: Tableau = threeEighths.Value.Value

    /// The Dormand-Prince 5(4) pair: order 5, seven stages, FSAL, so six evaluations a step.
    /// Error estimate of order 4. Continuous extension of order 4 (Shampine), no extra stage.
    /// Source: Dormand and Prince 1980, RK5(4)7M; Shampine 1986.
    static member Dopri5: Tableau = dopri5.Value.Value

    /// The Tsitouras 5(4) pair: order 5, seven stages, FSAL, so six evaluations a step. The usual first
    /// choice for non-stiff problems at moderate tolerances.
    /// Error estimate of order 4. Continuous extension of order 4, no extra stage; the last printed
    /// digits of its polynomials are refined so that the order conditions hold to 1e-38.
    /// Source: Tsitouras 2011.
    static member Tsit5: Tableau = tsit5.Value.Value

    /// Verner's "most efficient" 7(6) pair: order 7, ten stages, not FSAL.
    /// Error estimate of order 6. Continuous extension with six extra stages, of order 6: it is published
    /// as order 7, but twelve of the 48 conditions of that order fail, by at most 1.3e-4.
    /// Source: Verner 2010.
    static member Vern7: Tableau = vern7.Value.Value

    /// The 8(5,3) method of Hairer, Norsett and Wanner: order 8, twelve stages, not FSAL.
    /// Error estimate from two combinations, of orders 5 and 3. Continuous extension of order 7; it
    /// needs the slope at the end of the step and three extra stages.
    /// Source: Hairer, Norsett and Wanner 1993, II.5 and II.10.
    static member Dop853: Tableau = dop853.Value.Value

    /// Verner's "most efficient" 9(8) pair: order 9, sixteen stages, not FSAL.
    /// Error estimate of order 8. Continuous extension of order 9 with ten extra stages.
    /// Source: Verner 2010.
    static member Vern9: Tableau = vern9.Value.Value

    /// Every method of the catalogue, by order; loads them all.
    static member All: Tableau[] = catalogue |> Array.map (fun known -> known.Value.Value)

    /// The names of the catalogue, by order; loads nothing.
    static member Names: string[] = catalogue |> Array.map (fun known -> known.Key)

    /// The method of that name, in upper or lower case; false, with null, if the catalogue has none.
    static member TryFind(name: string, [<Out>] tableau: byref<Tableau>) : bool =
        let isNamed (known: KeyValuePair<string, Lazy<Tableau>>) =
            String.Equals(known.Key, name, StringComparison.OrdinalIgnoreCase)

        match Array.tryFind isNamed catalogue with
        | Some known ->
            tableau <- known.Value.Value
            true
        | None ->
            tableau <- Unchecked.defaultof<Tableau>
            false

    /// The method of that name, in upper or lower case. ArgumentException, listing the names known,
    /// if the catalogue has none.
    static member ByName(name: string) : Tableau =
        match Methods.TryFind name with
        | true, tableau -> tableau
        | _ ->
            let known = String.Join(", ", Methods.Names)
            raise (ArgumentException($"No explicit Runge-Kutta method is named '{name}'. Known: {known}.", nameof name))
