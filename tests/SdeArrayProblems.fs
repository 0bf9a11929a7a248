/// Stochastic equations on arrays that the tests solve, and what they share.
module SdeArrayProblems

#nowarn "3535" "3536"

open System
open System.Threading
open Continuum
open Continuum.Properties
open Expecto

let holds (law: LawResult) = Expect.isTrue law.Holds (string law)

module Equations =
    open RealOperators

    /// dy = p0 y dt + p1 y dW for each of two components, coefficients of their own.
    [<Struct>]
    type Geometric =
        interface IGenericSde with
            member _.Size = 2
            member _.NoiseSize = 2
            member _.ParameterCount = 4

            member _.Drift(_, y, p, dest) =
                dest[0] <- p[0] * y[0]
                dest[1] <- p[1] * y[1]

            member _.Diffusion(_, y, p, dest) =
                dest[0] <- p[2] * y[0]
                dest[1] <- p[3] * y[1]

    /// dy = p0 y dt + p1 y dW, one component.
    [<Struct>]
    type Price =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 2
            member _.Drift(_, y, p, dest) = dest[0] <- p[0] * y[0]
            member _.Diffusion(_, y, p, dest) = dest[0] <- p[1] * y[0]

    /// dx = rate (level - x) dt + size dW.
    [<Struct>]
    type MeanReverting =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 3
            member _.Drift(_, x, p, dest) = dest[0] <- p[0] * (p[1] - x[0])
            member _.Diffusion(_, _, p, dest) = dest[0] <- p[2]

    /// The root x of v, dv = kappa (theta - v) dt + xi sqrt v dW: dx = (a/x - kappa x / 2) dt + xi/2 dW, a = kappa theta / 2 - xi^2 / 8.
    [<Struct>]
    type RootOfSquareRootDiffusion =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 3

            member _.Drift(_, x, p, dest) =
                dest[0] <- (0.5 *. p[0] * p[1] - 0.125 *. p[2] * p[2]) / x[0] - 0.5 *. p[0] * x[0]

            member _.Diffusion(_, _, p, dest) = dest[0] <- 0.5 *. p[2]

    /// Two components, three Brownian motions whose fields do not commute, with time, functions and a parameter.
    [<Struct>]
    type Swirl =
        interface IGenericSde with
            member _.Size = 2
            member _.NoiseSize = 3
            member _.ParameterCount = 1

            member _.Drift(t, y, p, dest) =
                dest[0] <- sin t - p[0] * y[0]
                dest[1] <- y[0] * y[1] / (1.0 +. y[1] * y[1])

            member _.Diffusion(t, y, p, dest) =
                dest[0] <- 0.2 *. cos y[1]
                dest[1] <- p[0] * y[0]
                dest[2] <- 0.1 *. y[1]
                dest[3] <- 0.1 *. (y[0] * y[1])
                dest[4] <- 0.3 *. tanh y[0]
                dest[5] <- 0.1 *. (1.0 +. t * t)

    /// One Brownian motion for two components: a circle in Ito's sense.
    [<Struct>]
    type Circle =
        interface IGenericSde with
            member _.Size = 2
            member _.NoiseSize = 1
            member _.ParameterCount = 0

            member _.Drift(_, y, _, dest) =
                dest[0] <- -0.5 *. y[0]
                dest[1] <- -0.5 *. y[1]

            member _.Diffusion(_, y, _, dest) =
                dest[0] <- -y[1]
                dest[1] <- y[0]

    /// dy = p0 y^3 dt + 0.1 y dW: leaves every bound where p0 > 0.
    [<Struct>]
    type Exploding =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 1
            member _.Drift(_, y, p, dest) = dest[0] <- p[0] * y[0] * y[0] * y[0]
            member _.Diffusion(_, y, _, dest) = dest[0] <- 0.1 *. y[0]

    /// Throws from its 100th evaluation on.
    [<Struct>]
    type Throwing(calls: int[]) =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 0

            member _.Drift(_, y, _, dest) =
                if Interlocked.Increment(&calls[0]) > 100 then
                    raise (InvalidOperationException "enough")

                dest[0] <- -y[0]

            member _.Diffusion(_, y, _, dest) = dest[0] <- 0.1 *. y[0]

open Equations

let geometric = GenericSde.diagonal<Ito, _> [| 0.3; -0.5; 0.7; 0.5 |] (Geometric())
let price = GenericSde.scalar<Ito, _> [| 0.05; 0.4 |] (Price())
let circle = GenericSde.scalar<Ito, _> [||] (Circle())
let swirl () = GenericSde.general<'C, _> [| 0.4 |] (Swirl())
let steps n = ArraySdeOptions.fixedSteps (1.0 / float n)
let one = { SdeEnsembleOptions.Default with Threads = 1 }

let spread (count: int) (n: int) =
    Array.init count (fun i -> Array.init n (fun c -> 1.0 + 0.4 * sin (1.3 * float i + float c)))

let paths count (y0: float[]) = SdeEnsemble.from y0 count 0.0 1.0

let specOf (options: ArraySdeOptions) (method: SdeMethod<'C, 'N>) (sde: ArraySde<'C, 'N>) =
    ArraySde.spec options method sde 7UL 0.0 1.0

let laws options (method: SdeMethod<'C, 'N>) (sde: ArraySde<'C, 'N>) problem =
    SdeEnsembleLaws.all options method sde (specOf options method sde) problem |> Array.iter holds

let refuses (message: string) (parts: string list) (action: unit -> unit) =
    try
        action ()
        failtest $"{message}: nothing was refused"
    with :? ArgumentException as error ->
        for part in parts do
            Expect.stringContains error.Message part message
