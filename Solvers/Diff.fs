namespace Continuum

open System
open TorchSharp

/// Derivatives of functions from tensors to tensors, under DiffSharp's names.
///
/// A name with f in front also returns the value (value first), one with num in front takes finite differences (step
/// first). x is a real tensor and is never written; v has the shape and dtype of x. All results are new tensors, though
/// some share memory with the value of f or with v: do not write into them in place. Whatever f allocates is disposed.
///
/// Derivatives nest: inside a function that is being differentiated, or when x requires grad, results can be
/// differentiated again, by x and by everything that f captured. Otherwise, and under `torch.no_grad()`, they are
/// constants, so that a loop x &lt;- x - rate * grad f x does not pile up a graph. To train parameters that f captured
/// on a derivative by a plain x (a physics-informed loss), take the derivative inside `nest`.
///
/// A function that does not depend on x has derivative zero. Every function throws ArgumentException for a shape that
/// it cannot take, with that shape in the text, and what f throws, unchanged; an operation that libtorch cannot
/// differentiate gives an InvalidOperationException.
[<RequireQualifiedAccess>]
module Diff =

    /// Where derivatives are taken: a private handle of x, and whether they must be differentiable.
    [<Struct>]
    type private Point = { X: Tensor; Record: bool }

    let private opened (x: Tensor) (v: Tensor) (body: Point -> 'R) (close: bool -> 'R -> 'R) : 'R =
        Dual.Refuse "A derivative"
        let record = Nesting.Records x || (not (isNull v) && Nesting.Records v)
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        close record (body { X = Autograd.pointOf record x; Record = record })

    let private keepTwo record (a, b) =
        let first = Autograd.keep record a
        first, Autograd.keep record b

    let private one x body = opened x null body Autograd.keep
    let private two x body = opened x null body keepTwo
    let private twoAlong x v body = opened x v body keepTwo

    // The last sweep through a graph.
    let private pull point (y: Tensor) (x: Tensor) (v: Tensor) =
        let vjp = if point.Record then Autograd.vjpGraph else Autograd.vjp
        (vjp [| y |] [| x |] [| v |])[0]

    // A sweep that keeps the graph.
    let private pullRetain point (y: Tensor) (x: Tensor) (v: Tensor) =
        let vjp = if point.Record then Autograd.vjpGraph else Autograd.vjpRetain
        (vjp [| y |] [| x |] [| v |])[0]

    let private pullGraph (y: Tensor) (x: Tensor) (v: Tensor) = (Autograd.vjpGraph [| y |] [| x |] [| v |])[0]

    // The rows of dy/dx one by one, for vectors y and x.
    let private rowsOf point (y: Tensor) (x: Tensor) : Tensor[] =
        let m = y.shape[0]
        let basis = torch.eye (m, dtype = y.dtype, device = y.device)
        Array.init (int m) (fun i -> pullRetain point y x (basis.select (0, int64 i)))

    let private stacked (rows: Tensor[]) (x: Tensor) : Tensor =
        if rows.Length = 0 then
            torch.zeros ([| 0L; x.shape[0] |], dtype = x.dtype, device = x.device)
        else
            torch.stack rows

    let private traceOf point (y: Tensor) (x: Tensor) : Tensor =
        if y.shape[0] = 0L then
            torch.zeros ([||], dtype = y.dtype, device = y.device)
        else
            let diagonal = rowsOf point y x |> Array.mapi (fun i row -> row.select (0, int64 i))
            (torch.stack diagonal).sum()

    // w and w' dy/dx, a function of w.
    let private pulledBack (y: Tensor) (x: Tensor) : struct (Tensor * Tensor) =
        let w = torch.zeros_like y

        if y.requires_grad then
            w.requires_grad <- true

        struct (w, pullGraph y x w)

    // Rows by one sweep each; a tall Jacobian by columns, sweeping through the pullback.
    let private jacobianOf point (y: Tensor) : Tensor =
        if y.shape[0] <= 2L * point.X.shape[0] + 2L then
            stacked (rowsOf point y point.X) point.X
        else
            let struct (w, pulled) = pulledBack y point.X
            (stacked (rowsOf point pulled w) w).t().contiguous()

    let private gradientOf name (f: Tensor -> Tensor) (sweep: Tensor -> Tensor -> Tensor -> Tensor) point =
        let y = Nesting.Apply (Shapes.toScalar name f) point.X
        y, sweep y point.X (torch.ones_like y)

    // dy/dx for a scalar x.
    let private derivativeOf point (y: Tensor) : Tensor =
        if y.dim () = 0L then
            pull point y point.X (torch.ones_like y)
        else
            let struct (w, pulled) = pulledBack y point.X
            pull point pulled w (torch.ones_like point.X)

    let private derivativesOf (order: int) (f: Tensor -> Tensor) point =
        let y = Nesting.Apply f point.X
        let mutable derivative = y

        for k in 1..order do
            let last = k = order
            derivative <- derivativeOf { point with Record = point.Record || not last } derivative

        y, derivative

    let private pushed name f x v =
        Shapes.tangent name x v
        let struct (value, tangent) = Autograd.jvp f x v
        value, tangent

    let private second (value: Tensor, result: Tensor) =
        value.Dispose()
        result

    /// Run `body` as if inside a function that is being differentiated: derivatives taken in it can be differentiated
    /// again, by everything that requires grad. It opens no dispose scope.
    let nest (body: unit -> 'T) : 'T = Nesting.Run body

    // ---------------------------------------------------------------------------------------- functions of a scalar

    /// f(x) and f'(x) for a scalar x (shape []), of the shape of f(x). One evaluation in forward mode.
    let fdiff (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.scalarPoint "diff" x
        use v = torch.ones_like (x, requires_grad = false)
        pushed "diff" f x v

    /// f'(x) for a scalar x (shape []), of the shape of f(x). One evaluation in forward mode.
    let diff (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fdiff f x)

    /// f(x) and the derivative of order n >= 0 for a scalar x. The work grows exponentially with n.
    let fdiffn (n: int) (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        ArgumentOutOfRangeException.ThrowIfNegative n
        Shapes.scalarPoint "diffn" x

        if n = 1 then fdiff f x else two x (derivativesOf n f)

    /// The derivative of order n >= 0 for a scalar x, of the shape of f(x). The work grows exponentially with n.
    let diffn (n: int) (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fdiffn n f x)

    /// f(x) and f''(x) for a scalar x.
    let fdiff2 (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor = fdiffn 2 f x

    /// f''(x) for a scalar x, of the shape of f(x).
    let diff2 (f: Tensor -> Tensor) (x: Tensor) : Tensor = diffn 2 f x

    // ------------------------------------------------------------------------------------------ scalar functions

    /// f(x) and the gradient of a scalar function (values of shape []) at x of any shape. One reverse sweep.
    let fgrad (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.real "grad" x
        two x (fun point -> gradientOf "grad" f (pull point) point)

    /// The gradient of a scalar function (values of shape []) at x, of the shape of x. One reverse sweep.
    let grad (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        Shapes.real "grad" x
        one x (fun point -> snd (gradientOf "grad" f (pull point) point))

    /// f(x) and the derivative of a scalar function along v. One evaluation in forward mode.
    let fgradv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor =
        pushed "gradv" (Shapes.toScalar "gradv" f) x v

    /// The derivative of a scalar function along v, gradient . v, of shape []. One evaluation in forward mode.
    let gradv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = second (fgradv f x v)

    let private withHessian name f point =
        let y, gradient = gradientOf name f pullGraph point
        struct (y, gradient, stacked (rowsOf point gradient point.X) point.X)

    /// The gradient (n) and the Hessian (n, n) of a scalar function of a vector. n + 1 reverse sweeps.
    let gradhessian (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.vectorPoint "gradhessian" x

        two x (fun point ->
            let struct (_, gradient, hessian) = withHessian "gradhessian" f point
            gradient, hessian)

    /// f(x) and the Hessian (n, n) of a scalar function of a vector. n + 1 reverse sweeps.
    let fhessian (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.vectorPoint "hessian" x

        two x (fun point ->
            let struct (y, _, hessian) = withHessian "hessian" f point
            y, hessian)

    /// The Hessian (n, n) of a scalar function of a vector. n + 1 reverse sweeps.
    let hessian (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fhessian f x)

    let private hessianTimes name f v point =
        let y, gradient = gradientOf name f pullGraph point
        struct (y, gradient, pull point gradient point.X v)

    /// The derivative along v, gradient . v, and the product Hessian . v of a scalar function at x of any shape.
    let gradhessianv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor =
        Shapes.tangent "gradhessianv" x v

        twoAlong x v (fun point ->
            let struct (_, gradient, product) = hessianTimes "gradhessianv" f v point
            (gradient * v).sum(), product)

    /// f(x) and the product Hessian . v of a scalar function at x of any shape. Two reverse sweeps.
    let fhessianv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor =
        Shapes.tangent "hessianv" x v

        twoAlong x v (fun point ->
            let struct (y, _, product) = hessianTimes "hessianv" f v point
            y, product)

    /// The product Hessian . v of a scalar function at x of any shape, of that shape. Two reverse sweeps.
    let hessianv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = second (fhessianv f x v)

    /// f(x) and the Laplacian, the trace of the Hessian, of a scalar function of a vector. n + 1 reverse sweeps.
    let flaplacian (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.vectorPoint "laplacian" x

        two x (fun point ->
            let y, gradient = gradientOf "laplacian" f pullGraph point
            y, traceOf point gradient point.X)

    /// The Laplacian, the trace of the Hessian, of a scalar function of a vector, of shape []. n + 1 reverse sweeps.
    let laplacian (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (flaplacian f x)

    // ------------------------------------------------------------------------------------------ vector functions

    /// f(x) (m) and the Jacobian (m, n) of a vector function of a vector. About min(m, 2n) reverse sweeps at most.
    let fjacobian (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.vectorPoint "jacobian" x

        two x (fun point ->
            let y = Nesting.Apply (Shapes.toVector "jacobian" f) point.X
            y, jacobianOf point y)

    /// The Jacobian (m, n) of a vector function of a vector. About min(m, 2n) reverse sweeps at most.
    let jacobian (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fjacobian f x)

    /// f(x) and the product Jacobian . v. x and f(x) may have any shape. One evaluation in forward mode.
    let fjacobianv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor = pushed "jacobianv" f x v

    /// The product Jacobian . v, of the shape of f(x). x and f(x) may have any shape. One evaluation in forward mode.
    let jacobianv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = second (fjacobianv f x v)

    /// f(x) and the product of the transposed Jacobian with v, which has the shape and dtype of f(x). One reverse sweep.
    let fjacobianTv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor =
        Shapes.real "jacobianTv" x
        ArgumentNullException.ThrowIfNull v

        twoAlong x v (fun point ->
            let y = Nesting.Apply f point.X
            y, pull point y point.X v)

    /// The product of the transposed Jacobian with v, which has the shape and dtype of f(x); the result has the shape of
    /// x. One reverse sweep.
    let jacobianTv (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = second (fjacobianTv f x v)

    /// f(x) and the divergence, the trace of the Jacobian, of a vector field (n to n). n reverse sweeps.
    let fdivergence (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.vectorPoint "divergence" x

        two x (fun point ->
            let y = Nesting.Apply (Shapes.toField "divergence" f) point.X
            y, traceOf point y point.X)

    /// The divergence, the trace of the Jacobian, of a vector field (n to n), of shape []. n reverse sweeps.
    let divergence (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fdivergence f x)

    let private fieldAndJacobian name f point =
        let y = Nesting.Apply (Shapes.toField name f) point.X
        struct (y, jacobianOf point y)

    /// f(x) and the curl of a vector field in three dimensions.
    let fcurl (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.space "curl" x

        two x (fun point ->
            let struct (y, jacobian) = fieldAndJacobian "curl" f point
            y, Shapes.curl jacobian)

    /// The curl of a vector field in three dimensions, of shape [3].
    let curl (f: Tensor -> Tensor) (x: Tensor) : Tensor = second (fcurl f x)

    /// The curl and the divergence of a vector field in three dimensions, from one Jacobian.
    let curldivergence (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor =
        Shapes.space "curldivergence" x

        two x (fun point ->
            let struct (_, jacobian) = fieldAndJacobian "curldivergence" f point
            Shapes.curl jacobian, jacobian.trace ())

    // ----------------------------------------------------------------------------------------- finite differences

    /// The derivative for a scalar x by the central difference (f(x + epsilon) - f(x - epsilon)) / 2 epsilon.
    let numdiff (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.diff epsilon f x

    /// The second derivative for a scalar x by the central difference with step epsilon.
    let numdiff2 (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.diff2 epsilon f x

    /// The gradient of a scalar function at x of any shape by central differences. 2n evaluations.
    let numgrad (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.grad epsilon f x

    /// The derivative of a scalar function along v by the central difference with step epsilon v.
    let numgradv (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor =
        NumericalDiff.gradv epsilon f x v

    /// The Hessian of a scalar function of a vector by central differences. About 2n^2 evaluations.
    let numhessian (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.hessian epsilon f x

    /// The product Hessian . v of a scalar function by central differences. 4n evaluations.
    let numhessianv (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor =
        NumericalDiff.hessianv epsilon f x v

    /// The Jacobian (m, n) of a vector function of a vector by central differences. 2n evaluations.
    let numjacobian (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.jacobian epsilon f x

    /// The product Jacobian . v by the central difference with step epsilon v. x and f(x) may have any shape.
    let numjacobianv (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor =
        NumericalDiff.jacobianv epsilon f x v

    /// The Laplacian of a scalar function of a vector by central differences. 2n + 1 evaluations.
    let numlaplacian (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.laplacian epsilon f x

    /// The curl of a vector field in three dimensions by central differences.
    let numcurl (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.curl epsilon f x

    /// The divergence of a vector field by central differences.
    let numdivergence (epsilon: float) (f: Tensor -> Tensor) (x: Tensor) : Tensor = NumericalDiff.divergence epsilon f x

    // ------------------------------------------------------------------------------------------------ short names

    /// Short for `grad`.
    let g (f: Tensor -> Tensor) (x: Tensor) : Tensor = grad f x

    /// Short for `gradv`.
    let gvp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = gradv f x v

    /// Short for `hessianv`.
    let hvp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = hessianv f x v

    /// Short for `hessian`.
    let h (f: Tensor -> Tensor) (x: Tensor) : Tensor = hessian f x

    /// Short for `gradhessian`.
    let gh (f: Tensor -> Tensor) (x: Tensor) : Tensor * Tensor = gradhessian f x

    /// Short for `gradhessianv`.
    let ghvp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor * Tensor = gradhessianv f x v

    /// Short for `jacobian`.
    let j (f: Tensor -> Tensor) (x: Tensor) : Tensor = jacobian f x

    /// Short for `jacobianv`.
    let jvp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = jacobianv f x v

    /// Short for `jacobianTv`.
    let vjp (f: Tensor -> Tensor) (x: Tensor) (v: Tensor) : Tensor = jacobianTv f x v
