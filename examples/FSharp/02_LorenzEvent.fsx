// The Lorenz attractor with events: upward crossings of the plane z = 27 (a Poincaré section), and an end as soon as z exceeds 45.
// The crossings are found again from the dense output.
#load "continuum.fsx"

open System
open Continuum

let lorenz =
    VectorField(fun _ y dydt ->
        dydt[0] <- 10.0 * (y[1] - y[0])
        dydt[1] <- y[0] * (28.0 - y[2]) - y[1]
        dydt[2] <- y[0] * y[1] - 8.0 / 3.0 * y[2])

/// An upward crossing of the plane z = level.
let plane level terminal : Event<float[]> = {
    Name = $"z = {level}"
    Condition = fun _ y -> y[2] - level
    Crossing = Rising
    Apply = ValueNone
    Terminal = terminal
    MaxOccurrences = Int32.MaxValue
}

let options = {
    SolveOptions.create 1e-10 1e-10 with
        SaveAt = DenseOutput
        Events = [| plane 27.0 false; plane 45.0 true |]
}

let solution = ArrayOde.solve Methods.Vern7 options lorenz 0.0 40.0 [| -8.0; 8.0; 27.0 |]
printfn $"{solution.Message}"

/// Zeros of g where it rises, by bisection on a grid.
let risingZeros (g: float -> float) (start: float) (finish: float) =
    let rec bisect low high =
        let middle = 0.5 * (low + high)

        if high - low <= 1e-13 * high || middle = low || middle = high then high
        elif g middle < 0.0 then bisect middle high
        else bisect low middle

    [|
        for i in 0 .. int ((finish - start) / 1e-3) do
            let low = start + 1e-3 * float i
            let high = min (low + 1e-3) finish

            if low < high && g low < 0.0 && g high >= 0.0 then
                yield bisect low high
    |]

let found = [|
    for o in solution.Occurrences do
        if o.Event = 0 then
            yield o.Time
|]

let dense = solution.Dense.Value
let again = risingZeros (fun t -> (dense.At t)[2] - 27.0) 0.0 solution.FinalTime
let z = solution.FinalState[2]

check
    (solution.Status = Status.Terminated && abs (z - 45.0) < 1e-9)
    $"lorenz: ended on z = {z:f9} at t = {solution.FinalTime:f4}"

check
    (found.Length = again.Length && found.Length > 0)
    $"lorenz: {found.Length} events, {again.Length} zeros of the dense output"

let worst = Array.map2 (fun a b -> abs (a - b)) found again |> Array.max
check (worst < 1e-7) $"lorenz: they agree within {worst:e1}"
