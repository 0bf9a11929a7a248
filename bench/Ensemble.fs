/// Ten thousand Lorenz systems with parameters of their own, beside SUNDIALS in a loop.
module Continuum.Bench.Ensemble

#nowarn "3535" "3536"

open System
open Continuum
open Continuum.Bench.Measure

module private Field =
    open RealOperators

    /// Lorenz with rho as its parameter, over any number.
    [<Struct>]
    type Lorenz =
        interface IGenericField with
            member _.Size = 3
            member _.ParameterCount = 1

            member _.Evaluate(_, y, p, dydt) =
                dydt[0] <- 10.0 *. (y[1] - y[0])
                dydt[1] <- y[0] * (p[0] - y[2]) - y[1]
                dydt[2] <- y[0] * y[1] - (8.0 / 3.0) *. y[2]

let private count = 10_000

let private rho = Array.init count (fun i -> 28.0 * (float (i + 1) * 0.6180339887498949 % 1.0))

let private problem: EnsembleProblem = {
    Starts = [| 0.0 |]
    Ends = [| 1.0 |]
    Initial = [| [| 1.0; 1.0; 1.0 |] |]
    Parameters = rho |> Array.map Array.singleton
}

let private plain (rho: float) =
    VectorField(fun _ y dydt ->
        dydt[0] <- 10.0 * (y[1] - y[0])
        dydt[1] <- y[0] * (rho - y[2]) - y[1]
        dydt[2] <- y[0] * y[1] - 8.0 / 3.0 * y[2])

let private largestDistance (states: ReadOnlySpan<float>) (reference: float[]) =
    let mutable worst = 0.0

    for i in 0 .. count - 1 do
        let mutable d = 0.0

        for c in 3 * i .. 3 * i + 2 do
            d <- d + (states[c] - reference[c]) * (states[c] - reference[c])

        worst <- max worst (sqrt d)

    worst

let run (settings: Settings) =
    let options: SolveOptions<float[]> = SolveOptions.create 1e-6 1e-9

    let reference =
        let tight: SolveOptions<float[]> = SolveOptions.create 1e-13 1e-13
        (Ensemble.solve Methods.Vern9 tight EnsembleOptions.Default (Field.Lorenz()) problem).FinalStates.ToArray()

    let on threads = { EnsembleOptions.Default with Threads = threads }

    let lanes method threads () = Ensemble.solve method options (on threads) (Field.Lorenz()) problem

    let delegates threads () =
        Ensemble.solveSystems
            (RungeKutta Methods.Tsit5)
            options
            (on threads)
            (fun i -> OdeSystem.OfField(plain rho[i], 3))
            problem

    let cores = Environment.ProcessorCount

    let variants = [|
        "tsit5 lanes 1 thread", lanes Methods.Tsit5 1
        if cores > 1 then
            $"tsit5 lanes {cores} threads", lanes Methods.Tsit5 cores
        "dopri5 lanes 1 thread", lanes Methods.Dopri5 1
        "vern7 lanes 1 thread", lanes Methods.Vern7 1
        "tsit5 delegate 1 thread", delegates 1
        if cores > 1 then
            $"tsit5 delegate {cores} threads", delegates cores
    |]

    let peers = [| "dopri5"; "fehlberg78"; "adams" |]
    let ask () = peers |> Array.map (fun method -> Sundials.solveEnsemble method 1e-6 1e-9 settings.Runs rho)
    let before = ask ()

    let samples =
        sampleTogether settings.Runs (variants |> Array.map (fun (_, solve) -> fun () -> solve () |> ignore))

    let after = ask ()

    let ours =
        Array.map2
            (fun (name, solve: unit -> EnsembleSolution) (times: Series) ->
                let solution = solve ()
                let total (f: int -> int) = Seq.sumBy f (seq { 0 .. count - 1 })

                {
                    line "ensemble" name settings.Runs (median times.Wall) with
                        Evaluations = total solution.Evaluations
                        Steps = total solution.Accepted
                        Rejected = total solution.Rejected
                        Error = largestDistance solution.FinalStates reference
                        Allocated = allocated (fun () -> solve () |> ignore)
                        Notes =
                            $"{1e9 * median times.Wall / float (total solution.Accepted + total solution.Rejected):f1} ns a step of a trajectory"
                })
            variants
            samples

    ours |> Array.iter (print settings)

    let theirs =
        Array.zip3 peers before after
        |> Array.choose (fun (name, first, second) ->
            match first, second with
            | ValueSome(one: Sundials.Outcome), ValueSome(two: Sundials.Outcome) ->
                Some {
                    line "ensemble" $"sundials {name}" settings.Runs (Math.Min(one.Seconds, two.Seconds)) with
                        Evaluations = one.Evaluations
                        Steps = one.Steps
                        Error = largestDistance (ReadOnlySpan<float> one.State) reference
                        Notes = "the faster of a run before ours and one after; one thread"
                }
            | _ -> None)

    theirs |> Array.iter (print settings)
    let summary text = print settings { line "ensemble" "summary" settings.Runs nan with Notes = text }

    if theirs.Length = 0 then
        summary "no SUNDIALS: it needs gcc and libsundials-dev"
    else
        let fastest = theirs |> Array.minBy _.Seconds

        for mine in ours do
            if mine.Error <= fastest.Error then
                summary
                    $"{mine.Variant} / {fastest.Variant} = {mine.Seconds / fastest.Seconds:f4} at error {mine.Error:e1} against {fastest.Error:e1}"

    if cores > 1 then
        summary $"{cores} threads are {ratio samples[0] samples[1]:f2} times as fast as one"
