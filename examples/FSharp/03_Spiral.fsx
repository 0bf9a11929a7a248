// A neural ODE (Chen et al. 2018): a network learns the vector field y' = A y³ of a spiral from windows of its trajectory, with
// TorchSharp's Adam and gradients through the solver.
#load "continuum.fsx"

open System
open Continuum
open TorchSharp

NativeLibraries.ensure ()
torch.set_num_threads 1
torch.manual_seed 1L |> ignore

let count = 200
let window = 10
let span = 10.0
let windowSpan = float (window - 1) * span / float (count - 1)

/// Equally spaced times, both ends included.
let grid (last: float) (n: int) =
    Times [| for i in 0 .. n - 1 -> if i = n - 1 then last else last * float i / float (n - 1) |]

let cube (y: Tensor) = y.mul(y).mul(y)

let truth =
    let a = torch.tensor(array2D [ [ -0.1f; -2.0f ]; [ 2.0f; -0.1f ] ]).clone()
    let start = torch.tensor(array2D [ [ 2.0f; 0.0f ] ]).clone()
    let defaults = TensorOptions.create 1e-5 1e-7
    let options = { defaults with Solve.SaveAt = grid span count }
    let field = TensorField.autonomous [] (fun y -> (cube y).mm a)
    (TensorOde.solve options field 0.0 span start).EnsureSuccess().States.squeeze 1L

/// y ↦ MLP(y³), as in the original demonstration.
let layers = torch.nn.Sequential(torch.nn.Linear(2L, 50L), torch.nn.Tanh(), torch.nn.Linear(50L, 2L))

let field =
    TensorField.autonomous (Seq.cast<Tensor>(layers.parameters ())) (fun y -> layers.call (cube y))

let options =
    let defaults = TensorOptions.create 1e-3 1e-4
    { defaults with Solve.SaveAt = grid windowSpan window }

/// The mean squared error of the solutions that start at the given rows: one batch, one solve.
let loss (from: int64[]) =
    let rows = torch.tensor(from).clone()
    let solution = (TensorOde.solve options field 0.0 windowSpan truth[rows]).EnsureSuccess()
    let target = truth[torch.arange(float window).unsqueeze(1L).``to``(torch.int64) + rows]
    (solution.States - target).square().mean()

let evaluate () =
    use _ = torch.NewDisposeScope()
    use _ = torch.no_grad ()
    (loss [| 0L .. int64 (count - window) |]).ToDouble()

let adam = torch.optim.Adam(layers.parameters (), lr = 0.01)
let random = Random 1
let first = evaluate ()

for _ in 1..150 do
    use _ = torch.NewDisposeScope()
    let from = Array.init 32 (fun _ -> random.NextInt64(int64 (count - window + 1)))
    adam.zero_grad ()
    (loss from).backward()
    adam.step () |> ignore

let last = evaluate ()
printfn $"mean squared error over all windows: {first:g3} before, {last:g3} after training"
check (last < first / 50.0) $"spiral: the loss fell by a factor of {first / last:f0}"
