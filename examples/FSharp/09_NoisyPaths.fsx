// Stochastic equations: 100,000 paths of a price in SIMD lanes against their closed form, one path solved coarsely and finely, and the same
// process in the two calculi.
#load "continuum.fsx"

open System.Diagnostics
open Continuum

module Equation =
    open RealOperators

    /// dS = mu S dt + sigma S dW; parameters mu and sigma.
    [<Struct>]
    type Price =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 2
            member _.Drift(_, y, p, f) = f[0] <- p[0] * y[0]
            member _.Diffusion(_, y, p, g) = g[0] <- p[1] * y[0]

open Equation

let mu = 0.06
let sigma = 0.3
let price = GenericSde.scalar<Ito, Price> [| mu; sigma |] (Price())
let clock = Stopwatch.StartNew()

let runs =
    SdeEnsemble.simulate
        {
            ArraySdeOptions.fixedSteps 0.01 with
                SaveAt = Times [| 0.25; 0.5; 0.75; 1.0 |]
        }
        SdeEnsembleOptions.Default
        SdeMethods.milstein
        price
        1UL
        (SdeEnsemble.from [| 100.0 |] 100_000 0.0 1.0)

printfn $"{runs.Count} paths of 100 steps in {clock.Elapsed.TotalSeconds:f2} s"

for time, band in Array.zip runs.Times (runs.Bands(0, [| 0.05; 0.5; 0.95 |])) do
    printfn $"t = {time:f2}: nine of ten between {band[0]:f1} and {band[2]:f1}, median {band[1]:f1}"

let mean = 100.0 * exp mu
let variance = mean * mean * (exp (sigma * sigma) - 1.0)
let found = runs.Final.Statistics
let off = abs (found.Mean[0] - mean) / found.StandardError[0]
check (off < 4.0) $"noisy paths: the mean is the closed form within {off:f1} standard errors"
check (abs (found.Variance[0] / variance - 1.0) < 0.03) "noisy paths: so is the variance within 3 %%"

// One path, a function of its seed and number alone: coarse and fine steps see the same one.
let path () = BrownianPath { BrownianSpec.create 0.0 1.0 1 7UL with Cells = 1024 }

let exact = 100.0 * exp (mu - 0.5 * sigma * sigma + sigma * (path().Value 1.0)[0])

let solve (method: SdeMethod<'C, ScalarNoise>) (equation: ArraySde<'C, ScalarNoise>) steps =
    (ArraySde.solve (ArraySdeOptions.fixedSteps (1.0 / float steps)) method equation (path ()) 0.0 1.0 [| 100.0 |])
        .FinalState[0]

let errors =
    [ 16; 64; 256; 1024 ] |> List.map (fun steps -> abs (solve SdeMethods.milstein price steps - exact))

let shown = errors |> List.map (sprintf "%.1e") |> String.concat ", "
printfn $"errors with 16, 64, 256 and 1024 steps: {shown}"

check
    (List.last errors < 0.1 * List.head errors)
    "noisy paths: finer steps come closer to the closed form on the same path"

// The chain rule of Stratonovich's integral takes the drift mu - sigma^2 / 2 for the same process.
let same = GenericSde.scalar<Stratonovich, Price> [| mu - 0.5 * sigma * sigma; sigma |] (Price())

check (abs (solve SdeMethods.heun same 1024 - exact) < 0.1) "noisy paths: both calculi describe the same process"
