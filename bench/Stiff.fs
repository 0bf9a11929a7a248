/// The stiff test set: chemical kinetics, relaxation oscillators, a reaction-diffusion system.
/// Hairer and Wanner, Solving Ordinary Differential Equations II, IV.1 and IV.10; Mazzia and Magherini, Test set for initial value
/// problem solvers.
module Continuum.Bench.Stiff

open System
open Continuum
open Continuum.Bench.Nonstiff

let private problem name finish scale (initial: float[]) (field: VectorField) = {
    Name = name
    System = OdeSystem.OfField(field, initial.Length).WithoutTime()
    End = finish
    Initial = initial
    Scale = scale
}

/// van der Pol's oscillator, y2' = mu (1 - y1^2) y2 - y1.
let vanDerPol =
    problem
        "van der Pol"
        2000.0
        1e-3
        [| 2.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- y[1]
            dydt[1] <- 1000.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]))

/// Robertson's autocatalytic reactions.
let robertson =
    problem
        "Robertson"
        1e5
        1e-6
        [| 1.0; 0.0; 0.0 |]
        (VectorField(fun _ y dydt ->
            let a = 0.04 * y[0]
            let b = 1e4 * y[1] * y[2]
            let c = 3e7 * y[1] * y[1]
            dydt[0] <- b - a
            dydt[1] <- a - b - c
            dydt[2] <- c))

/// HIRES, high irradiance responses of photomorphogenesis (Schaefer 1975).
let hires =
    problem
        "HIRES"
        321.8122
        1e-3
        [| 1.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0; 0.0057 |]
        (VectorField(fun _ y dydt ->
            let a = 280.0 * y[5] * y[7]
            dydt[0] <- -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007
            dydt[1] <- 1.71 * y[0] - 8.75 * y[1]
            dydt[2] <- -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4]
            dydt[3] <- 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3]
            dydt[4] <- -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6]
            dydt[5] <- -a + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6]
            dydt[6] <- a - 1.81 * y[6]
            dydt[7] <- -a + 1.81 * y[6]))

/// The Oregonator, a model of the Belousov-Zhabotinskii reaction (Field and Noyes 1974).
let oregonator =
    problem
        "Oregonator"
        360.0
        1e-3
        [| 1.0; 2.0; 3.0 |]
        (VectorField(fun _ y dydt ->
            dydt[0] <- 77.27 * (y[1] + y[0] * (1.0 - 8.375e-6 * y[0] - y[1]))
            dydt[1] <- (y[2] - (1.0 + y[0]) * y[1]) / 77.27
            dydt[2] <- 0.161 * (y[0] - y[2])))

/// The Brusselator with diffusion in one dimension, alpha = 1/50, on n points: u, v interleaved, so that the Jacobian has a band of
/// 2 on both sides (Hairer and Wanner II, IV.10).
let brusselator =
    let n = 100
    let diffusion = 0.02 * float ((n + 1) * (n + 1))

    let start =
        Array.init (2 * n) (fun j ->
            let x = float (j / 2 + 1) / float (n + 1)
            if j % 2 = 0 then 1.0 + sin (2.0 * Math.PI * x) else 3.0)

    let made =
        problem
            "Brusselator, 200"
            10.0
            1.0
            start
            (VectorField(fun _ y dydt ->
                for i in 0 .. n - 1 do
                    let u, v = y[2 * i], y[2 * i + 1]
                    let uLeft = if i = 0 then 1.0 else y[2 * i - 2]
                    let vLeft = if i = 0 then 3.0 else y[2 * i - 1]
                    let uRight = if i = n - 1 then 1.0 else y[2 * i + 2]
                    let vRight = if i = n - 1 then 3.0 else y[2 * i + 3]
                    let reaction = u * u * v
                    dydt[2 * i] <- 1.0 + reaction - 4.0 * u + diffusion * (uLeft - 2.0 * u + uRight)
                    dydt[2 * i + 1] <- 3.0 * u - reaction + diffusion * (vLeft - 2.0 * v + vRight)))

    { made with System = made.System.WithBand(2, 2) }

let problems = [| vanDerPol; robertson; hires; oregonator; brusselator |]
