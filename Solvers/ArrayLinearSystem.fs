// The linear systems of implicit steps on arrays: a source of Jacobians, a mass matrix, and LU on the shape they share.
namespace Continuum

open System

/// M of M y' = f(t, y); constant.
[<RequireQualifiedAccess>]
type internal Mass =
    | Identity
    | Diagonal of float[]
    /// All entries, row-major.
    | Full of float[]

module internal Mass =
    /// Diagonals below and above the main one that M reaches.
    let bandwidth (n: int) (mass: Mass) =
        match mass with
        | Mass.Identity
        | Mass.Diagonal _ -> struct (0, 0)
        | Mass.Full entries ->
            let mutable lower = 0
            let mutable upper = 0

            for i in 0 .. n - 1 do
                for j in 0 .. n - 1 do
                    if entries[i * n + j] <> 0.0 then
                        lower <- max lower (i - j)
                        upper <- max upper (j - i)

            struct (lower, upper)

    /// M in the layout of a shape that holds it; null for the identity and diagonals.
    let inShape (shape: MatrixShape) (mass: Mass) : float[] =
        match mass with
        | Mass.Identity
        | Mass.Diagonal _ -> null
        | Mass.Full entries ->
            let n = shape.Size
            let stored = Array.zeroCreate shape.Length

            for i in 0 .. n - 1 do
                for j in 0 .. n - 1 do
                    if shape.Contains(i, j) then
                        stored[i * shape.Stride + j + shape.Offset] <- entries[i * n + j]

            stored

/// M - g J and its factorisation on float[], dense or banded.
[<Sealed>]
type internal ArrayLinearSystem(source: JacobianSource, mass: Mass) =
    let shape = source.Shape
    let n = shape.Size
    let isDense = shape.IsDense
    let jacobian: float[] = Array.zeroCreate shape.Length
    let massEntries = Mass.inShape shape mass
    let dense = if isDense then DenseLu n else Unchecked.defaultof<DenseLu>

    let banded =
        if shape.IsDense then
            Unchecked.defaultof<BandedLu>
        else
            BandedLu(n, shape.Lower, shape.Upper)

    let matrix = if isDense then dense.Values else banded.Values
    let diagonalStep = shape.Stride + 1

    let diagonal =
        match mass with
        | Mass.Diagonal d -> d
        | _ -> null

    let hasIdentityMass = mass.IsIdentity
    let mutable work = ImplicitWork.Zero

    /// The Jacobian last formed, in Shape's layout.
    member _.Jacobian = jacobian
    member _.Shape = shape

    member _.Linearise(t: float, y: float[], slope: float[]) =
        source.Fill(t, y, slope, jacobian)
        work <- { work with Jacobians = work.Jacobians + 1 }

    member _.TimeSlope(t: float, y: float[], slope: float[], dest: float[]) =
        source.TimeSlope(t, y, slope, dest)
        dest

    member _.Factorise(g: float) =
        work <- { work with Factorisations = work.Factorisations + 1 }
        Rows.negativeMultiple g jacobian matrix

        if not (isNull massEntries) then
            for i in 0 .. matrix.Length - 1 do
                matrix[i] <- matrix[i] + massEntries[i]
        else
            let mutable at = shape.Offset

            for i in 0 .. n - 1 do
                matrix[at] <- matrix[at] + (if isNull diagonal then 1.0 else diagonal[i])
                at <- at + diagonalStep

        if isDense then dense.Factorise() else banded.Factorise()

    member _.Solve(r: float[], dest: float[]) =
        work <- { work with Solves = work.Solves + 1 }

        if not (obj.ReferenceEquals(r, dest)) then
            Array.blit r 0 dest 0 n

        if isDense then dense.Solve dest else banded.Solve dest
        dest

    /// dest <- M v, without allocation; dest is not v.
    member private _.Multiply(v: float[], dest: float[]) =
        if isNull massEntries then
            for i in 0 .. n - 1 do
                dest[i] <- diagonal[i] * v[i]
        else
            for i in 0 .. n - 1 do
                let first = max 0 (i - shape.Lower)
                let count = min (n - 1) (i + shape.Upper) - first + 1
                let at = i * shape.Stride + first + shape.Offset
                dest[i] <- Rows.dot (ReadOnlySpan<float>(massEntries, at, count)) (ReadOnlySpan<float>(v, first, count))

        dest

    member this.MassTimes(v: float[], dest: float[]) =
        if hasIdentityMass then v
        elif obj.ReferenceEquals(v, dest) then this.Multiply(Array.copy v, dest)
        else this.Multiply(v, dest)

    member _.HasIdentityMass = hasIdentityMass
    member _.Evaluations = source.Evaluations
    member _.Work = work

    interface ILinearSystem<float[], float> with
        member this.Linearise(t, y, slope) = this.Linearise(t, y, slope)
        member this.TimeSlope(t, y, slope, dest) = this.TimeSlope(t, y, slope, dest)
        member this.Factorise g = this.Factorise g
        member this.Solve(r, dest) = this.Solve(r, dest)
        member this.MassTimes(v, dest) = this.MassTimes(v, dest)
        member this.HasIdentityMass = this.HasIdentityMass
        member this.Evaluations = this.Evaluations
        member this.Work = this.Work
        member _.Dispose() = ()

/// The same as a struct, so that steppers generic over their linear system are compiled for it.
[<Struct>]
type internal ArrayLinear(inner: ArrayLinearSystem) =
    member _.Inner = inner

    interface ILinearSystem<float[], float> with
        member _.Linearise(t, y, slope) = inner.Linearise(t, y, slope)
        member _.TimeSlope(t, y, slope, dest) = inner.TimeSlope(t, y, slope, dest)
        member _.Factorise g = inner.Factorise g
        member _.Solve(r, dest) = inner.Solve(r, dest)
        member _.MassTimes(v, dest) = inner.MassTimes(v, dest)
        member _.HasIdentityMass = inner.HasIdentityMass
        member _.Evaluations = inner.Evaluations
        member _.Work = inner.Work
        member _.Dispose() = ()
