/// Stochastic equations on arrays: closed forms, orders, single solves, agreement with tensors, misuse.
module SdeArrayTests

open System
open Continuum
open Continuum.Properties
open Expecto
open SdeArrayProblems
open SdeArrayProblems.Equations
open TorchSharp

// ------------------------------------------------------------------------------------------------------------------ order

let private exactGeometric (spec: BrownianSpec) (y0: float[]) (number: int64) =
    let w = BrownianPath(spec, number).Value 1.0
    let drift = [| 0.3; -0.5 |]
    let noise = [| 0.7; 0.5 |]
    Array.init 2 (fun c -> y0[c] * exp (drift[c] - 0.5 * noise[c] * noise[c] + noise[c] * w[c]))

let private order (method: SdeMethod<Ito, DiagonalNoise>) =
    test $"{method.Name} has its strong order against the closed form" {
        let spec = {
            BrownianSpec.fixedSteps 0.0 1.0 8 2 3UL with
                Level = method.Level NoiseKind.Diagonal
        }

        let y0 = [| 1.0; 0.8 |]

        SdeEnsembleLaws.strongConvergence method geometric spec (paths 512 y0) (exactGeometric spec y0) [|
            8
            16
            32
            64
        |]
        |> holds
    }

let private orders =
    testList "strong order" [
        order SdeMethods.eulerMaruyama
        order SdeMethods.milstein
        order SdeMethods.milsteinFree
        order SdeMethods.srid2
        order SdeMethods.driftImplicitEuler

        test "non-commutative noise with Levy area: Milstein and its free form agree to order 1" {
            let spec = {
                BrownianSpec.fixedSteps 0.0 1.0 8 3 5UL with
                    Level = LevyLevel.Area
                    LeafDepth = ValueSome 8
            }

            let y0 = [| 1.0; 0.5 |]
            let fine = ArraySdeOptions.fixedSteps (1.0 / 1024.0)

            let reference = SdeEnsemble.solve fine one SdeMethods.milstein (swirl ()) spec (paths 128 y0)

            let exact (i: int64) = reference.FinalState(int i)

            SdeEnsembleLaws.strongConvergence SdeMethods.milstein (swirl ()) spec (paths 128 y0) exact [|
                8
                16
                32
                64
            |]
            |> holds

            SdeEnsembleLaws.strongConvergence SdeMethods.milsteinFree (swirl ()) spec (paths 128 y0) exact [|
                8
                16
                32
                64
            |]
            |> holds
        }
    ]

// -------------------------------------------------------------------------------------------------------------- one solve

let private singles =
    testList "single solve" [
        test "Ito's circle stays near its radius and gets nearer with SRID2" {
            let distance n =
                let solution = SdeEnsemble.simulate (steps n) one SdeMethods.srid2 circle 3UL (paths 64 [| 1.0; 0.0 |])

                let radii =
                    Array.map2
                        (fun x y -> sqrt (x * x + y * y))
                        (solution.Final.Component 0)
                        (solution.Final.Component 1)

                sqrt (radii |> Array.averageBy (fun r -> (r - 1.0) * (r - 1.0)))

            let coarse, fine = distance 8, distance 64
            Expect.isLessThan fine (coarse / 12.0) $"distances to the circle {coarse:e2}, then {fine:e2}"
        }

        test "adaptive steps follow the closed form along the same path" {
            let options = ArraySdeOptions.adaptive 1e-4 1e-4
            let spec = specOf options SdeMethods.srid2 geometric
            let y0 = [| 1.0; 0.8 |]

            for number in 0L .. 9L do
                let solution = ArraySde.solve options SdeMethods.srid2 geometric (BrownianPath(spec, number)) 0.0 1.0 y0
                let exact = exactGeometric spec y0 number
                Expect.equal solution.Status Status.Success solution.Message

                for c in 0..1 do
                    Expect.isLessThan
                        (abs (solution.FinalState[c] - exact[c]))
                        2e-3
                        $"path {number}, component {c}: {solution.FinalState[c]} against {exact[c]} in {solution.Statistics.Accepted} steps"
        }

        test "values between steps are the method's own and leave the others as they are" {
            let options = steps 8
            let spec = specOf options SdeMethods.milstein price

            let solve save =
                ArraySde.solve { options with SaveAt = save } SdeMethods.milstein price (BrownianPath(spec, 4L)) 0.0 1.0 [|
                    1.0
                |]

            let times = [| 0.0; 0.1; 0.5; 0.9; 1.0 |]
            let saved = solve (Times times)
            let all = solve EverySteps
            Expect.equal saved.Times times "times"
            Expect.equal saved.States[2] all.States[4] "a time on the grid"
            Expect.equal saved.FinalState all.FinalState "the end"
            let w = Array.zeroCreate 1
            BrownianPath(spec, 4L).Increment(0.0, 0.1, Span w)
            let y = 1.0 + 0.1 * 0.05 + 0.4 * 0.4 * 0.5 * (w[0] * w[0] - 0.1) + 0.4 * w[0]
            Expect.floatClose Accuracy.high saved.States[1].[0] y "a time within the first step"
        }

        test "Ito on arrays runs backward along the same path" {
            let options = steps 64
            let spec = specOf options SdeMethods.eulerMaruyama price

            let solution =
                ArraySde.solve options SdeMethods.eulerMaruyama price (BrownianPath spec) 1.0 0.0 [| 1.0 |]

            let mutable y = 1.0
            let w = Array.zeroCreate 1

            for k in 64..-1..1 do
                BrownianPath(spec).Increment(float k / 64.0, float (k - 1) / 64.0, Span w)
                y <- y - 0.05 / 64.0 * y + 0.4 * y * w[0]

            Expect.floatClose Accuracy.high solution.FinalState[0] y "state at the start"
        }

        test "delegates give the bits of the generic equation" {
            let delegates =
                DelegateSde.scalar<Ito>
                    1
                    (VectorField(fun _ y dest -> dest[0] <- 0.05 * y[0]))
                    (VectorField(fun _ y dest -> dest[0] <- 0.4 * y[0]))

            for method in [ SdeMethods.eulerMaruyama; SdeMethods.milsteinFree; SdeMethods.srid2 ] do
                let a = ArraySde.simulate (steps 50) method delegates 11UL 0.0 1.0 [| 1.0 |]
                let b = ArraySde.simulate (steps 50) method price 11UL 0.0 1.0 [| 1.0 |]
                Expect.equal a.FinalState b.FinalState method.Name

            let stiff = ArraySde.simulate (steps 50) SdeMethods.driftImplicitEuler delegates 11UL 0.0 1.0 [| 1.0 |]
            let exact = ArraySde.simulate (steps 50) SdeMethods.driftImplicitEuler price 11UL 0.0 1.0 [| 1.0 |]

            Expect.floatClose
                Accuracy.high
                stiff.FinalState[0]
                exact.FinalState[0]
                "drift-implicit, Jacobian by differences"
        }

        test "the drift-implicit method takes steps that the stiff drift allows no other" {
            let stiff = GenericSde.additive<Ito, _> [| 1e6; 2.0; 1.0 |] (MeanReverting())
            let implicit = ArraySde.simulate (steps 20) SdeMethods.driftImplicitEuler stiff 1UL 0.0 1.0 [| 0.0 |]
            let explicit = ArraySde.simulate (steps 20) SdeMethods.eulerMaruyama stiff 1UL 0.0 1.0 [| 0.0 |]
            Expect.isLessThan (abs (implicit.FinalState[0] - 2.0)) 0.01 $"implicit {implicit.FinalState[0]}"
            Expect.isTrue (not (abs explicit.FinalState[0] < 1e6)) $"explicit {explicit.FinalState[0]}"
        }
    ]

// ---------------------------------------------------------------------------------------------------------------- tensors

let private close (method: string) (tensor: Tensor) (array: SdeEnsembleSolution) =
    let expected = Tensors.toArray tensor
    let actual = array.FinalStates.ToArray()

    let worst = Array.map2 (fun (a: float) b -> abs (a - b) / (1.0 + abs b)) actual expected |> Array.max

    Expect.isLessThan worst 1e-12 $"{method}: largest relative difference to tensors {worst:e2}"

let private tensors =
    testList "tensors" [
        test "equal seeds and path numbers give equal solutions on arrays and tensors" {
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let batch = 20
            let options = TensorSdeOptions.fixedSteps 0.125

            let row (values: float[]) = Tensors.vector values

            let onTensors (method: SdeMethod<'C, 'N>) (sde: Sde<'C, 'N>) (y0: float[]) =
                let y = (row y0).expand(int64 batch, int64 y0.Length).contiguous()
                (TensorSde.simulate options method sde 7UL 0.0 1.0 y).Final

            let onArrays (method: SdeMethod<'C, 'N>) (sde: ArraySde<'C, 'N>) (y0: float[]) =
                SdeEnsemble.simulate (ArraySdeOptions.fixedSteps 0.125) one method sde 7UL (paths batch y0)

            let diagonal =
                Sde.diagonal<Ito> [] (fun _ y -> y.mul (row [| 0.3; -0.5 |])) (fun _ y -> y.mul (row [| 0.7; 0.5 |]))

            for method in
                [
                    SdeMethods.eulerMaruyama
                    SdeMethods.milstein
                    SdeMethods.milsteinFree
                    SdeMethods.srid2
                    SdeMethods.driftImplicitEuler
                ] do
                close method.Name (onTensors method diagonal [| 1.0; 0.8 |]) (onArrays method geometric [| 1.0; 0.8 |])

            let swirlOnTensors () =
                Sde.general<'C>
                    3
                    []
                    (fun t y ->
                        let a, b = y.select (-1L, 0L), y.select (-1L, 1L)
                        let first = t.sin().sub(a.mul (0.4.ToScalar()))
                        torch.stack ([| first; a.mul(b).div(b.mul(b).add(1.0.ToScalar())) |], -1L))
                    (fun t y ->
                        let a, b = y.select (-1L, 0L), y.select (-1L, 1L)
                        let times (x: float) (v: Tensor) = v.mul (x.ToScalar())
                        let last = times 0.1 (t.mul(t).add(1.0.ToScalar()))

                        let entries = [|
                            times 0.2 (b.cos ())
                            times 0.4 a
                            times 0.1 b
                            times 0.1 (a.mul b)
                            times 0.3 (a.tanh ())
                            last.expand_as a
                        |]

                        let flat = torch.stack (entries, -1L)
                        flat.reshape ([| int64 batch; 2L; 3L |]))

            let y0 = [| 1.0; 0.5 |]

            for method in [ SdeMethods.milstein; SdeMethods.milsteinFree ] do
                close method.Name (onTensors method (swirlOnTensors ()) y0) (onArrays method (swirl ()) y0)

            for method in [ SdeMethods.logOde; SdeMethods.spark; SdeMethods.slowRk ] do
                close method.Name (onTensors method (swirlOnTensors ()) y0) (onArrays method (swirl ()) y0)
        }
    ]

// ----------------------------------------------------------------------------------------------------------------- misuse

let private misuse =
    testList "misuse" [
        test "sizes that do not fit are named with both numbers" {
            let solve (sde: ArraySde<Ito, DiagonalNoise>) (dimension: int) (y0: float[]) () =
                let path = BrownianPath(BrownianSpec.fixedSteps 0.0 1.0 10 dimension 1UL)
                ArraySde.solve (steps 10) SdeMethods.eulerMaruyama sde path 0.0 1.0 y0 |> ignore

            refuses "state" [ "has 3 components"; "has 2" ] (solve geometric 2 [| 1.0; 2.0; 3.0 |])
            refuses "noise" [ "2 Brownian motions"; "the path has 3" ] (solve geometric 3 [| 1.0; 2.0 |])

            refuses "parameters" [ "4 parameters"; "got 1" ] (fun () ->
                GenericSde.diagonal<Ito, _> [| 1.0 |] (Geometric()) |> ignore)

            refuses "diagonal" [ "must be Size, 2"; "it is 3" ] (fun () ->
                GenericSde.diagonal<Ito, _> [| 1.0 |] (Swirl()) |> ignore)

            refuses "scalar" [ "must be 1"; "it is 3" ] (fun () ->
                GenericSde.scalar<Ito, _> [| 1.0 |] (Swirl()) |> ignore)

            refuses "level" [ "needs a path of level SpaceTime"; "level Increments" ] (fun () ->
                let path = BrownianPath(BrownianSpec.fixedSteps 0.0 1.0 10 1 1UL)
                ArraySde.solve (steps 10) SdeMethods.srid2 price path 0.0 1.0 [| 1.0 |] |> ignore)

            refuses "span" [ "[0, 2]"; "[0, 1]" ] (fun () ->
                let path = BrownianPath(BrownianSpec.fixedSteps 0.0 1.0 10 1 1UL)
                ArraySde.solve (steps 10) SdeMethods.eulerMaruyama price path 0.0 2.0 [| 1.0 |] |> ignore)
        }

        test "options that contradict themselves" {
            let run options problem () =
                SdeEnsemble.simulate options one SdeMethods.eulerMaruyama price 1UL problem |> ignore

            let problem = paths 10 [| 1.0 |]
            refuses "step" [ "-0.1" ] (run (ArraySdeOptions.fixedSteps -0.1) problem)
            refuses "count" [ "Count is 0" ] (run (steps 4) { problem with Count = 0 })
            refuses "initial" [ "got 3 for 10" ] (run (steps 4) { problem with Initial = Array.create 3 [| 1.0 |] })

            refuses
                "parameters"
                [ "got 4 for 10" ]
                (run (steps 4) { problem with Parameters = Array.create 4 [| 1.0; 1.0 |] })

            refuses
                "parameter set"
                [ "has 1 entries"; "reads 2" ]
                (run (steps 4) { problem with Parameters = [| [| 1.0 |] |] })

            refuses
                "state"
                [ "Initial state 0 has 2"; "has 1" ]
                (run (steps 4) { problem with Initial = [| [| 1.0; 1.0 |] |] })

            refuses "dense" [ "Times" ] (run { steps 4 with SaveAt = DenseOutput } problem)

            refuses
                "every step"
                [ "Adaptive" ]
                (run { ArraySdeOptions.adaptive 1e-3 1e-3 with SaveAt = EverySteps } problem)

            refuses "numbers" [ "2^32" ] (run (steps 4) { problem with FirstPath = 4294967290L })
            refuses "save time" [ "1.5" ] (run { steps 4 with SaveAt = Times [| 1.5 |] } problem)
        }

        test "additive noise that looks at the state" {
            let sde = GenericSde.additive<Ito, _> [| 0.05; 0.4 |] (Price())

            refuses "additive" [ "must not depend on the state"; "(0, 0)" ] (fun () ->
                ArraySde.simulate (steps 4) SdeMethods.eulerMaruyama sde 1UL 0.0 1.0 [| 1.0 |] |> ignore)
        }

        test "delegates have no derivatives, and another method is named" {
            let field = VectorField(fun _ y dest -> dest[0] <- y[0])
            let sde = DelegateSde.scalar<Ito> 1 field field

            refuses "Milstein" [ "MilsteinFree" ] (fun () ->
                ArraySde.simulate (steps 4) SdeMethods.milstein sde 1UL 0.0 1.0 [| 1.0 |] |> ignore)
        }

        test "reversible Heun is for tensors" {
            let sde = GenericSde.scalar<Stratonovich, _> [| 0.05; 0.4 |] (Price())

            refuses "reversible" [ "tensors only"; "Heun" ] (fun () ->
                ArraySde.simulate (steps 4) SdeMethods.reversibleHeun sde 1UL 0.0 1.0 [| 1.0 |] |> ignore)
        }

        test "a path that ends where it starts, quantiles and edges out of range" {
            refuses "span" [ "zero length" ] (fun () ->
                ArraySde.simulate (steps 4) SdeMethods.eulerMaruyama price 1UL 1.0 1.0 [| 1.0 |] |> ignore)

            let solution =
                SdeEnsemble.simulate (steps 4) one SdeMethods.eulerMaruyama price 1UL (paths 10 [| 1.0 |])

            refuses "probability" [ "1.5" ] (fun () -> solution.Final.Quantiles(0, [| 1.5 |]) |> ignore)
            refuses "component" [ "0 to 0" ] (fun () -> solution.Final.Quantiles(1, [| 0.5 |]) |> ignore)
            refuses "edges" [ "edges" ] (fun () -> solution.Final.Histogram(0, [| 1.0; 1.0 |]) |> ignore)
            refuses "path" [ "0 to 9" ] (fun () -> solution.Status 10 |> ignore)
        }
    ]

let tests = testList "stochastic equations on arrays" [ orders; singles; tensors; misuse ]
