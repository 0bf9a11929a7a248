// Linear systems of implicit steps on tensors: batched LU factorisations, under one clock or a clock for each sample.
namespace Continuum

open System
open System.Runtime.InteropServices
open TorchSharp

/// LU factorisations that report a singular matrix instead of throwing.
[<RequireQualifiedAccess>]
module internal BatchedLu =
    // The form without the check is not bound by TorchSharp.
    let private text =
        """
def factor(a: Tensor) -> List[Tensor]:
    lu, pivots, info = torch.linalg_lu_factor_ex(a)
    return [lu, pivots, info]
"""

    let private script = lazy (torch.jit.compile text)

    /// Factors, pivots, and which matrices are singular (null: none), of shape (rows, n, n). Non-finite matrices give non-finite factors.
    let factor (matrices: Tensor) : struct (Tensor * Tensor * bool[]) =
        try
            let struct (lu, pivots) = torch.linalg.lu_factor matrices
            struct (lu, pivots, null)
        with :? ExternalException ->
            let parts = script.Value.invoke<Tensor[]>("factor", [| box matrices |])
            let singular = Tensors.toArray parts[2] |> Array.map (fun info -> info <> 0.0)
            struct (parts[0], parts[1], singular)

/// The matrices W = M - g J of the systems in a state. Owns them, whatever dispose scope they were made in. Part of the graph where
/// gradients are enabled.
[<Sealed>]
type internal TensorMatrices(field: TensorField, joint: bool) =
    let jacobian = TensorJacobian(field, joint)
    let mutable matrix: Tensor = null
    let mutable lu: Tensor = null
    let mutable pivots: Tensor = null
    let mutable singular: bool[] = null
    let mutable flaw: Tensor = null
    let mutable jacobians = 0
    let mutable factorisations = 0
    let mutable solves = 0

    let replace (current: byref<Tensor>) (next: Tensor) =
        if not (isNull current) then
            current.Dispose()

        current <- if isNull next then null else next.DetachFromDisposeScope()

    /// Whether the factorisation could be made for each system; null when all could. A flawed system's solutions are NaN.
    member _.Singular = singular

    /// Evaluations of the field.
    member _.Evaluations = jacobian.Evaluations

    member _.Work = {
        ImplicitWork.Zero with
            Jacobians = jacobians
            Factorisations = factorisations
            Solves = solves
    }

    /// df/dy at (t, y).
    member _.Linearise(t: Tensor, y: Tensor) =
        jacobians <- jacobians + 1
        replace &matrix (jacobian.Form(t, y, torch.is_grad_enabled ()))

    /// df/dt at (t, y), null for an autonomous field.
    member _.TimeSlope(t: Tensor, y: Tensor) : Tensor = jacobian.TimeSlope(t, y, torch.is_grad_enabled ())

    /// Factors M - g J; scaled is g J.
    member private _.Factor(g: Tensor, scaled: Tensor) =
        factorisations <- factorisations + 1
        let eye = torch.eye (matrix.shape[1], dtype = matrix.dtype, device = matrix.device)

        let mass =
            if isNull field.Mass then
                eye
            elif isNull g then
                field.Mass
            // a sample at rest must have a regular matrix, whatever its mass
            else
                torch.where (g.eq 0.0, eye, field.Mass)

        let struct (factors, order, found) = BatchedLu.factor (mass.sub scaled)
        replace &lu factors
        replace &pivots order
        singular <- found

        if isNull found then
            replace &flaw null
        else
            let marks = found |> Array.map (fun bad -> if bad then nan else 0.0)
            replace &flaw (Tensors.ofArray marks [| found.LongLength; 1L; 1L |] matrix.dtype matrix.device)

        isNull found

    /// Factors M - g J with one g; false when any of the systems is singular.
    member this.Factorise(g: float) : bool =
        use _ = torch.NewDisposeScope()
        this.Factor(null, matrix.mul g)

    /// Factors M - g J, g being 0-d or with one number for each system; false when any of the systems is singular.
    member this.Factorise(g: Tensor) : bool =
        use _ = torch.NewDisposeScope()
        let g = if g.dim () = 0L then g else g.reshape (-1L, 1L, 1L)
        this.Factor(g, matrix.mul g)

    /// The solution of W x = r, with the shape of r.
    member _.Solve(r: Tensor) : Tensor =
        solves <- solves + 1
        use _ = torch.NewDisposeScope()
        let column = r.reshape (matrix.shape[0], matrix.shape[1], 1L)
        let solved = torch.linalg.lu_solve (lu, pivots, column)
        let marked = if isNull flaw then solved else solved.add flaw
        marked.reshape(r.shape).MoveToOuterDisposeScope()

    /// M v; v itself without a mass matrix.
    member _.MassTimes(v: Tensor) : Tensor =
        if isNull field.Mass then
            v
        else
            use _ = torch.NewDisposeScope()
            let shape = SystemShape.Of(joint, v)

            (Tensors.matmul field.Mass (v.reshape (shape.Rows, shape.Size, 1L)))
                .reshape(v.shape)
                .MoveToOuterDisposeScope()

    interface IDisposable with
        member _.Dispose() =
            replace &matrix null
            replace &lu null
            replace &pivots null
            replace &flaw null

/// The systems of a batch under a clock for each sample (t and g of shape (batch, 1, ..., 1); t null for an autonomous field) or under
/// one clock that is a tensor (0-d). A singular system gives NaN for its sample alone: Factorise never refuses. TimeSlope is null for
/// an autonomous field.
[<Sealed>]
type internal TensorLinearSystem(field: TensorField, joint: bool) =
    let matrices = new TensorMatrices(field, joint)

    /// The matrices: what they cost and which are singular.
    member _.Matrices = matrices

    interface ILinearSystem<Tensor, Tensor> with
        member _.Linearise(t, y, _) = matrices.Linearise(t, y)
        member _.TimeSlope(t, y, _, _) = matrices.TimeSlope(t, y)

        member _.Factorise g =
            matrices.Factorise g |> ignore
            true

        member _.Solve(r, _) = matrices.Solve r
        member _.MassTimes(v, _) = matrices.MassTimes v
        member _.HasIdentityMass = isNull field.Mass
        member _.Evaluations = matrices.Evaluations
        member _.Work = matrices.Work
        member _.Dispose() = (matrices :> IDisposable).Dispose()

/// The systems of a state under one clock that is a number, for steppers over any space. Factorise refuses when any system is singular.
[<Sealed>]
type internal TensorClockSystem(field: TensorField, joint: bool) =
    let matrices = new TensorMatrices(field, joint)

    interface ILinearSystem<Tensor, float> with
        member _.Linearise(t, y, _) = matrices.Linearise(TensorField.time field t y, y)

        member _.TimeSlope(t, y, slope, _) =
            match matrices.TimeSlope(TensorField.time field t y, y) with
            | null -> torch.zeros_like slope
            | drift -> drift

        member _.Factorise(g: float) = matrices.Factorise g
        member _.Solve(r, _) = matrices.Solve r
        member _.MassTimes(v, _) = matrices.MassTimes v
        member _.HasIdentityMass = isNull field.Mass
        member _.Evaluations = matrices.Evaluations
        member _.Work = matrices.Work
        member _.Dispose() = (matrices :> IDisposable).Dispose()
