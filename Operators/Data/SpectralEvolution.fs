// Time stepping of periodic functions by their Fourier coefficients: what the evolution equations share.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Grids and transforms of periodic equations, and the frames of a solve.
[<RequireQualifiedAccess>]
module internal SpectralEvolution =

    let private bad (text: string) = raise (ArgumentException text)

    /// The highest wave on n points whose products with each other alias onto none of the kept waves: 3 k < n.
    let highest (n: int) = (n - 1) / 3

    /// Fourier coefficients of real values along the last d axes.
    let forward (d: int) (values: Tensor) : Tensor =
        torch.fft.rfftn (values, dim = Array.init d (fun i -> int64 (i - d)), norm = FFTNormType.Forward)

    /// Real values on grids of these sizes from coefficients along the last axes.
    let toValues (sizes: int64[]) (coefficients: Tensor) : Tensor =
        let d = sizes.Length
        torch.fft.irfftn (coefficients, sizes, Array.init d (fun i -> int64 (i - d)), FFTNormType.Forward)

    /// Signed wave numbers of coefficients along axis i of d, in a shape that broadcasts.
    let waves (sizes: int[]) (i: int) : Tensor =
        let d, n = sizes.Length, sizes[i]

        let values =
            if i = d - 1 then
                Array.init (n / 2 + 1) float
            else
                Array.init n (fun k -> float (if 2 * k < n then k else k - n))

        let shape = Array.create d 1L
        shape[i] <- values.LongLength
        Tensors.ofArray values shape torch.float64 torch.CPU

    /// 1 for waves that are kept when products are formed, 0 for the others.
    let mask (sizes: int[]) : Tensor =
        let along i = ((waves sizes i).abs().gt(float (highest sizes[i]) + 0.5)).logical_not().``to`` torch.float64
        Array.init sizes.Length along |> Array.reduce (fun a b -> a.mul b)

    /// i times real numbers.
    let imaginary (x: Tensor) : Tensor = torch.complex (torch.zeros_like x, x)

    /// Checks the grid: `grid` points out of `solveGrid` (0: the same); the number on which the equation is solved.
    let grid (grid: int) (solveGrid: int) : int =
        let fine = if solveGrid = 0 then grid else solveGrid

        if grid < 4 then
            bad $"The grid has {grid} points on an axis; it needs at least four."

        if fine < grid || fine % grid <> 0 then
            bad
                $"{grid} points cannot be taken out of {fine}: the latter must be a multiple. Take {grid * ((fine + grid - 1) / grid)}, or 0 to solve on the grid itself."

        fine

    /// Checks that times rise from `least` on and are finite.
    let times (what: string) (least: float) (times: float[]) =
        if isNull times || times.Length = 0 then
            bad $"{what} are empty; give at least one."

        times
        |> Array.iteri (fun i t ->
            if not (Double.IsFinite t) || t < least || (i > 0 && t <= times[i - 1]) then
                bad $"{what} must be finite, rise, and be at least {least}; number {i} is {t}.")

    /// Every (fine / grid)-th point of the last d axes.
    let thin (grid: int) (d: int) (values: Tensor) : Tensor =
        let fine = values.shape[values.shape.Length - 1]

        if fine = int64 grid then
            values
        else
            let kept = FieldParts.places (Array.init grid (fun i -> int64 i * (fine / int64 grid)))
            Array.fold (fun (x: Tensor) i -> x.index_select (int64 (i - d), kept)) values [| 0 .. d - 1 |]

    let private advance
        method
        (step: float)
        (linear: Tensor)
        field
        (token: CancellationToken)
        (t0: float)
        (t1: float)
        y
        =
        let steps = max 1.0 (ceil ((t1 - t0) / step - 1e-9))

        let options = { FixedSteps.every ((t1 - t0) / steps) with Cancellation = token }

        use solution: TensorSolution = SemilinearOde.solveTensors method options linear field t0 t1 y

        match solution.Status with
        | Status.Success -> solution.Final.alias().MoveToOuterDisposeScope()
        | Status.Cancelled -> raise (OperationCanceledException token)
        | status ->
            raise (
                ArithmeticException
                    $"The solution broke off near t = {solution.FinalTime} ({status}) with steps of {step}; shorten the step or refine the grid."
            )

    /// The solution of y' = L y + N(y), y(0) = y0, at each of the times (0 allowed): steps of at most `step`, ending at each time.
    let frames method (step: float) (linear: Tensor) (nonlinear: Tensor -> Tensor) (times: float[]) token (y0: Tensor) =
        if not (Double.IsFinite step && step > 0.0) then
            bad $"The step must be positive and finite; got {step}."

        let field = TensorField((fun _ y -> nonlinear y), [], true)

        let next (t: float, y: Tensor) (time: float) : Tensor * (float * Tensor) =
            if time = t then
                (y, (t, y))
            else
                use _ = torch.NewDisposeScope()
                let y = (advance method step linear field token t time y).MoveToOuterDisposeScope()
                (y, (time, y))

        Array.mapFold next (0.0, y0) times |> fst

    /// Checks that a field lies on periodic axes with uniform points j L / n; their numbers.
    let requireTorus (d: int) (field: Field) : int[] =
        let axes = field.Discretisation.Axes

        if axes.Length <> d || axes |> Array.exists (fun a -> a.Layout <> PointLayout.Periodic) then
            bad $"The equation needs uniform points on {d} periodic axes; got {field}."

        axes |> Array.map _.Count
