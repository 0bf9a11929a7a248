// Jacobians of fields on tensors: a matrix for each sample, or one matrix for a state whose components all depend on each other.
namespace Continuum

open System
open TorchSharp

/// How the components of a state form systems of equations: rows systems of size unknowns each.
[<Struct>]
type internal SystemShape = {
    Rows: int64
    Size: int64
} with

    /// One system for each sample, or one for the whole (joint) state.
    static member Of(joint: bool, y: Tensor) =
        if joint || y.dim () = 0L then
            { Rows = 1L; Size = y.numel () }
        else
            let rows = y.shape[0]
            { Rows = rows; Size = y.numel () / rows }

/// Whether the samples of a batch leave each other alone.
[<RequireQualifiedAccess>]
module internal SampleIndependence =

    /// By derivatives at (t, y): every pair of samples differs in a bit of its numbers, so for each bit a sweep from the samples with
    /// that bit set must not reach those without it, nor the other way round. A dependence that vanishes at (t, y) goes unseen.
    let private look (field: TensorField) (t: Tensor) (y: Tensor) : bool =
        let batch = y.shape[0]
        use _ = torch.NewDisposeScope()
        use _ = torch.enable_grad ()
        let leaf = y.detach().requires_grad_ true
        let slope = TensorField.verify leaf (field.Eval(t, leaf))

        let clean (bit: int) (side: int64) =
            use _ = torch.NewDisposeScope()
            let chosen = Array.init (int batch) (fun i -> ((int64 i >>> bit) &&& 1L) = side)
            let shape = Array.init (int (y.dim ())) (fun d -> if d = 0 then batch else 1L)
            use plain = torch.tensor chosen
            let mask = plain.clone().``to``(y.device).reshape shape
            let cotangent = mask.``to``(y.dtype).expand_as(y).contiguous()
            let gradient = (Autograd.vjpRetain [| slope |] [| leaf |] [| cotangent |])[0]
            let leak = torch.where(mask, torch.zeros_like gradient, gradient).abs().max().ToDouble()
            not (leak > 0.0)

        not slope.requires_grad
        || Seq.init 63 id
           |> Seq.takeWhile (fun bit -> (1L <<< bit) < batch)
           |> Seq.forall (fun bit -> clean bit 0L && clean bit 1L)

    /// Whether the entries along dimension 0 of y do not depend on each other; found once for a field. A field that throws is left to
    /// the solve, which reports it.
    let holds (field: TensorField) (t: Tensor) (y: Tensor) : bool =
        if field.IsJoint then
            false
        elif y.dim () = 0L || y.shape[0] < 2L then
            true
        else
            match field.Independent with
            | ValueSome found -> found
            | ValueNone ->
                try
                    let found = look field t y
                    field.Independent <- ValueSome found
                    found
                with _ ->
                    true

    /// Most unknowns of one system with a full matrix.
    let private largest = 2048L

    let private tooLarge (count: int64) =
        raise (
            ArgumentException
                $"An implicit method on tensors solves dense systems of at most {largest} unknowns, and this state has {count} that depend on each other. Give independent systems as samples, of shape (batch, ...); take an explicit method; or solve the system on arrays with a band or a sparsity pattern."
        )

    /// Whether a state under one clock is one system: declared so, a vector, or found to couple its samples. ArgumentException when its
    /// systems are too large.
    let isJoint (field: TensorField) (t: Tensor) (y: Tensor) : bool =
        let joint = y.dim () < 2L || not (holds field t y)
        let shape = SystemShape.Of(joint, y)

        if shape.Size > largest then
            tooLarge shape.Size

        joint

    /// ArgumentException unless every sample can step on its own.
    let demand (field: TensorField) (t: Tensor) (y: Tensor) : unit =
        if not (holds field t y) then
            raise (
                ArgumentException
                    "The field couples the samples of the batch, so they cannot step on their own with an implicit method; use one clock for the batch, or an explicit method."
            )

        let shape = SystemShape.Of(false, y)

        if shape.Size > largest then
            tooLarge shape.Size

/// df/dy and df/dt of a field.
[<Sealed>]
type internal TensorJacobian(field: TensorField, joint: bool) =
    let mutable evaluations = 0
    // Whether the field takes copies of the batch along dimension 0: ValueNone before it was tried.
    let mutable repeats: bool voption = if joint then ValueSome false else ValueNone

    let evaluate (t: Tensor) (y: Tensor) =
        evaluations <- evaluations + 1
        TensorField.verify y (Nesting.Apply (fun y -> field.Eval(t, y)) y)

    let repeated (count: int64) (x: Tensor) =
        if isNull x || x.dim () = 0L then
            x
        else
            x.repeat (Array.init (int (x.dim ())) (fun d -> if d = 0 then count else 1L))

    /// Tries two copies of the batch: a field that reads tensors with one row for each sample refuses them.
    let takesCopies (t: Tensor) (y: Tensor) =
        match repeats with
        | ValueSome found -> found
        | ValueNone ->
            use _ = torch.NewDisposeScope()
            use _ = torch.no_grad ()
            let y = y.detach ()

            let found =
                try
                    let once = field.Eval(t, y)
                    let twice = field.Eval(repeated 2L t, repeated 2L y)
                    evaluations <- evaluations + 2
                    let expected = repeated 2L once

                    twice.dim () = expected.dim ()
                    && twice.shape.AsSpan().SequenceEqual expected.shape
                    && torch.allclose (twice, expected, 1e-5, 1e-8, true)
                with _ ->
                    // What the field thinks of the state itself, the solve will hear.
                    false

            repeats <- ValueSome found
            found

    let pull record (output: Tensor) (input: Tensor) (cotangent: Tensor) last =
        let vjp =
            if record then Autograd.vjpGraph
            elif last then Autograd.vjp
            else Autograd.vjpRetain

        (vjp [| output |] [| input |] [| cotangent |])[0]

    /// One evaluation and one sweep over a copy of the batch for each component.
    let byCopies record (shape: SystemShape) (t: Tensor) (y: Tensor) : Tensor =
        let n = shape.Size
        let points = Autograd.pointOf record (repeated n y)
        let slopes = evaluate (repeated n t) points

        if not slopes.requires_grad then
            torch.zeros ([| shape.Rows; n; n |], dtype = y.dtype, device = y.device)
        else
            let basis = torch.eye(n, dtype = y.dtype, device = y.device).unsqueeze(1L).expand(n, shape.Rows, n)

            let gradients = pull record slopes points (basis.reshape slopes.shape) true
            gradients.reshape(n, shape.Rows, n).transpose(0L, 1L)

    /// One evaluation, and one sweep for each component.
    let bySweeps record (shape: SystemShape) (t: Tensor) (y: Tensor) : Tensor =
        let n = shape.Size
        let point = Autograd.pointOf record y
        let slope = evaluate t point

        if not slope.requires_grad then
            torch.zeros ([| shape.Rows; n; n |], dtype = y.dtype, device = y.device)
        else
            let eye = torch.eye (n, dtype = y.dtype, device = y.device)

            let rows =
                Array.init (int n) (fun i ->
                    let basis = eye.select(0L, int64 i).expand(shape.Rows, n)
                    let gradient = pull record slope point (basis.reshape slope.shape) (int64 i = n - 1L)
                    gradient.reshape (shape.Rows, n))

            torch.stack (rows, 1L)

    let given (shape: SystemShape) (t: Tensor) (y: Tensor) : Tensor =
        let matrix = field.Jacobian.Invoke(t, y)

        if isNull matrix then
            raise (ArgumentException "The field's Jacobian returned null; it must return df/dy.")

        if matrix.numel () <> shape.Rows * shape.Size * shape.Size || matrix.dtype <> y.dtype then
            raise (
                ArgumentException
                    $"The field's Jacobian must have shape [{shape.Rows}, {shape.Size}, {shape.Size}] and dtype {y.dtype}; it has {Tensors.shapeText matrix} {matrix.dtype}."
            )

        matrix.reshape (shape.Rows, shape.Size, shape.Size)

    /// Evaluations of the field on the whole state so far.
    member _.Evaluations = evaluations

    /// df/dy at (t, y), shape (rows, n, n). record: as part of the graph, so that it can be differentiated by y, by the parameters and
    /// by t; else a constant.
    member _.Form(t: Tensor, y: Tensor, record: bool) : Tensor =
        let shape = SystemShape.Of(joint, y)
        use _ = torch.NewDisposeScope()

        let matrix =
            if not (isNull field.Jacobian) then
                given shape t y
            else
                use _ = torch.enable_grad ()
                // A copy of the batch for each component must fit into memory.
                if shape.Size > 1L && shape.Size * y.numel () <= 16_777_216L && takesCopies t y then
                    byCopies record shape t y
                else
                    bySweeps record shape t y

        Autograd.keep record matrix

    /// df/dt at (t, y), with the shape of y; null for an autonomous field. record as in Form.
    member _.TimeSlope(t: Tensor, y: Tensor, record: bool) : Tensor =
        if field.Autonomous then
            null
        else
            evaluations <- evaluations + 1
            let along () = Autograd.jvp (fun t -> TensorField.verify y (field.Eval(t, y))) t (torch.ones_like t)
            use _ = torch.NewDisposeScope()
            let struct (_, slope) = if record then Nesting.Run along else along ()
            Autograd.keep record slope
