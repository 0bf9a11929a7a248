// Controlled differential equations on tensors: the front door.
//   dz = F(z) dX,   z(start) = z0   (Kidger, Morrill, Foster and Lyons 2020, Neural Controlled Differential Equations)
namespace Continuum

open System
open TorchSharp

/// Solving dz = F(t, z) dX along a path, with gradients to the initial state, the field's parameters and the path's data.
[<RequireQualifiedAccess>]
module TensorCde =

    let private bad (text: string) = raise (ArgumentException text)

    let private wants (x: Tensor) = not (isNull x) && x.requires_grad

    /// ArgumentException when the field reads a tensor that wants a gradient and is not among its parameters.
    let private checkTracking (field: CdeField) (path: ControlPath) (z: Tensor) =
        if not field.TrackingChecked then
            use _ = torch.NewDisposeScope()
            let direction = path.Derivative(path.Start, Side.Right).detach()

            let probe =
                TensorField(
                    Func<_, _, _>(fun _ z -> field.Product(CdeField.time field path.Start z, z, direction)),
                    field.Parameters,
                    true
                )

            TensorOde.checkTracking probe path.Start z
            field.TrackingChecked <- true

    let private checkState (z0: Tensor) =
        if isNull z0 || z0.dim () = 0L || z0.numel () = 0L then
            bad "The initial state is empty; give a tensor of shape [..., n]."

        if not (z0.is_floating_point ()) then
            bad $"The initial state must be a floating point tensor; its dtype is {z0.dtype}."

    /// solve without its checks.
    let internal run (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) : TensorSolution =
        let needed =
            torch.is_grad_enabled ()
            && not options.Differentiation.IsNone
            && (wants z0
                || Array.exists wants field.Parameters
                || path.RequiresGrad
                || options.Differentiation.IsRecorded)

        if needed && not options.Differentiation.IsRecorded && options.CheckTracking then
            checkTracking field path z0

        let plain (solver: unit -> TensorSolution) =
            if needed then
                solver ()
            else
                use _ = torch.no_grad ()
                solver ()

        match options.Differentiation, options.Method, options.Steps with
        | (Differentiation.Backsolve _ | Differentiation.Reversible _), _, _ when needed ->
            CdeAdjoint.solve options field path z0
        | Differentiation.Discrete discrete, RungeKutta tableau, CdeSteps.Adaptive _ when needed ->
            CdeDiscrete.solveAdaptive discrete tableau options field path z0
        | Differentiation.Discrete discrete, RungeKutta tableau, _ when needed ->
            CdeDiscrete.solveFixed discrete tableau options field path z0
        | Differentiation.Discrete _, method, _ when needed ->
            bad
                $"Discrete differentiates the steps of a tableau; for {method.Name} differentiate by Reversible or Recorded."
        | (Differentiation.Backsolve _ | Differentiation.Reversible _), _, _
        | _, _, CdeSteps.Adaptive _ -> plain (fun () -> CdePieces.solvePlain options field path z0)
        | _, RungeKutta tableau, _ -> plain (fun () -> CdeFixed.solvePlain tableau options field path z0)
        | _ -> plain (fun () -> CdePieces.solvePlain options field path z0)

    /// Solves dz = F(z) dX along the whole path from z0 (..., n), the batch of the path and of the state being the same; a path without a
    /// batch drives every state, a state (n) without one is where all series start. Steps never reach over a knot, and each sees the derivative of its own piece. z0 is usually a map of path.First.
    /// The solution's states are stacked along a new first dimension, (saved, ..., n).
    ///
    /// Fixed steps of a tableau ask the path for the directions of all stages at once and then cost little but evaluations of F.
    /// Gradients flow, when enabled, as options.Differentiation says: Recorded and Discrete differentiate the steps exactly (the lengths
    /// of adaptive ones held); Backsolve and Reversible store the states at the knots and solve each piece once more in the backward
    /// sweep, so that a reconstruction never reaches over more than one piece.
    /// ArgumentException for misuse: channels, shapes, dtypes, options, an untracked tensor. Failures while solving are in the Status.
    let solve (options: CdeOptions) (field: CdeField) (path: ControlPath) (z0: Tensor) : TensorSolution =
        NativeLibraries.ensure ()
        ArgumentNullException.ThrowIfNull field
        ArgumentNullException.ThrowIfNull path
        checkState z0
        CdeOptions.check options path
        let shared = z0.dim () = 1L && path.BatchShape.Length > 0
        use _ = if shared then torch.NewDisposeScope() else null
        // One state for all series.
        let z0 = if shared then z0.expand(Array.append path.BatchShape z0.shape).clone() else z0
        CdeField.check field path z0

        if
            options.Form.IsIncrements
            && (options.Differentiation.IsBacksolve || options.Differentiation.IsReversible)
        then
            bad "Backsolve and Reversible step by rates; do so, or differentiate by Discrete or Recorded."

        let solution = run options field path z0
        if shared then solution.MoveToOuterScope() else solution

    /// The equation as an ordinary one over the path's parameter, z' = F(z) X'(t), for solvers that know nothing of paths (events, stiff
    /// methods): at a knot the derivative is that of the piece to the right, so steps should end at the knots (SolveOptions.Jumps).
    /// The path's coefficients are among its parameters where they carry gradients.
    let asOde (field: CdeField) (path: ControlPath) : TensorField =
        ArgumentNullException.ThrowIfNull field
        ArgumentNullException.ThrowIfNull path

        if path.Channels <> field.Channels then
            bad
                $"The path has {path.Channels} channels (time and intensities included) and the field takes {field.Channels}."

        CdePieces.wholeField field path

    /// States at the observations as (..., observations, n) from a solution that saved them (CdeSave.Observations).
    let sequence (solution: TensorSolution) : Tensor =
        ArgumentNullException.ThrowIfNull solution
        solution.States.movedim ([| 0L |], [| -2L |])
