/// The non-stiff test set of Hull, Enright, Fellen and Sedgwick 1972 (Comparing numerical methods for ordinary differential
/// equations, SIAM J. Numer. Anal. 9), classes A to E, from t = 0 to 20.
module Continuum.Bench.Nonstiff

open System
open Continuum

/// A problem of a work-precision set.
type Problem = {
    Name: string
    System: OdeSystem
    End: float
    Initial: float[]
    /// The absolute tolerance as a multiple of the relative one: the size of a component that matters.
    Scale: float
}

let private problem name (initial: float[]) (field: VectorField) = {
    Name = name
    System = OdeSystem.OfField(field, initial.Length)
    End = 20.0
    Initial = initial
    Scale = 1.0
}

let private single name start (f: float -> float -> float) =
    problem name [| start |] (VectorField(fun t y dydt -> dydt[0] <- f t y[0]))

/// Radioactive decay chain: rate(i) from component i to i + 1, the last one stable.
let private chain name (rate: int -> float) =
    let n = 10
    let rates = Array.init (n - 1) rate

    problem
        name
        (Array.init n (fun i -> if i = 0 then 1.0 else 0.0))
        (VectorField(fun _ y dydt ->
            dydt[0] <- -rates[0] * y[0]

            for i in 1 .. n - 2 do
                dydt[i] <- rates[i - 1] * y[i - 1] - rates[i] * y[i]

            dydt[n - 1] <- rates[n - 2] * y[n - 2]))

/// The heat equation on n points.
let private parabolic name n =
    problem
        name
        (Array.init n (fun i -> if i = 0 then 1.0 else 0.0))
        (VectorField(fun _ y dydt ->
            for i in 0 .. n - 1 do
                let left = if i > 0 then y[i - 1] else 0.0
                let right = if i < n - 1 then y[i + 1] else 0.0
                dydt[i] <- left - 2.0 * y[i] + right))

/// Two bodies, eccentricity e.
let private orbit name e =
    problem
        name
        [| 1.0 - e; 0.0; 0.0; sqrt ((1.0 + e) / (1.0 - e)) |]
        (VectorField(fun _ y dydt ->
            let r2 = y[0] * y[0] + y[1] * y[1]
            let r3 = r2 * sqrt r2
            dydt[0] <- y[2]
            dydt[1] <- y[3]
            dydt[2] <- -y[0] / r3
            dydt[3] <- -y[1] / r3))

/// Five outer planets around the sun: positions, then velocities.
let private planets =
    let k2 = 2.95912208286
    let sun = 1.00000597682

    let masses = [|
        0.000954786104043
        0.000285583733151
        0.0000437273164546
        0.0000517759138449
        0.00000277777777778
    |]

    let start = [|
        3.42947415189
        3.35386959711
        1.35494901715
        6.64145542550
        5.97156957878
        2.18231499728
        11.2630437207
        14.6952576794
        6.27960525067
        -30.1552268759
        1.65699966404
        1.43785752721
        -21.1238353380
        28.4465098142
        15.388265967
        -0.557160570446
        0.505696783289
        0.230578543901
        -0.415570776342
        0.365682722812
        0.169143213293
        -0.325325669158
        0.189706021964
        0.0877265322780
        -0.0240476254170
        -0.287659532608
        -0.117219543175
        -0.176860753121
        -0.216393453025
        -0.0148647893090
    |]

    problem
        "C5"
        start
        (VectorField(fun _ y dydt ->
            let cubes = Array.zeroCreate<float> 5

            for b in 0..4 do
                let x, z, w = y[3 * b], y[3 * b + 1], y[3 * b + 2]
                let r2 = x * x + z * z + w * w
                cubes[b] <- r2 * sqrt r2

            for b in 0..4 do
                for axis in 0..2 do
                    dydt[3 * b + axis] <- y[15 + 3 * b + axis]
                    dydt[15 + 3 * b + axis] <- -(sun + masses[b]) * y[3 * b + axis] / cubes[b]

                for other in 0..4 do
                    if other <> b then
                        let mutable d2 = 0.0

                        for axis in 0..2 do
                            let d = y[3 * other + axis] - y[3 * b + axis]
                            d2 <- d2 + d * d

                        let d3 = d2 * sqrt d2

                        for axis in 0..2 do
                            let d = y[3 * other + axis] - y[3 * b + axis]

                            dydt[15 + 3 * b + axis] <-
                                dydt[15 + 3 * b + axis] + masses[other] * (d / d3 - y[3 * other + axis] / cubes[other])

                for axis in 0..2 do
                    dydt[15 + 3 * b + axis] <- k2 * dydt[15 + 3 * b + axis]))

/// All 25 problems.
let problems = [|
    single "A1" 1.0 (fun _ y -> -y)
    single "A2" 1.0 (fun _ y -> -y * y * y / 2.0)
    single "A3" 1.0 (fun t y -> y * cos t)
    single "A4" 1.0 (fun _ y -> y / 4.0 * (1.0 - y / 20.0))
    single "A5" 4.0 (fun t y -> (y - t) / (y + t))
    problem
        "B1"
        [| 1.0; 3.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- 2.0 * (y[0] - y[0] * y[1])
            dydt[1] <- -(y[1] - y[0] * y[1])))
    problem
        "B2"
        [| 2.0; 0.0; 1.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- -y[0] + y[1]
            dydt[1] <- y[0] - 2.0 * y[1] + y[2]
            dydt[2] <- y[1] - y[2]))
    problem
        "B3"
        [| 1.0; 0.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- -y[0]
            dydt[1] <- y[0] - y[1] * y[1]
            dydt[2] <- y[1] * y[1]))
    problem
        "B4"
        [| 3.0; 0.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            let a = sqrt (y[0] * y[0] + y[1] * y[1])
            dydt[0] <- -y[1] - y[0] * y[2] / a
            dydt[1] <- y[0] - y[1] * y[2] / a
            dydt[2] <- y[0] / a))
    problem
        "B5"
        [| 0.0; 1.0; 1.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- y[1] * y[2]
            dydt[1] <- -y[0] * y[2]
            dydt[2] <- -0.51 * y[0] * y[1]))
    chain "C1" (fun _ -> 1.0)
    chain "C2" (fun i -> float (i + 1))
    parabolic "C3" 10
    parabolic "C4" 51
    planets
    orbit "D1" 0.1
    orbit "D2" 0.3
    orbit "D3" 0.5
    orbit "D4" 0.7
    orbit "D5" 0.9
    problem
        "E1"
        [| 0.671396707141803; 0.0954005144474744 |]
        (VectorField(fun t y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- -(y[1] / (t + 1.0) + (1.0 - 0.25 / ((t + 1.0) * (t + 1.0))) * y[0])))
    problem
        "E2"
        [| 2.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- (1.0 - y[0] * y[0]) * y[1] - y[0]))
    problem
        "E3"
        [| 0.0; 0.0 |]
        (VectorField(fun t y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- y[0] * y[0] * y[0] / 6.0 - y[0] + 2.0 * sin (2.78535 * t)))
    problem
        "E4"
        [| 30.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- 0.32 - 0.4 * y[1] * y[1]))
    problem
        "E5"
        [| 0.0; 0.0 |]
        (VectorField(fun t y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- sqrt (1.0 + y[1] * y[1]) / (25.0 - t)))
|]
