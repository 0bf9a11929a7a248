/// The F# code of docs/Stochastic.md, as it stands there.
module StochasticSnippets

open Continuum
open Expecto
open TorchSharp

let tests =
    testList "Docs of stochastic equations" [
        testCase "a stochastic equation on tensors"
        <| fun () ->
            use _ = torch.NewDisposeScope()
            // sde
            let speed = (Tensors.vector [| 2.0 |]).requires_grad_ true
            let sde = Sde.diagonal<Ito> [ speed ] (fun _ y -> -speed * y) (fun _ y -> 0.3 * torch.ones_like y)
            let y0 = torch.ones ([| 1000L; 1L |], dtype = torch.float64) // a path for each sample

            let options = { TensorSdeOptions.fixedSteps 0.02 with SaveAt = Times [| 0.5; 1.0 |] }

            let solution = (TensorSde.simulate options SdeMethods.srid2 sde 42UL 0.0 1.0 y0).EnsureSuccess()

            let slope =
                Autograd.vjp [| solution.Final.mean () |] [| speed |] [| torch.ones ([||], dtype = torch.float64) |]
            // end
            Expect.isLessThan (abs (Tensors.toFloat slope[0] + exp -2.0)) 0.01 "d/dspeed of exp(-speed)"
            Expect.equal solution.States.shape [| 2L; 1000L; 1L |] "shape"
    ]
