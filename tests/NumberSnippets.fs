/// The F# code of docs/Numbers.md, as it stands there.
module NumberSnippets

#nowarn "3535" "3536"

open System
open Continuum
open Expecto

// field
open RealOperators

[<Struct>]
type Lorenz =
    interface IGenericField with
        member _.Size = 3
        member _.ParameterCount = 3

        member _.Evaluate(_, y, p, dydt) =
            dydt[0] <- p[0] * (y[1] - y[0])
            dydt[1] <- y[0] * (p[1] - y[2]) - y[1]
            dydt[2] <- y[0] * y[1] - p[2] * y[2]
// end

let tests =
    testList "Docs of numbers" [
        testCase "a field over numbers, single and in an ensemble"
        <| fun () ->
            // solve
            let options = SolveOptions.create 1e-6 1e-9
            let p = [| 10.0; 28.0; 8.0 / 3.0 |]
            let one = GenericField<Lorenz>(Lorenz(), p)
            let solution = ArrayOde.solveField Methods.Tsit5 options one 0.0 10.0 [| 1.0; 1.0; 1.0 |]

            let runs =
                Ensemble.solve Methods.Tsit5 options EnsembleOptions.Default (Lorenz()) {
                    Starts = [| 0.0 |]
                    Ends = [| 10.0 |]
                    Initial = [| [| 1.0; 1.0; 1.0 |] |]
                    Parameters = Array.init 1000 (fun i -> [| 10.0; 0.028 * float i; 8.0 / 3.0 |])
                }
            // end
            Expect.equal runs.Failed 0 "ensemble"
            // derivatives
            let derivatives = FieldDerivatives<Lorenz>(Lorenz())
            let jacobian = Array.zeroCreate 9 // row-major
            let y = solution.FinalState
            derivatives.Jacobian(10.0, ReadOnlySpan<float> y, ReadOnlySpan<float> p, Span<float> jacobian)
            // end
            Expect.equal jacobian[0] -10.0 "entry"
    ]
