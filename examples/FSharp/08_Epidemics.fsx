// An epidemic under uncertainty: 20,000 of them with random rates, eight at a time in SIMD lanes on every processor. The share that is never
// infected has a closed form, which checks them all.
#load "continuum.fsx"

open System
open System.Diagnostics
open Continuum

module Field =
    open RealOperators // sqrt, log and the like are those of fields' numbers here

    /// Susceptible, infectious, recovered; rates of infection and recovery.
    [<Struct>]
    type Sir =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 2

            member _.Evaluate(_, y, p, dydt) =
                let infection = p[0] * y[0] * y[1]
                let recovery = p[1] * y[1]
                dydt[0] <- -infection
                dydt[1] <- infection - recovery
                dydt[2] <- recovery

open Field

let random = Random 1

let rates =
    Array.init 20_000 (fun _ ->
        let infection = 0.3 + 0.3 * random.NextDouble()
        [| infection; 0.1 + 0.15 * random.NextDouble() |])

let options = SolveOptions.create 1e-8 1e-12
let start = [| 1.0 - 1e-3; 1e-3; 0.0 |]
let clock = Stopwatch.StartNew()

let runs =
    Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Sir()) {
        Starts = [| 0.0 |]
        Ends = [| 2000.0 |]
        Initial = [| start |]
        Parameters = rates
    }

printfn $"{runs.Count} epidemics in {clock.Elapsed.TotalSeconds:f2} s"
let infected = Array.init runs.Count (fun i -> (runs.FinalState i)[2]) |> Array.sort
printfn $"infected in the end: {infected[1000]:p0} to {infected[19_000]:p0} in nine of ten"

/// s = s0 exp(-R (1 - s)): the share never infected (Kermack and McKendrick 1927), by Newton's method from below.
let spared s0 reproduction =
    let mutable s = 0.0

    for _ in 1..50 do
        let right = s0 * exp (-reproduction * (1.0 - s))
        s <- s - (s - right) / (1.0 - reproduction * right)

    s

let worst =
    Seq.max (
        seq {
            for i in 0 .. runs.Count - 1 -> abs ((runs.FinalState i)[0] - spared start[0] (rates[i].[0] / rates[i].[1]))
        }
    )

let alone =
    (ArrayOde.solveField Methods.Tsit5 options (GenericField<Sir>(Sir(), rates[777])) 0.0 2000.0 start).FinalState

let apart = Array.map2 (fun (a: float) b -> abs (a - b)) (runs.FinalState 777) alone |> Array.max
check (runs.Failed = 0 && worst < 1e-6) $"epidemics: the closed form of the final size within {worst:e1}"
check (apart < 1e-10) "epidemics: a lane agrees with a solve of its own"
