/// Data and small helpers of the tests of models of random paths.
module SdeModelData

open System
open System.IO
open System.Threading
open Continuum
open Continuum.Properties
open Expecto
open TorchSharp

let temporary () = Path.Combine(Path.GetTempPath(), $"continuum-sde-{Guid.NewGuid():N}.safetensors")

let holds (law: LawResult) = Expect.isTrue law.Holds (string law)

let never = CancellationToken.None

let message<'error when 'error :> exn> (action: unit -> unit) =
    try
        action ()
        failtestf "expected %s, nothing was thrown" typeof<'error>.Name
    with :? 'error as error ->
        Expect.isFalse (error.Message.Contains '\n') $"one line: {error.Message}"
        error.Message

let bits (values: float[,,]) = values |> Seq.cast<float> |> Seq.map BitConverter.DoubleToInt64Bits |> Seq.toArray

let largest (values: seq<float>) = values |> Seq.map abs |> Seq.max

/// Exact transitions of dx = theta (level - x) dt + sigma L dW, two columns with correlation rho; steps from a function of the row.
let ornsteinUhlenbeck (rows: int) (seed: int) (step: int -> float) : ObservedPath =
    let random = Random seed
    let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())
    let theta, level, sigma, rho = 0.5, [| 1.0; -2.0 |], [| 0.4; 0.8 |], 0.6
    let times = Array.zeroCreate rows
    let values = Array2D.zeroCreate rows 2

    for j in 0..1 do
        values[0, j] <- level[j]

    for i in 1 .. rows - 1 do
        let h = step i
        times[i] <- times[i - 1] + h
        let keep = exp (-theta * h)
        let spread = sqrt ((1.0 - keep * keep) / (2.0 * theta))
        let a = normal ()
        let noise = [| a; rho * a + sqrt (1.0 - rho * rho) * normal () |]

        for j in 0..1 do
            values[i, j] <- level[j] + keep * (values[i - 1, j] - level[j]) + sigma[j] * spread * noise[j]

    { Times = times; Values = values }

let columns = [| "a"; "b" |]
let data = ornsteinUhlenbeck 400 1 (fun i -> if i % 3 = 0 then 0.6 else 0.3)

/// Exponentials of random walks with volatility that comes in clusters (a GARCH process).
let prices (rows: int) : ObservedPath =
    let random = Random 5
    let normal () = sqrt (-2.0 * log (1.0 - random.NextDouble())) * cos (2.0 * Math.PI * random.NextDouble())
    let mutable variance = 1.0
    let values = Array2D.create rows 1 100.0

    for i in 1 .. rows - 1 do
        let z = sqrt variance * normal ()
        variance <- 0.05 + 0.15 * z * z + 0.8 * variance
        values[i, 0] <- values[i - 1, 0] * exp (0.01 * z)

    { Times = Array.init rows float; Values = values }
