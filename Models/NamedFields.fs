// Right-hand sides that have a name in the literature, written once over numbers.
namespace Continuum

#nowarn "3535" "3536"

open System
open RealOperators

/// The named right-hand sides. Parameters are read in the order in which NamedProblems describes them.
module internal NamedFields =

    /// Lorenz 1963: p = sigma, rho, beta.
    [<Struct>]
    type Lorenz =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- p[0] * (y[1] - y[0])
                dydt[1] <- y[0] * (p[1] - y[2]) - y[1]
                dydt[2] <- y[0] * y[1] - p[2] * y[2]

    /// Roessler 1976: p = a, b, c.
    [<Struct>]
    type Roessler =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- -(y[1] + y[2])
                dydt[1] <- y[0] + p[0] * y[1]
                dydt[2] <- p[1] + y[2] * (y[0] - p[2])

    /// Lotka 1925, Volterra 1926: prey, predator; p = alpha, beta, gamma, delta.
    [<Struct>]
    type LotkaVolterra =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 4

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[0] * (p[0] - p[1] * y[1])
                dydt[1] <- y[1] * (p[3] * y[0] - p[2])

    /// van der Pol 1926: y'' = mu (1 - y^2) y' - y.
    [<Struct>]
    type VanDerPol =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 1

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- p[0] * (1.0 -. y[0] * y[0]) * y[1] - y[0]

    /// Robertson 1966: A -> B at k1, 2B -> B + C at k2, B + C -> A + C at k3.
    [<Struct>]
    type Robertson =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let forward = p[0] * y[0]
                let back = p[2] * y[1] * y[2]
                let consumed = p[1] * y[1] * y[1]
                dydt[0] <- back - forward
                dydt[1] <- forward - back - consumed
                dydt[2] <- consumed

    /// Schaefer 1975, "High Irradiance RESponse" of photomorphogenesis, with the rates of Hairer and Wanner II, IV.10.
    [<Struct>]
    type Hires =
        interface IGenericField with
            member _.Size = 8
            member _.ParameterCount = 0

            member _.Evaluate(_, y, _, dydt) =
                dydt[0] <- -1.71 *. y[0] + 0.43 *. y[1] + 8.32 *. y[2] .+ 0.0007
                dydt[1] <- 1.71 *. y[0] - 8.75 *. y[1]
                dydt[2] <- -10.03 *. y[2] + 0.43 *. y[3] + 0.035 *. y[4]
                dydt[3] <- 8.32 *. y[1] + 1.71 *. y[2] - 1.12 *. y[3]
                dydt[4] <- -1.745 *. y[4] + 0.43 *. y[5] + 0.43 *. y[6]
                let binding = 280.0 *. (y[5] * y[7])
                dydt[5] <- 0.69 *. y[3] + 1.71 *. y[4] - 0.43 *. y[5] + 0.69 *. y[6] - binding
                dydt[6] <- binding - 1.81 *. y[6]
                dydt[7] <- 1.81 *. y[6] - binding

    /// Prigogine and Lefever 1968: p = a, b.
    [<Struct>]
    type Brusselator =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, dydt) =
                let made = y[0] * y[0] * y[1]
                dydt[0] <- p[0] + made - (p[1] .+ 1.0) * y[0]
                dydt[1] <- p[1] * y[0] - made

    /// Field and Noyes 1974 as scaled in Hairer and Wanner II, IV.10: p = s, q, w.
    [<Struct>]
    type Oregonator =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- p[0] * (y[1] + y[0] * (1.0 -. p[1] * y[0] - y[1]))
                dydt[1] <- (y[2] - (1.0 +. y[0]) * y[1]) / p[0]
                dydt[2] <- p[2] * (y[0] - y[2])

    /// FitzHugh 1961, Nagumo 1962: p = a, b, epsilon, current.
    [<Struct>]
    type FitzHughNagumo =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 4

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[0] - y[0] * y[0] * y[0] ./ 3.0 - y[1] + p[3]
                dydt[1] <- p[2] * (y[0] + p[0] - p[1] * y[1])

    /// Duffing 1918: y'' + delta y' + alpha y + beta y^3 = gamma cos(omega t).
    [<Struct>]
    type Duffing =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 5

            member _.Evaluate(t, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- p[3] * cos (p[4] * t) - p[2] * y[1] - y[0] * (p[0] + p[1] * y[0] * y[0])

    /// angle'' = -(g / l) sin angle - damping angle'.
    [<Struct>]
    type Pendulum =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- y[1]
                dydt[1] <- -(p[0] / p[1] * sin y[0]) - p[2] * y[1]

    /// Kermack and McKendrick 1927 in shares of the population: p = beta, gamma.
    [<Struct>]
    type Sir =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, dydt) =
                let infected = p[0] * y[0] * y[1]
                let removed = p[1] * y[1]
                dydt[0] <- -infected
                dydt[1] <- infected - removed
                dydt[2] <- removed

    /// SIR with an exposed class: p = beta, sigma, gamma.
    [<Struct>]
    type Seir =
        interface IGenericField with
            member _.Size = 4
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let exposed = p[0] * y[0] * y[2]
                let infected = p[1] * y[1]
                let removed = p[2] * y[2]
                dydt[0] <- -exposed
                dydt[1] <- exposed - infected
                dydt[2] <- infected - removed
                dydt[3] <- removed

    /// Verhulst 1838: p = rate, capacity.
    [<Struct>]
    type Logistic =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 2
            member _.Evaluate(_, y, p, dydt) = dydt[0] <- p[0] * y[0] * (1.0 -. y[0] / p[1])

    /// y' = rate y.
    [<Struct>]
    type Exponential =
        interface IGenericField with
            member _.Size = 1
            member _.ParameterCount = 1
            member _.Evaluate(_, y, p, dydt) = dydt[0] <- p[0] * y[0]

    /// A drug taken up from the gut and cleared from the blood: p = absorption, clearance, volume; amounts gut, and concentration.
    [<Struct>]
    type OneCompartment =
        interface IGenericField with
            member _.Size = 2
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let uptake = p[0] * y[0]
                dydt[0] <- -uptake
                dydt[1] <- uptake / p[2] - p[1] / p[2] * y[1]

    /// Michaelis and Menten 1913 in full: S + E <-> C -> P + E; p = kf, kr, kcat; states S, E, C, P.
    [<Struct>]
    type MichaelisMenten =
        interface IGenericField with
            member _.Size = 4
            member _.ParameterCount = 3

            member _.Evaluate(_, y, p, dydt) =
                let bound = p[0] * y[0] * y[1]
                let released = p[1] * y[2]
                let made = p[2] * y[2]
                dydt[0] <- released - bound
                dydt[1] <- released + made - bound
                dydt[2] <- bound - released - made
                dydt[3] <- made
