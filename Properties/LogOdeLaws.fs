namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// The laws of the log-ODE method.
[<RequireQualifiedAccess>]
module LogOdeLaws =

    let private largest (x: Tensor) =
        use top = x.detach().abs().max()
        top.ToDouble()

    let private gap (a: Tensor) (b: Tensor) =
        use difference = a.sub b
        largest difference / max 1.0 (largest b)

    let private law name allowed found : LawResult = {
        Law = name
        Holds = found <= allowed
        Detail = $"relative gap %.1e{found}, allowed %.1e{allowed}"
    }

    let private fixedSteps (method: Method) (h: float) way = {
        TensorOptions.create 1e-6 1e-6 with
            Method = method
            Solve = { SolveOptions.create 1e-6 1e-6 with Control = Fixed h }
            Differentiation = way
    }

    let private final options field driver (z0: Tensor) = (LogOde.solve options field driver z0).EnsureSuccess().Final

    /// dz = sum_i A_i z dX^i along a piecewise linear path: products of exponentials. matrices (channels, n, n).
    let linearSolution (matrices: Tensor) (path: Tensor) (z0: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let n = path.shape[path.shape.Length - 2] - 1L
        let steps = path.narrow(-2L, 1L, n).sub(path.narrow (-2L, 0L, n))
        let mutable z = z0.unsqueeze -1L

        for k in 0L .. n - 1L do
            let generator = torch.einsum ("...c,cij->...ij", steps.select (-2L, k), matrices)
            z <- torch.matmul (torch.linalg.matrix_exp generator, z)

        z.squeeze(-1L).MoveToOuterDisposeScope()

    /// The fields z to A_i z.
    let linearFields (matrices: Tensor) (z: Tensor) : Tensor = torch.einsum ("cij,...j->...ic", matrices, z)

    /// Brackets of linear fields are commutators, [A z, B z] = (B A - A B) z, and nest.
    let commutators (matrices: Tensor) (depth: int) (z: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let basis = LyndonBasis.Create(int matrices.shape[0], depth)
        let found = LogOde.allBrackets basis (linearFields matrices) z
        let known = Array.zeroCreate<Tensor> basis.Size

        for i in 0 .. basis.Size - 1 do
            known[i] <-
                match basis.Factors[i] with
                | struct (-1, _) -> matrices.select (0L, int64 basis.Words[i].[0])
                | struct (u, v) -> known[v].matmul(known[u]).sub(known[u].matmul known[v])

        let exact =
            torch.stack (known |> Array.map (fun a -> torch.matmul(a, z.unsqueeze -1L).squeeze -1L), -1L)

        law $"brackets of linear fields to depth {depth}" 1e-12 (gap found exact)

    /// One Euler step of the method is the sum of log-signature coordinates times brackets, and does not depend on how derivatives are
    /// batched.
    let sumOfBrackets (name: string) (depth: int) (fields: Tensor -> Tensor) (path: Tensor) (z0: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let driver = LogOde.driver depth Windows.Whole null path

        let step =
            final (fixedSteps (RungeKutta Methods.Euler) 1.0 Differentiation.None) (LogOde.brackets [] fields) driver z0

        // The same fields, hidden behind a check that refuses stacked states.
        let alone (z: Tensor) =
            if z.dim () <> z0.dim () then
                raise (ArgumentException "one state at a time")

            fields z

        let looped =
            final (fixedSteps (RungeKutta Methods.Euler) 1.0 Differentiation.None) (LogOde.brackets [] alone) driver z0

        let all = LogOde.allBrackets driver.Basis fields z0
        let sum = torch.matmul(all, driver.Increments.select(-2L, 0L).unsqueeze -1L).squeeze -1L

        law
            $"the log-ODE's field is a sum of brackets on {name}, depth {depth}"
            1e-11
            (max (gap step (z0.add sum)) (gap looped step))

    /// Strictly triangular matrices of size depth + 1: products of more than `depth` of them vanish.
    let private nilpotentMatrices (channels: int) (depth: int) : Tensor =
        let n = depth + 1

        let entry k =
            let i, j = k / n % n, k % n
            if j > i then sin (1.0 + 2.7 * float k) else 0.0

        Tensors.ofArray
            (Array.init (channels * n * n) entry)
            [| int64 channels; int64 n; int64 n |]
            torch.float64
            torch.CPU

    /// For linear fields whose products of more than `depth` factors vanish, one window and one step are exact, whatever the path (depth
    /// at most 4, where a step of RK4 is the exponential).
    let nilpotent (depth: int) (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let matrices = nilpotentMatrices (int path.shape[path.shape.Length - 1]) depth
        let n = int64 depth + 1L
        let batch = path.shape[.. path.shape.Length - 3]
        let z0 = torch.ones (Array.append batch [| n |], dtype = torch.float64)
        let driver = LogOde.driver depth Windows.Whole null path
        let field = LogOde.brackets [] (linearFields matrices)
        let found = final (fixedSteps (RungeKutta Methods.Rk4) 1.0 Differentiation.None) field driver z0
        law $"one step is exact on nilpotent fields, depth {depth}" 1e-12 (gap found (linearSolution matrices path z0))

    /// dx = dX^1, dy = x^2/2 dX^2 from zero: y is the signature's coordinate 1,1,2, and one step at depth 3 gives it.
    let polynomial (path: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let plane = path.narrow (-1L, 0L, 2L)

        let fields (z: Tensor) =
            let x = z.select (-1L, 0L)
            let zero = torch.zeros_like x
            let first = torch.stack ([| torch.ones_like x; zero |], -1L)
            let second = torch.stack ([| zero; x.square().mul((0.5).ToScalar()) |], -1L)
            torch.stack ([| first; second |], -1L)

        let batch = path.shape[.. path.shape.Length - 3]
        let z0 = torch.zeros (Array.append batch [| 2L |], dtype = torch.float64)
        let driver = LogOde.driver 3 Windows.Whole null plane

        let found =
            final (fixedSteps (RungeKutta Methods.Rk4) 1.0 Differentiation.None) (LogOde.brackets [] fields) driver z0

        let coordinate = Array.IndexOf(Signature.names 2 3, "1,1,2")
        let exact = (Signature.ofPath 3 plane).select(-1L, int64 coordinate)
        law "a polynomial field reads a coordinate of the signature" 1e-12 (gap (found.select (-1L, 1L)) exact)

    /// On any smooth field one window has error of order depth + 1 in the size of the path. The exact solution takes depth 1 on each segment.
    let order (name: string) (depth: int) (fields: Tensor -> Tensor) (path: Tensor) (z0: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let field = LogOde.brackets [] fields
        let tight = fixedSteps (RungeKutta Methods.Vern9) 0.125 Differentiation.None

        let pairs =
            [| 0.4; 0.2; 0.1; 0.05 |]
            |> Array.map (fun size ->
                let scaled = path.mul (size.ToScalar())
                let exact = final tight field (LogOde.driver 1 (Windows.Every 1) null scaled) z0
                let found = final tight field (LogOde.driver depth Windows.Whole null scaled) z0
                struct (size, gap found exact))

        let observed = Slope.observed pairs

        {
            Law = $"order {depth + 1} in the size of a window on {name}"
            Holds = abs (observed - float (depth + 1)) < 0.35
            Detail = $"observed %.2f{observed}; {Slope.describe pairs}"
        }

    /// A neural RDE on linear fields is a product of exponentials, one a window.
    let neuralRde (depth: int) (windows: Windows) (path: Tensor) (z0: Tensor) : LawResult =
        use _ = torch.NewDisposeScope()
        let driver = LogOde.driver depth windows null path
        let n = int z0.shape[z0.shape.Length - 1]
        let size = driver.Basis.Size
        let entries = Array.init (size * n * n) (fun k -> 0.4 * cos (1.9 * float k))
        let matrices = Tensors.ofArray entries [| int64 size; int64 n; int64 n |] torch.float64 torch.CPU
        let field = LogOde.neural [] (linearFields matrices)

        let solution =
            LogOde.solve (fixedSteps (RungeKutta Methods.Vern9) 0.125 Differentiation.None) field driver z0

        let exact = linearSolution matrices driver.Cumulative z0
        law $"a neural RDE of depth {depth} on linear fields" 1e-11 (gap (solution.EnsureSuccess().Final) exact)

    let private weigh (x: Tensor) =
        let weights =
            torch.arange(x.numel (), dtype = x.dtype).mul((0.7).ToScalar()).add((0.3).ToScalar()).cos()

        x.flatten().mul(weights).sum().add(x.square().sum().mul((0.1).ToScalar()))

    /// The gradients of a loss on all states for the initial state, the parameters of the fields and the path.
    let private gradientsOf options (make: unit -> LogOdeField) depth windows (path: Tensor) (z0: Tensor) : float[] =
        let path = path.detach().clone().requires_grad_ true
        let z0 = z0.detach().clone().requires_grad_ true
        let field = make ()
        let driver = LogOde.driver depth windows null path
        let value = weigh ((LogOde.solve options field driver z0).EnsureSuccess().States)
        let inputs = Array.append [| path; z0 |] field.Parameters
        Autograd.vjp [| value |] inputs [| torch.ones_like value |] |> Array.collect Tensors.toArray

    /// A way to differentiate gives the gradient that Recorded gives, for the path, the initial state and the parameters.
    let gradient
        (name: string)
        (depth: int)
        (windows: Windows)
        (method: Method)
        (allowed: float)
        (way: Differentiation)
        (make: unit -> LogOdeField)
        (path: Tensor)
        (z0: Tensor)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let recorded = gradientsOf (fixedSteps method 0.25 Differentiation.Recorded) make depth windows path z0
        let found = gradientsOf (fixedSteps method 0.25 way) make depth windows path z0
        let wayName = (string way).Split([| ' '; '\n' |])[0]
        let worst = GradientLaws.relativeGap found recorded

        {
            Law = $"{wayName} gives Recorded's gradient on {name}, depth {depth}"
            Holds = worst <= allowed
            Detail = $"relative gap %.1e{worst}, allowed %.1e{allowed}"
        }

    /// Recorded gradients for the path against central differences in a direction.
    let differences
        (name: string)
        (depth: int)
        (windows: Windows)
        (make: unit -> LogOdeField)
        (path: Tensor)
        (z0: Tensor)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let options = fixedSteps (RungeKutta Methods.Rk4) 0.5 Differentiation.Recorded

        let direction =
            torch.arange(path.numel (), dtype = path.dtype).mul((1.3).ToScalar()).sin().reshape path.shape

        let at (h: float) =
            let moved = path.add (direction.mul (h.ToScalar()))
            (weigh ((LogOde.solve options (make ()) (LogOde.driver depth windows null moved) z0).States)).ToDouble()

        let gradient = gradientsOf options make depth windows path z0
        let along = Tensors.toArray direction
        let slope = Seq.fold2 (fun sum g d -> sum + g * d) 0.0 gradient[.. along.Length - 1] along
        let difference = (at 1e-5 - at -1e-5) / 2e-5
        law $"gradient for the path on {name}, depth {depth}" 1e-7 (abs (slope - difference) / max 1.0 (abs difference))
