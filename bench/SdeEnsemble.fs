/// A hundred thousand paths of geometric Brownian motion, beside loops written by hand over the same increments.
module Continuum.Bench.SdeEnsemble

#nowarn "3535" "3536"

open System
open System.Runtime.Intrinsics
open Continuum
open Continuum.Bench.Measure

module private Equation =
    open RealOperators

    /// dy = p0 y dt + p1 y dW.
    [<Struct>]
    type Geometric =
        interface IGenericSde with
            member _.Size = 1
            member _.NoiseSize = 1
            member _.ParameterCount = 2
            member _.Drift(_, y, p, dest) = dest[0] <- p[0] * y[0]
            member _.Diffusion(_, y, p, dest) = dest[0] <- p[1] * y[0]

let private count = 100_000
let private steps = 100
let private mu = 0.05
let private sigma = 0.2
let private h = 1.0 / float steps
let private equation = GenericSde.scalar<Ito, _> [| mu; sigma |] (Equation.Geometric())

let private spec level = { BrownianSpec.fixedSteps 0.0 1.0 steps 1 1UL with Level = level }

let private vector (x: float) = Vector512.Create x

/// Calls body for every eight paths with their increments, 8 doubles for each step; returns the sum of what it returns.
let private overPaths (level: LevyLevel) (body: Lanes[] -> Lanes[] -> float) : float =
    let lanes = BrownianLanes(spec level, 0L)
    let w: Lanes[] = Array.zeroCreate steps
    let area: Lanes[] = Array.zeroCreate steps
    let hasArea = level <> LevyLevel.Increments
    let mutable sum = 0.0

    for first in 0..8 .. count - 1 do
        lanes.Restart(int64 first)

        for k in 0 .. steps - 1 do
            lanes.Cell(k, Span(w, k, 1), (if hasArea then Span(area, k, 1) else Span.Empty))

        sum <- sum + body w area

    sum

let private total (y: Vector512<float>) = Vector512.Sum y

let private eulerLanes (w: Lanes[]) (_: Lanes[]) =
    let mutable y = vector 1.0

    for k in 0 .. steps - 1 do
        y <- y + vector h * (vector mu * y) + vector sigma * y * w[k].Value

    total y

let private eulerScalar (w: Lanes[]) (_: Lanes[]) =
    let mutable sum = 0.0

    for lane in 0..7 do
        let mutable y = 1.0

        for k in 0 .. steps - 1 do
            y <- y + h * (mu * y) + sigma * y * w[k].[lane]

        sum <- sum + y

    sum

let private milsteinLanes (w: Lanes[]) (_: Lanes[]) =
    let mutable y = vector 1.0

    for k in 0 .. steps - 1 do
        let dw = w[k].Value
        let g = vector sigma * y
        y <- y + vector h * (vector mu * y) + vector sigma * g * (vector 0.5 * (dw * dw - vector h)) + g * dw

    total y

let private milsteinScalar (w: Lanes[]) (_: Lanes[]) =
    let mutable sum = 0.0

    for lane in 0..7 do
        let mutable y = 1.0

        for k in 0 .. steps - 1 do
            let dw = w[k].[lane]
            let g = sigma * y
            y <- y + h * (mu * y) + sigma * g * (0.5 * (dw * dw - h)) + g * dw

        sum <- sum + y

    sum

let private root = sqrt h

let private srid2Lanes (w: Lanes[]) (area: Lanes[]) =
    let mutable y = vector 1.0
    let inline v (x: float) = vector x

    for k in 0 .. steps - 1 do
        let dw = w[k].Value
        let a = area[k].Value
        let q = (dw * dw - v h) * v (0.5 / root)
        let c = dw * (dw * dw - v (3.0 * h)) * v (1.0 / (6.0 * h))
        let f0 = v mu * y
        let g0 = v sigma * y
        let g1 = v sigma * (y + v (0.25 * h) * f0 - v (0.5 * root) * g0)
        let f2 = v mu * (y + v h * f0)
        let g3 = v sigma * (y + v h * f0 + v root * g0)
        let half = v 0.5 * dw + a
        let f4 = v mu * (y + v (0.25 * h) * (f0 + f2) + g0 * half + v 0.5 * g1 * half)
        let g5 = v sigma * (y + v (0.25 * h) * f4 + v root * (v 2.0 * g0 - g1 + v 0.5 * g3))

        y <-
            y
            + v (h / 6.0) * (f0 + f2 + v 4.0 * f4)
            + g0 * (v 2.0 * a + q - v 2.0 * c)
            + g1 * (v (2.0 / 3.0) * dw - v (4.0 / 3.0) * (a + q) + v (5.0 / 3.0) * c)
            + g3 * (v (1.0 / 3.0) * (dw + q) - v (2.0 / 3.0) * (a + c))
            + g5 * c

    total y

let private srid2Scalar (w: Lanes[]) (area: Lanes[]) =
    let mutable sum = 0.0

    for lane in 0..7 do
        let mutable y = 1.0

        for k in 0 .. steps - 1 do
            let dw = w[k].[lane]
            let a = area[k].[lane]
            let q = (dw * dw - h) * (0.5 / root)
            let c = dw * (dw * dw - 3.0 * h) * (1.0 / (6.0 * h))
            let f0 = mu * y
            let g0 = sigma * y
            let g1 = sigma * (y + 0.25 * h * f0 - 0.5 * root * g0)
            let f2 = mu * (y + h * f0)
            let g3 = sigma * (y + h * f0 + root * g0)
            let half = 0.5 * dw + a
            let f4 = mu * (y + 0.25 * h * (f0 + f2) + g0 * half + 0.5 * g1 * half)
            let g5 = sigma * (y + 0.25 * h * f4 + root * (2.0 * g0 - g1 + 0.5 * g3))

            y <-
                y
                + h / 6.0 * (f0 + f2 + 4.0 * f4)
                + g0 * (2.0 * a + q - 2.0 * c)
                + g1 * (2.0 / 3.0 * dw - 4.0 / 3.0 * (a + q) + 5.0 / 3.0 * c)
                + g3 * (1.0 / 3.0 * (dw + q) - 2.0 / 3.0 * (a + c))
                + g5 * c

        sum <- sum + y

    sum

let private problem = SdeEnsemble.from [| 1.0 |] count 0.0 1.0
let private options = ArraySdeOptions.fixedSteps h

let private ensemble threads keep (method: SdeMethod<Ito, ScalarNoise>) level =
    SdeEnsemble.solve
        options
        { SdeEnsembleOptions.Default with Threads = threads; Keep = keep }
        method
        equation
        (spec level)
        problem

let private singleSteps = 10_000

/// One path with many steps through the loop for single solves.
let private single (method: SdeMethod<Ito, ScalarNoise>) level =
    let spec = { spec level with Cells = singleSteps }
    let options = ArraySdeOptions.fixedSteps (1.0 / float singleSteps)
    ArraySde.solve options method equation (BrownianPath spec) 0.0 1.0 [| 1.0 |]

let run (settings: Settings) =
    let pathSteps = float count * float steps

    let one (name: string) (method: SdeMethod<Ito, ScalarNoise>) level lanes scalar =
        let variants = [|
            "ensemble", (fun () -> ensemble 1 SdeKeep.Samples method level |> ignore)
            "lane loop by hand", (fun () -> overPaths level lanes |> ignore)
            "scalar loop by hand", (fun () -> overPaths level scalar |> ignore)
            "draws alone", (fun () -> overPaths level (fun _ _ -> 0.0) |> ignore)
            "single solve", (fun () -> single method level |> ignore)
        |]

        let samples = sampleTogether settings.Runs (Array.map snd variants)
        let mean = (ensemble 1 SdeKeep.Samples method level).Final.Statistics.Mean[0]
        let byHand = overPaths level lanes / float count

        for i in 0 .. variants.Length - 1 do
            let work = if i = 4 then float singleSteps else pathSteps

            print settings {
                line "sde_ensemble" $"{name} {fst variants[i]}" settings.Runs (median samples[i].Wall) with
                    Steps = int work
                    Error = if i = 0 then abs (mean - byHand) else nan
                    Overhead = cpuRatio samples[i] samples[1] * pathSteps / work
                    Allocated = if i = 0 || i = 4 then allocated (snd variants[i]) else -1L
                    Notes =
                        $"{1e9 * median samples[i].Cpu / work:f2} ns of processor time a step of a path; overhead against the lane loop"
            }

    one "euler" SdeMethods.eulerMaruyama LevyLevel.Increments eulerLanes eulerScalar
    one "milstein" SdeMethods.milstein LevyLevel.Increments milsteinLanes milsteinScalar
    one "srid2" SdeMethods.srid2 LevyLevel.SpaceTime srid2Lanes srid2Scalar
    let cores = Environment.ProcessorCount

    let on threads () = ensemble threads SdeKeep.Moments SdeMethods.srid2 LevyLevel.SpaceTime |> ignore

    let samples = sampleTogether settings.Runs [| on 1; on cores |]

    print settings {
        line "sde_ensemble" "summary" settings.Runs nan with
            Notes = $"{cores} threads are {ratio samples[0] samples[1]:f2} times as fast as one (SRID2, moments)"
    }
