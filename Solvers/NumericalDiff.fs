namespace Continuum

open System
open TorchSharp

/// The shapes that the functions of `Diff` ask for.
module internal Shapes =

    let private complain (name: string) (what: string) (wanted: string) (tensor: Tensor) =
        raise (ArgumentException $"Diff.{name}: {what} must be {wanted}, its shape is {Tensors.shapeText tensor}.")

    /// A real tensor.
    let real (name: string) (tensor: Tensor) : unit =
        ArgumentNullException.ThrowIfNull tensor

        if not (tensor.is_floating_point ()) then
            let text = $"{Tensors.shapeText tensor} {tensor.dtype}"
            raise (ArgumentException $"Diff.{name}: only real tensors can be differentiated by, the point is {text}.")

    /// A real scalar point.
    let scalarPoint (name: string) (x: Tensor) : unit =
        real name x

        if x.dim () <> 0L then
            complain name "the point" "a scalar (shape [])" x

    /// A real vector as point.
    let vectorPoint (name: string) (x: Tensor) : unit =
        real name x

        if x.dim () <> 1L then
            complain name "the point" "a vector" x

    /// A tangent at x: same shape, same dtype.
    let tangent (name: string) (x: Tensor) (v: Tensor) : unit =
        real name x
        ArgumentNullException.ThrowIfNull v

        if not (x.shape.AsSpan().SequenceEqual v.shape) || x.dtype <> v.dtype then
            let one = $"{Tensors.shapeText x} {x.dtype}"
            raise (ArgumentException $"Diff.{name}: the point has shape {one}, v {Tensors.shapeText v} {v.dtype}.")

    /// f with values that are scalars.
    let toScalar (name: string) (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        let y = f x

        if not (isNull y) && y.dim () <> 0L then
            complain name "the value of the function" "a scalar (shape [])" y

        y

    /// f with values that are vectors.
    let toVector (name: string) (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        let y = f x

        if not (isNull y) && y.dim () <> 1L then
            complain name "the value of the function" "a vector" y

        y

    /// f with values that are vectors as long as x.
    let toField (name: string) (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        let y = f x

        if not (isNull y) && (y.dim () <> 1L || y.shape[0] <> x.shape[0]) then
            complain name "the value of the function" $"a vector of length {x.shape[0]}" y

        y

    /// A point of three dimensions.
    let space (name: string) (x: Tensor) : unit =
        real name x

        if x.dim () <> 1L || x.shape[0] <> 3L then
            complain name "the point" "a vector of length 3" x

    /// The curl from the Jacobian of a field in space.
    let curl (jacobian: Tensor) : Tensor =
        let at (i: int64) (j: int64) = jacobian.select(0, i).select(0, j)

        torch.stack [| at 2L 1L - at 1L 2L; at 0L 2L - at 2L 0L; at 1L 0L - at 0L 1L |]

/// Central finite differences. Public as the num... functions of `Diff`.
module internal NumericalDiff =

    let private inScope (x: Tensor) (body: unit -> Tensor) : Tensor =
        let record = Nesting.Records x
        use _ = torch.NewDisposeScope()
        use _ = if record then torch.enable_grad () else torch.enable_grad false
        (body ()).alias().MoveToOuterDisposeScope()

    // The temporaries of f go at once: n evaluations hold n values, not n graphs of operations.
    let private at (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()

        match f x with
        | null -> raise (InvalidOperationException "The function to differentiate returned null.")
        | y -> y.alias().MoveToOuterDisposeScope()

    let private step (name: string) (epsilon: float) =
        if not (Double.IsFinite epsilon) || epsilon <= 0.0 then
            raise (ArgumentOutOfRangeException(nameof epsilon, epsilon, $"Diff.{name}: the step must be positive."))

    // epsilon times the unit tensors of the shape of x, in row-major order.
    let private steps (epsilon: float) (x: Tensor) : Tensor[] =
        let n = x.numel ()
        let basis = torch.eye (n, dtype = x.dtype, device = x.device) * epsilon
        Array.init (int n) (fun i -> basis.select(0, int64 i).reshape x.shape)

    let private central (f: Tensor -> Tensor) (x: Tensor) (h: Tensor) (epsilon: float) =
        (at f (x + h) - at f (x - h)) / (2.0 * epsilon)

    let private second (f: Tensor -> Tensor) (x: Tensor) (y: Tensor) (h: Tensor) (epsilon: float) =
        (at f (x + h) - 2.0 * y + at f (x - h)) / (epsilon * epsilon)

    let private mixed (f: Tensor -> Tensor) (x: Tensor) (h: Tensor) (k: Tensor) (epsilon: float) =
        (at f (x + h + k) - at f (x + h - k) - at f (x - h + k) + at f (x - h - k))
        / (4.0 * epsilon * epsilon)

    let private stack (x: Tensor) (shape: int64[]) (parts: Tensor[]) (dimension: int64) =
        if parts.Length = 0 then
            torch.zeros (shape, dtype = x.dtype, device = x.device)
        else
            torch.stack (parts, dimension)

    /// (f(x + e) - f(x - e)) / 2e.
    let diff epsilon f (x: Tensor) =
        step "numdiff" epsilon
        Shapes.scalarPoint "numdiff" x
        inScope x (fun () -> central f x (x.full_like epsilon) epsilon)

    /// (f(x + e) - 2 f(x) + f(x - e)) / e^2.
    let diff2 epsilon f (x: Tensor) =
        step "numdiff2" epsilon
        Shapes.scalarPoint "numdiff2" x
        inScope x (fun () -> second f x (at f x) (x.full_like epsilon) epsilon)

    /// All partial derivatives, 2n evaluations.
    let grad epsilon f (x: Tensor) =
        step "numgrad" epsilon
        Shapes.real "numgrad" x
        let f = Shapes.toScalar "numgrad" f

        inScope x (fun () ->
            let parts = steps epsilon x |> Array.map (fun h -> central f x h epsilon)
            (stack x [| 0L |] parts 0L).reshape x.shape)

    /// The derivative along v.
    let gradv epsilon f (x: Tensor) (v: Tensor) =
        step "numgradv" epsilon
        Shapes.tangent "numgradv" x v
        inScope x (fun () -> central (Shapes.toScalar "numgradv" f) x (v * epsilon) epsilon)

    /// All second derivatives, symmetric by construction, about 2n^2 evaluations.
    let hessian epsilon f (x: Tensor) =
        step "numhessian" epsilon
        Shapes.vectorPoint "numhessian" x
        let f = Shapes.toScalar "numhessian" f

        inScope x (fun () ->
            let h = steps epsilon x
            let n = h.Length
            let y = at f x
            let entries = Array2D.zeroCreate<Tensor> n n

            for i in 0 .. n - 1 do
                entries[i, i] <- second f x y h[i] epsilon

                for j in 0 .. i - 1 do
                    entries[i, j] <- mixed f x h[i] h[j] epsilon
                    entries[j, i] <- entries[i, j]

            let rows = Array.init n (fun i -> torch.stack entries[i, *])
            stack x [| 0L; 0L |] rows 0L)

    /// H v from 4n evaluations.
    let hessianv epsilon f (x: Tensor) (v: Tensor) =
        step "numhessianv" epsilon
        Shapes.tangent "numhessianv" x v
        let f = Shapes.toScalar "numhessianv" f

        inScope x (fun () ->
            let k = v * epsilon
            let parts = steps epsilon x |> Array.map (fun h -> mixed f x h k epsilon)
            (stack x [| 0L |] parts 0L).reshape x.shape)

    let private jacobianOf epsilon (f: Tensor -> Tensor) (x: Tensor) : Tensor =
        let columns = steps epsilon x |> Array.map (fun h -> central f x h epsilon)

        if columns.Length = 0 then
            torch.zeros ([| (at f x).shape[0]; 0L |], dtype = x.dtype, device = x.device)
        else
            torch.stack (columns, 1L)

    /// Columns by central differences.
    let jacobian epsilon f (x: Tensor) =
        step "numjacobian" epsilon
        Shapes.vectorPoint "numjacobian" x
        inScope x (fun () -> jacobianOf epsilon (Shapes.toVector "numjacobian" f) x)

    /// The derivative along v, of values of any shape.
    let jacobianv epsilon f (x: Tensor) (v: Tensor) =
        step "numjacobianv" epsilon
        Shapes.tangent "numjacobianv" x v
        inScope x (fun () -> central f x (v * epsilon) epsilon)

    /// The trace of the Hessian, 2n + 1 evaluations.
    let laplacian epsilon f (x: Tensor) =
        step "numlaplacian" epsilon
        Shapes.vectorPoint "numlaplacian" x
        let f = Shapes.toScalar "numlaplacian" f

        inScope x (fun () ->
            let y = at f x
            let parts = steps epsilon x |> Array.map (fun h -> second f x y h epsilon)
            (stack x [| 0L |] parts 0L).sum())

    /// The curl from the numerical Jacobian.
    let curl epsilon f (x: Tensor) =
        step "numcurl" epsilon
        Shapes.space "numcurl" x
        inScope x (fun () -> Shapes.curl (jacobianOf epsilon (Shapes.toField "numcurl" f) x))

    /// The trace of the numerical Jacobian.
    let divergence epsilon f (x: Tensor) =
        step "numdivergence" epsilon
        Shapes.vectorPoint "numdivergence" x
        inScope x (fun () -> (jacobianOf epsilon (Shapes.toField "numdivergence" f) x).trace())
