/// The F# code of docs/Controlled.md, as it stands there.
module ControlledSnippets

open System
open Continuum
open Expecto
open TorchSharp

let tests =
    testList "Docs of controlled equations" [
        testCase "a controlled equation"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            // cde
            let times = [| [| 0.0; 1.0; 2.5 |]; [| 0.0; 4.0 |] |] // each series has its own, and its own length
            let rows = [| [| [| 1.0 |]; [| nan |]; [| 2.0 |] |]; [| [| 0.5 |]; [| 0.1 |] |] |]
            use series = SeriesBatch.ofArrays null times rows
            use path = ControlPath.create (ControlOptions.create ControlScheme.Hermite) series
            let weight = (torch.randn ([| 2L; 8L |], dtype = torch.float64)).requires_grad_ true
            let field = CdeField.create 2 [ weight ] (fun z -> (z.unsqueeze -1L * weight.t ()).tanh()) // (..., 8) to (..., 8, 2)
            let z0 = torch.matmul (path.First, weight) // (2, 2) to (2, 8)
            let solution = (TensorCde.solve (CdeOptions.create ()) field path z0).EnsureSuccess()
            // end
            Expect.equal solution.Final.shape [| 2L; 8L |] "shape"

        testCase "signatures"
        <| fun () ->
            // signature
            let circle = [|
                for k in 0..1000 -> [| cos (0.002 * Math.PI * float k); sin (0.002 * Math.PI * float k) |]
            |]

            let log = Signature.logOfArray 2 circle // "1", "2", "[1,2]": increments and the area
            // end
            Expect.isLessThan (abs (log[2] - Math.PI)) 1e-4 "the area of the circle"
    ]
