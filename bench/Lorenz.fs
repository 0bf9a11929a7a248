/// Lorenz's equations on arrays, beside SUNDIALS.
module Continuum.Bench.Lorenz

open System
open Continuum
open Continuum.Bench.Measure

/// The field as a struct: the solver's loops are compiled for it.
[<Struct>]
type LorenzField =
    interface IField<float[], float> with
        member _.Eval(_, y, dydt) =
            dydt[0] <- 10.0 * (y[1] - y[0])
            dydt[1] <- y[0] * (28.0 - y[2]) - y[1]
            dydt[2] <- y[0] * y[1] - 8.0 / 3.0 * y[2]
            dydt

let private delegate' =
    VectorField(fun _ y dydt ->
        dydt[0] <- 10.0 * (y[1] - y[0])
        dydt[1] <- y[0] * (28.0 - y[2]) - y[1]
        dydt[2] <- y[0] * y[1] - 8.0 / 3.0 * y[2])

let private reference = [| -4.902687541134645731903939; -3.743872921802919616315412; 24.69085810279055545321682 |]

let private errorOf (y: float[]) = sqrt (Array.fold2 (fun s a b -> s + (a - b) * (a - b)) 0.0 y reference)

let run (settings: Settings) =
    let options: SolveOptions<float[]> = SolveOptions.create 1e-8 1e-8
    let y0 = [| 1.0; 1.0; 1.0 |]

    let methods = [| Methods.Tsit5; Methods.Dopri5; Methods.Dop853; Methods.Vern7 |]

    let variants = [|
        for method in methods do
            let name = method.Name.ToLowerInvariant()
            $"{name}", fun t -> ArrayOde.solveField method options (LorenzField()) 0.0 t y0
            $"{name} delegate", fun t -> ArrayOde.solve method options delegate' 0.0 t y0
    |]

    let peers = [| "dopri5"; "fehlberg78"; "adams" |]

    let ask () = peers |> Array.map (fun method -> Sundials.solve "lorenz" method 1e-8 1e-8 settings.Runs)
    let before = ask ()

    let samples =
        sampleTogether settings.Runs (variants |> Array.map (fun (_, solve) -> fun () -> solve 10.0 |> ignore))

    let after = ask ()

    let ours =
        Array.map2
            (fun (name, solve) (times: Series) ->
                let solution: Solution<float[]> = solve 10.0
                let short = allocated (fun () -> solve 10.0 |> ignore)
                let long = allocated (fun () -> solve 100.0 |> ignore)
                let statistics = solution.Statistics

                {
                    line "lorenz" name settings.Runs (median times.Wall) with
                        Evaluations = statistics.Evaluations
                        Steps = statistics.Accepted
                        Rejected = statistics.Rejected
                        Error = errorOf solution.FinalState
                        Allocated = short
                        Notes =
                            $"{1e9 * median times.Wall / float (statistics.Accepted + statistics.Rejected):f0} ns a step; "
                            + $"{1e3 * median times.Cpu:f4} ms of processor time; t to 100 allocates {long} bytes"
                })
            variants
            samples

    let theirs =
        Array.map3
            (fun name first second ->
                match first, second with
                | ValueSome(one: Sundials.Outcome), ValueSome(two: Sundials.Outcome) ->
                    ValueSome {
                        line "lorenz" $"sundials {name}" settings.Runs (Math.Min(one.Seconds, two.Seconds)) with
                            Evaluations = one.Evaluations
                            Steps = one.Steps
                            Error = errorOf one.State
                            Notes =
                                "the faster of a run before ours and one after; "
                                + $"{1e3 * Math.Min(one.Cpu, two.Cpu):f4} ms of processor time"
                    }
                | _ -> ValueNone)
            peers
            before
            after
        |> Array.filter _.IsSome
        |> Array.map _.Value

    for line in Array.append ours theirs do
        print settings line

    if theirs.Length = 0 then
        print settings {
            line "lorenz" "summary" settings.Runs nan with
                Notes = "no SUNDIALS: it needs gcc and libsundials-dev"
        }
    else
        let fastest = theirs |> Array.minBy _.Seconds

        let fastestCpu =
            Array.append before after
            |> Array.choose (fun outcome ->
                match outcome with
                | ValueSome(outcome: Sundials.Outcome) -> Some outcome.Cpu
                | ValueNone -> None)
            |> Array.min

        for mine, times in Array.zip ours samples do
            if mine.Error <= fastest.Error then
                print settings {
                    line "lorenz" "summary" settings.Runs nan with
                        Notes =
                            $"{mine.Variant} / {fastest.Variant} = {mine.Seconds / fastest.Seconds:f3} at error {mine.Error:e1} against {fastest.Error:e1}; "
                            + $"by processor time {median times.Cpu / fastestCpu:f3}"
                }
