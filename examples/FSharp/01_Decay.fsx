// Radioactive decay, y' = -k y: the first solve, compared with its closed form.
#load "continuum.fsx"

open System
open Continuum

let k = 0.5
let field = VectorField(fun _ y dydt -> dydt[0] <- -k * y[0])

let options = {
    SolveOptions.create 1e-8 1e-10 with
        SaveAt = Times [| 0.0; 2.0; 4.0; 6.0; 8.0; 10.0 |]
}

let solution = ArrayOde.solve Methods.Tsit5 options field 0.0 10.0 [| 100.0 |]
let mutable worst = 0.0

for i in 0 .. solution.Times.Length - 1 do
    let exact = 100.0 * exp (-k * solution.Times[i])
    worst <- max worst (abs (solution.States[i][0] - exact) / exact)
    printfn $"t = {solution.Times[i], 4}   y = {solution.States[i][0]:f8}   exact = {exact:f8}"

check (worst < 1e-7) $"decay: largest relative error {worst:e1} in {solution.Statistics.Accepted} steps"
