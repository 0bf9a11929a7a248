// The catalogue of named problems: fields with the names, values and spans that the literature gives them.
namespace Continuum

open System

/// What is made from a generic field with its type known.
type IGenericFieldVisitor<'R> =
    /// Called once with the field.
    abstract Visit<'G when 'G: struct and 'G :> IGenericField> : field: 'G -> 'R

/// A named number with its usual value.
[<Struct>]
type NamedValue = {
    /// Name, in lower case.
    Name: string
    /// Value in the literature.
    Value: float
}

/// A problem with a name: y' = f(t, y; p) with usual parameters, initial state and span.
[<AbstractClass>]
type NamedProblem internal (name: string, about: string, states: NamedValue[], parameters: NamedValue[], span: float) =
    /// Name, in lower case with hyphens.
    member _.Name = name
    /// One line: the equations' subject and source.
    member _.About = about
    /// Components of the state and their usual initial values at t = 0.
    member _.States = states
    /// Parameters and their usual values.
    member _.Parameters = parameters
    /// Usual end of the span that starts at 0.
    member _.Span = span
    /// Hands the field to a visitor that is generic over its type.
    abstract Accept: visitor: IGenericFieldVisitor<'R> -> 'R

[<Sealed>]
type internal NamedProblem<'G when 'G: struct and 'G :> IGenericField>(name, about, states, parameters, span, field: 'G)
    =
    inherit NamedProblem(name, about, states, parameters, span)

    override _.Accept visitor = visitor.Visit<'G> field

/// The named problems.
[<RequireQualifiedAccess>]
module NamedProblems =
    let private named (list: (string * float) list) = [| for name, value in list -> { Name = name; Value = value } |]

    let private problem name about (states: (string * float) list) (parameters: (string * float) list) span field =
        NamedProblem<_>(name, about, named states, named parameters, span, field) :> NamedProblem

    /// Every one, in the order in which lists show them.
    let all: NamedProblem[] = [|
        problem
            "lorenz"
            "convection in three modes, chaotic at the usual values (Lorenz 1963)"
            [ "x", 1.0; "y", 1.0; "z", 1.0 ]
            [ "sigma", 10.0; "rho", 28.0; "beta", 8.0 / 3.0 ]
            40.0
            (NamedFields.Lorenz())
        problem
            "roessler"
            "the simplest chaotic flow with one fold (Roessler 1976)"
            [ "x", 1.0; "y", 1.0; "z", 0.0 ]
            [ "a", 0.2; "b", 0.2; "c", 5.7 ]
            100.0
            (NamedFields.Roessler())
        problem
            "lotka-volterra"
            "prey and predator (Lotka 1925, Volterra 1926)"
            [ "prey", 1.0; "predator", 1.0 ]
            [ "alpha", 1.5; "beta", 1.0; "gamma", 3.0; "delta", 1.0 ]
            20.0
            (NamedFields.LotkaVolterra())
        problem
            "van-der-pol"
            "y'' = mu (1 - y^2) y' - y, stiff for large mu (van der Pol 1926)"
            [ "y", 2.0; "v", 0.0 ]
            [ "mu", 1000.0 ]
            2000.0
            (NamedFields.VanDerPol())
        problem
            "robertson"
            "three reactions of rates nine orders apart, stiff (Robertson 1966)"
            [ "a", 1.0; "b", 0.0; "c", 0.0 ]
            [ "k1", 0.04; "k2", 3e7; "k3", 1e4 ]
            1e5
            (NamedFields.Robertson())
        problem
            "hires"
            "eight reactants of photomorphogenesis, stiff (Schaefer 1975)"
            [ "y1", 1.0; "y2", 0.0; "y3", 0.0; "y4", 0.0; "y5", 0.0; "y6", 0.0; "y7", 0.0; "y8", 0.0057 ]
            []
            321.8122
            (NamedFields.Hires())
        problem
            "brusselator"
            "an autocatalytic reaction with a limit cycle for b > 1 + a^2 (Prigogine and Lefever 1968)"
            [ "x", 1.5; "y", 3.0 ]
            [ "a", 1.0; "b", 3.0 ]
            20.0
            (NamedFields.Brusselator())
        problem
            "oregonator"
            "the Belousov-Zhabotinsky reaction, stiff (Field and Noyes 1974)"
            [ "x", 1.0; "y", 2.0; "z", 3.0 ]
            [ "s", 77.27; "q", 8.375e-6; "w", 0.161 ]
            360.0
            (NamedFields.Oregonator())
        problem
            "fitzhugh-nagumo"
            "a spiking neuron (FitzHugh 1961, Nagumo 1962)"
            [ "v", -1.0; "w", 1.0 ]
            [ "a", 0.7; "b", 0.8; "epsilon", 0.08; "current", 0.5 ]
            200.0
            (NamedFields.FitzHughNagumo())
        problem
            "duffing"
            "a driven double well: y'' + delta y' + alpha y + beta y^3 = gamma cos(omega t) (Duffing 1918)"
            [ "y", 1.0; "v", 0.0 ]
            [ "alpha", -1.0; "beta", 1.0; "delta", 0.3; "gamma", 0.5; "omega", 1.2 ]
            100.0
            (NamedFields.Duffing())
        problem
            "pendulum"
            "a damped pendulum; angle in radians, SI units"
            [ "angle", 1.0; "velocity", 0.0 ]
            [ "gravity", 9.81; "length", 1.0; "damping", 0.1 ]
            20.0
            (NamedFields.Pendulum())
        problem
            "sir"
            "an epidemic in shares of the population (Kermack and McKendrick 1927)"
            [ "susceptible", 0.99; "infected", 0.01; "removed", 0.0 ]
            [ "beta", 0.4; "gamma", 0.1 ]
            120.0
            (NamedFields.Sir())
        problem
            "seir"
            "an epidemic with an incubation time, in shares of the population"
            [ "susceptible", 0.99; "exposed", 0.01; "infected", 0.0; "removed", 0.0 ]
            [ "beta", 0.4; "sigma", 0.2; "gamma", 0.1 ]
            160.0
            (NamedFields.Seir())
        problem
            "logistic"
            "growth to a capacity (Verhulst 1838)"
            [ "y", 0.1 ]
            [ "rate", 1.0; "capacity", 1.0 ]
            10.0
            (NamedFields.Logistic())
        problem "exponential" "y' = rate y" [ "y", 1.0 ] [ "rate", -1.0 ] 5.0 (NamedFields.Exponential())
        problem
            "one-compartment"
            "a drug taken up from the gut and cleared from the blood (amount, concentration)"
            [ "gut", 100.0; "blood", 0.0 ]
            [ "absorption", 1.0; "clearance", 5.0; "volume", 50.0 ]
            48.0
            (NamedFields.OneCompartment())
        problem
            "michaelis-menten"
            "an enzyme's reaction in full: substrate, enzyme, complex, product (Michaelis and Menten 1913)"
            [ "substrate", 10.0; "enzyme", 1.0; "complex", 0.0; "product", 0.0 ]
            [ "kf", 1.0; "kr", 0.5; "kcat", 0.3 ]
            60.0
            (NamedFields.MichaelisMenten())
    |]

    /// The problem of that name, in upper or lower case. ArgumentException, listing the names, if there is none.
    let byName (name: string) : NamedProblem =
        match all |> Array.tryFind (fun p -> String.Equals(p.Name, name, StringComparison.OrdinalIgnoreCase)) with
        | Some problem -> problem
        | None ->
            let names = String.Join(", ", all |> Array.map _.Name)
            raise (ArgumentException $"No problem is named '{name}'. Known: {names}.")
