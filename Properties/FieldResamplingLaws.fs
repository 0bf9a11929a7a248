namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of taking fields to other points: `upto` takes the new points and a field. They are tried in float64.
[<RequireQualifiedAccess>]
module FieldResamplingLaws =

    let private law name (source: Discretisation) (target: Discretisation) (gap: float) = {
        Law = $"from {source} to {target}: {name}"
        Holds = gap < 1e-11
        Detail = $"largest gap {gap:g3}"
    }

    let private limits (source: Discretisation) (target: Discretisation) =
        let own = source.Axes |> Array.map SpaceFunctions.most

        if target.IsProduct then
            Array.map2 min own (target.Axes |> Array.map SpaceFunctions.most)
        else
            own

    /// A function of the space that both sets of points hold (trigonometric polynomials, cosines, sines; cubic polynomials on open axes) is
    /// the same function on both. For sources that are uniform on all but open axes.
    let exact (upto: Discretisation -> Field -> Field) (source: Discretisation) (target: Discretisation) : LawResult =
        use _ = torch.NewDisposeScope()

        [ 1..3 ]
        |> List.map (fun seed ->
            let f = SpaceFunctions.random seed source.Domain (limits source target)
            let values x = [| f (Array.zeroCreate source.Domain.Dimension) x |]
            SpaceFunctions.gap (upto target (SpaceFunctions.field source values)) (SpaceFunctions.field target values))
        |> List.max
        |> law "a function that both hold is exact" source target

    /// Any values that belong to a function of the space come back from finer points.
    let thereAndBack
        (upto: Discretisation -> Field -> Field)
        (source: Discretisation)
        (target: Discretisation)
        : LawResult =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(5UL)

        let shape = Array.append [| 2L; 3L |] source.Shape

        let x = new Field(source, torch.randn (shape, dtype = Nullable torch.float64, generator = generator))

        let first = upto source (upto target x)
        law "there and back is the identity" source target (SpaceFunctions.gap first x)

    /// The error for a smooth function that no grid holds falls with at least this order, measured between n and 2 n points: `source n` gives
    /// the points.
    let order
        (upto: Discretisation -> Field -> Field)
        (least: float)
        (n: int)
        (source: int -> Discretisation)
        (target: Discretisation)
        : LawResult =
        use _ = torch.NewDisposeScope()

        let smooth (x: float[]) =
            x
            |> Array.mapi (fun i x ->
                let axis = target.Domain[i]
                let t = (x - axis.Start) / axis.Length

                match axis.Boundary with
                | Boundary.Periodic -> exp (sin (2.0 * Math.PI * t))
                | Boundary.Neumann -> exp (cos (Math.PI * t))
                | Boundary.Dirichlet -> sinh (sin (Math.PI * t))
                | _ -> exp (sin (3.0 * t)))
            |> Array.reduce (*)

        let error n =
            let values x = [| smooth x |]

            SpaceFunctions.gap
                (upto target (SpaceFunctions.field (source n) values))
                (SpaceFunctions.field target values)

        let coarse, fine = error n, error (2 * n)
        let measured = Math.Log2(coarse / fine)

        {
            Law = $"from {source n} and twice as many to {target}: order {least:g3}"
            Holds = measured >= least || fine < 1e-12
            Detail = $"errors {coarse:g3} and {fine:g3}, order {measured:f2}"
        }
