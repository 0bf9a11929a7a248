// What a Brownian path is a function of.
namespace Continuum

open System

/// A Brownian path, or rather all of them: a path is a function of this record and of its number (0 .. 2^32 - 1). It does not depend on
/// the order of queries, on which other paths are in the batch, on threads, on the machine or on the device.
///
/// [Start, End] is divided into equal cells with independent increments; within a cell values come from a dyadic tree of exact
/// Brownian bridges. Make one with BrownianSpec.create and change it with `{ spec with .. }`; paths check what they are given.
type BrownianSpec = {
    /// First time.
    Start: float
    /// Last time, > Start.
    End: float
    /// Number of equal cells, >= 1. Steps over cells are the cheapest: nothing but their normals is drawn. Fixed steps want a cell each,
    /// adaptive steps few cells or one.
    Cells: int
    /// Number m >= 1 of Brownian motions.
    Dimension: int
    /// The seed.
    Seed: uint64
    /// What is known of a step beside W. Paths of different levels are different paths.
    Level: LevyLevel
    /// Levels of the tree below a cell, 0 to 31: below 2^-Resolution of a cell two times share their noise, so that single queries
    /// keep the exact law but joint ones do not. Less where doubles cannot tell such times apart.
    Resolution: int
    /// With level Area: over 2^-LeafDepth of a cell, a leaf, A has its exact mean, variance and kurtosis given W and H; over more it is
    /// the sum of leaves by Chen's identity. Inside of a leaf W and H are exact, but independent of how the leaf's A came
    /// about, and A is divided in proportion: steps should begin and end at leaves. ValueNone: 3 where there are several
    /// cells, 12 where there is one.
    LeafDepth: int voption
    /// Covariance of W per unit of time, m x m, symmetric and positive definite; null: the identity. W = L Z with L its Cholesky
    /// factor (lower); H and K likewise, A = L A_Z L^T.
    Correlation: float[,]
} with

    /// The length of a cell.
    member s.CellWidth = (s.End - s.Start) / float s.Cells

/// Construction and checks of BrownianSpec.
[<RequireQualifiedAccess>]
module BrownianSpec =

    let private fail (name: string) (value: obj) (text: string) = raise (ArgumentOutOfRangeException(name, value, text))

    /// The lower Cholesky factor. ArgumentException where the matrix is not square of this size, symmetric, positive definite.
    let internal factor (m: int) (c: float[,]) : float[,] =
        let rows = c.GetLength 0
        let columns = c.GetLength 1

        if rows <> m || columns <> m then
            raise (
                ArgumentException
                    $"A correlation of {m} Brownian motions is a matrix ({m}, {m}); got ({rows}, {columns})."
            )

        let l = Array2D.zeroCreate m m

        for i in 0 .. m - 1 do
            for j in 0..i do
                if not (Double.IsFinite c[i, j] && abs (c[i, j] - c[j, i]) <= 1e-12 * (abs c[i, j] + abs c[j, i])) then
                    raise (
                        ArgumentException
                            $"A correlation is symmetric and finite; got {c[i, j]} at ({i}, {j}) and {c[j, i]} at ({j}, {i})."
                    )

                let mutable sum = c[i, j]

                for k in 0 .. j - 1 do
                    sum <- sum - l[i, k] * l[j, k]

                if i = j then
                    if not (sum > 1e-14 * abs c[i, i]) then
                        raise (
                            ArgumentException(
                                $"The correlation is not positive definite: its leading minor of order {i + 1} is not positive "
                                + $"(pivot {sum}). Drop a Brownian motion that the others determine, or correct the matrix."
                            )
                        )

                    l[i, i] <- sqrt sum
                else
                    l[i, j] <- sum / l[j, j]

        l

    /// Returns the spec where it makes sense. ArgumentOutOfRangeException: End <= Start or not finite, Cells or Dimension < 1, Area
    /// with one Brownian motion, a resolution or leaf depth outside of 0 to 31, cells too narrow for the clock.
    /// ArgumentException: a correlation of the wrong shape, not symmetric, or not positive definite (naming the leading minor).
    let check (spec: BrownianSpec) : BrownianSpec =
        if not (Double.IsFinite spec.Start && Double.IsFinite spec.End && spec.End > spec.Start) then
            fail "End" spec.End $"A path needs finite times Start < End; got {spec.Start} and {spec.End}."

        if spec.Cells < 1 then
            fail "Cells" spec.Cells "There must be at least one cell."

        if spec.Dimension < 1 then
            fail "Dimension" spec.Dimension "There must be at least one Brownian motion."

        if not (Enum.IsDefined<LevyLevel> spec.Level) then
            fail "Level" spec.Level "No such level."

        if spec.Level = LevyLevel.Area && spec.Dimension < 2 then
            fail
                "Dimension"
                spec.Dimension
                "Levy area needs two Brownian motions or more; one has A = 0, take SpaceTime."

        if spec.Resolution < 0 || spec.Resolution > 31 then
            fail "Resolution" spec.Resolution "The resolution lies in 0 to 31."

        match spec.LeafDepth with
        | ValueSome depth when depth < 0 || depth > spec.Resolution ->
            fail "LeafDepth" depth $"The depth of leaves lies in 0 to Resolution, {spec.Resolution}."
        | _ -> ()

        let finest = 16.0 * 2.220446049250313e-16 * Math.Max(abs spec.Start, abs spec.End)

        if spec.CellWidth < 128.0 * finest then
            fail
                "Cells"
                spec.Cells
                $"Cells of length {spec.CellWidth} are too narrow for times up to {spec.End}: doubles do not resolve them."

        if not (isNull spec.Correlation) then
            factor spec.Dimension spec.Correlation |> ignore

        spec

    /// m Brownian motions on [start, finish]: one cell, W alone, resolution 2^-30, no correlation.
    let create (start: float) (finish: float) (dimension: int) (seed: uint64) : BrownianSpec =
        check {
            Start = start
            End = finish
            Cells = 1
            Dimension = dimension
            Seed = seed
            Level = LevyLevel.Increments
            Resolution = 30
            LeafDepth = ValueNone
            Correlation = null
        }

    /// For fixed steps: a cell for each of `steps` steps.
    let fixedSteps (start: float) (finish: float) (steps: int) (dimension: int) (seed: uint64) : BrownianSpec =
        check { create start finish dimension seed with Cells = steps }

    /// Depth of the leaves of the area, in effect: LeafDepth, or what it is by default.
    let leafDepth (spec: BrownianSpec) =
        match spec.LeafDepth with
        | ValueSome depth -> depth
        | ValueNone -> Math.Min(spec.Resolution, (if spec.Cells > 1 then 3 else 12))
