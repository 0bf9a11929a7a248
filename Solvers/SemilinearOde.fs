// Semilinear systems y' = L y + N(t, y) with diagonal L: the front doors of the exponential methods.
namespace Continuum

open System
open System.Numerics
open TorchSharp

/// N(t, y) on complex numbers: writes it into dest (same length as y, not cleared before the call).
type ComplexVectorField = delegate of t: float * y: ReadOnlySpan<Complex> * dest: Span<Complex> -> unit

/// A ComplexVectorField as a field.
[<Struct>]
type internal ComplexSpanField(field: ComplexVectorField) =
    interface IField<Complex[], float> with
        member _.Eval(t, y, dest) =
            field.Invoke(t, ReadOnlySpan<Complex>(y), Span<Complex>(dest))
            dest

/// The nonlinear part on tensors: as a TensorField under a scalar clock, but of complex states the time is real.
[<Struct>]
type internal NonlinearTensorField(field: TensorField) =
    static member private Evaluate(field: TensorField, t: float, y: Tensor) =
        let time: Tensor =
            if field.Autonomous then
                null
            else
                let single = y.dtype = torch.ScalarType.Float32 || y.dtype = torch.ScalarType.ComplexFloat32
                torch.tensor (t, dtype = (if single then torch.float32 else torch.float64), device = y.device)

        TensorField.verify y (field.Eval(time, y))

    interface IField<Tensor, float> with
        member _.Eval(t, y, _) =
            if torch.is_grad_enabled () then
                NonlinearTensorField.Evaluate(field, t, y)
            else
                use scope = torch.NewDisposeScope()
                let value = NonlinearTensorField.Evaluate(field, t, y)
                if scope.Contains value then value.MoveToOuterDisposeScope() else value

/// Solving y' = L y + N(t, y), L diagonal, with exponential methods of order 4 and fixed steps (FixedSteps.every h): no step is too
/// long for L, however stiff; N sets the step. Coefficients are computed once per step length. Dense output has local error
/// O(h^4) and needs no further evaluation of N, only phi functions of L for each value. Evaluations in the statistics are N's.
[<RequireQualifiedAccess>]
module SemilinearOde =

    let private bad (text: string) = raise (ArgumentException text)

    let private checkLength (linear: 'T[]) (y0: 'T[]) (finite: 'T -> bool) =
        if isNull y0 || y0.Length = 0 then
            bad "The initial state is empty; give at least one component."

        if isNull linear || linear.Length <> y0.Length then
            let found = if isNull linear then 0 else linear.Length
            bad $"L has {found} diagonal entries and the state {y0.Length} components; give one for each."

        match linear |> Array.tryFindIndex (fun x -> not (finite x)) with
        | Some i -> bad $"L must be finite; entry {i} is {linear[i]}."
        | None -> ()

    let private run space field method options t0 t1 (y0: 'S) isFinite =
        let stepper = new ExponentialStepper<'S, 'F>(method, space, field, y0)
        Integrate.run stepper space.Copy space.Keep isFinite Unchecked.defaultof<_> options t0 t1 y0

    /// On real numbers with N as a struct of yours: the fastest door.
    let solveField
        (method: ExponentialMethod)
        (options: SolveOptions<float[]>)
        (linear: float[])
        (nonlinear: 'F :> IField<float[], float>)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        checkLength linear y0 Double.IsFinite
        let space = ArrayDiagonal<float>(Array.copy linear, (fun x -> Complex(x, 0.0)), (fun z -> z.Real))
        run space nonlinear method options t0 t1 y0 (Array.forall Double.IsFinite)

    /// On real numbers: linear is L's diagonal, nonlinear writes N(t, y).
    /// ArgumentException where options contradict the span or are not fixed steps; failures while solving are in the Status.
    let solve
        (method: ExponentialMethod)
        (options: SolveOptions<float[]>)
        (linear: float[])
        (nonlinear: VectorField)
        (t0: float)
        (t1: float)
        (y0: float[])
        : Solution<float[]> =
        if isNull nonlinear then
            raise (ArgumentNullException(nameof nonlinear, "N is null; give a function that writes N(t, y)."))

        solveField method options linear (SpanField nonlinear) t0 t1 y0

    /// On complex numbers (Fourier coefficients, oscillators), as solve.
    let solveComplex
        (method: ExponentialMethod)
        (options: SolveOptions<Complex[]>)
        (linear: Complex[])
        (nonlinear: ComplexVectorField)
        (t0: float)
        (t1: float)
        (y0: Complex[])
        : Solution<Complex[]> =
        if isNull nonlinear then
            raise (ArgumentNullException(nameof nonlinear, "N is null; give a function that writes N(t, y)."))

        checkLength linear y0 Complex.IsFinite
        let space = ArrayDiagonal<Complex>(Array.copy linear, id, id)
        run space (ComplexSpanField nonlinear) method options t0 t1 y0 (Array.forall Complex.IsFinite)

    let private isFinite (y: Tensor) =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let plain = if torch.is_complex y then torch.view_as_real y else y
        plain.mul(0.0).sum().ToDouble() = 0.0

    /// On tensors, real or complex (float32, float64 and their complex numbers), of any shape: linear is a real or complex tensor
    /// that broadcasts against y0, complex only where y0 is; nonlinear has y's shape and dtype, and its time is 0-d and real.
    /// Recorded for gradients when they are enabled and y0, linear or a parameter of nonlinear requires one; events are then
    /// refused, because their times carry no gradient.
    /// ArgumentException for misuse; failures while solving are in the Status.
    let solveTensors
        (method: ExponentialMethod)
        (options: SolveOptions<Tensor>)
        (linear: Tensor)
        (nonlinear: TensorField)
        (t0: float)
        (t1: float)
        (y0: Tensor)
        : TensorSolution =
        NativeLibraries.ensure ()

        if isNull nonlinear then
            raise (ArgumentNullException(nameof nonlinear, "N is null; give a TensorField."))

        if isNull y0 || y0.numel () = 0L || not (y0.is_floating_point () || torch.is_complex y0) then
            bad "The initial state must be a floating point or complex tensor with at least one element."

        if isNull linear || not (linear.is_floating_point () || torch.is_complex linear) then
            bad "L must be a floating point or complex tensor."

        if torch.is_complex linear && not (torch.is_complex y0) then
            bad $"L is complex ({linear.dtype}) and the state real ({y0.dtype}); convert the state to complex."

        let broadcasts =
            let offset = int (y0.dim () - linear.dim ())

            offset >= 0
            && Seq.forall id (linear.shape |> Seq.mapi (fun i extent -> extent = 1L || extent = y0.shape[i + offset]))

        if not broadcasts then
            bad
                $"L, of shape {Tensors.shapeText linear}, must broadcast against the state, of shape {Tensors.shapeText y0}."

        if not (isFinite linear) then
            bad "L must be finite; it holds a NaN or an infinite entry."

        let tracked = Seq.append [ y0; linear ] nonlinear.Parameters
        let recording = torch.is_grad_enabled () && tracked |> Seq.exists (fun x -> x.requires_grad)

        if recording && options.Events.Length > 0 then
            bad
                "Events carry no gradient through an exponential solve; detach y0, L and the parameters, solve with gradients off, or take a general method on tensors."

        use _ = torch.NewDisposeScope()
        use _ = torch.set_grad_enabled recording
        let space = TensorDiagonal(linear, y0.dtype, recording)

        run space (NonlinearTensorField nonlinear) method options t0 t1 y0 isFinite
        |> TensorSolution.DetachDense
        |> TensorResults.plain y0
