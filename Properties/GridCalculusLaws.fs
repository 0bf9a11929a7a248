namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of derivatives of fields, tried in float64. `derivative` takes an axis, an order (1 or 2) and a field.
[<RequireQualifiedAccess>]
module GridCalculusLaws =

    let private result text holds detail = { Law = text; Holds = holds; Detail = detail }

    let private random (grid: Discretisation) (channels: int) (seed: uint64) =
        use generator = new torch.Generator(seed)
        let shape = Array.append [| 2L; int64 channels |] grid.Shape
        new Field(grid, torch.randn (shape, dtype = Nullable torch.float64, generator = generator))

    let private size (field: Field) = field.Values.abs().max().ToDouble()

    /// The derivatives of functions of the space (trigonometric polynomials, cosines or sines, cubic polynomials on open axes) are exact.
    let exact (derivative: int -> int -> Field -> Field) (grid: Discretisation) : LawResult =
        use _ = torch.NewDisposeScope()
        let d = grid.Domain.Dimension

        let gap axis order =
            let f =
                SpaceFunctions.random (7 * axis + order) grid.Domain (grid.Axes |> Array.map SpaceFunctions.most)

            let orders = Array.init d (fun i -> if i = axis then order else 0)
            let values x = [| f (Array.zeroCreate d) x |]
            let wanted = SpaceFunctions.field grid (fun x -> [| f orders x |])

            SpaceFunctions.gap (derivative axis order (SpaceFunctions.field grid values)) wanted
            / max 1.0 (size wanted)

        let gaps = [
            for axis in 0 .. d - 1 do
                for order in 1..2 -> gap axis order
        ]

        result
            $"on {grid}: derivatives of functions of the space are exact"
            (List.max gaps < 1e-11)
            $"largest gap {List.max gaps:g3}"

    /// The largest error for a smooth function that obeys no condition falls with at least this order between n and 2 n points; periodic on
    /// periodic axes. `grid n` has one axis.
    let order
        (derivative: int -> int -> Field -> Field)
        (order: int)
        (least: float)
        (n: int)
        (grid: int -> Discretisation)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let axis = (grid n).Domain[0]
        let w = (if axis.Boundary = Boundary.Periodic then 2.0 * Math.PI else 3.0) / axis.Length

        // exp(sin(w x)) and its derivatives.
        let smooth (order: int) (x: float) =
            let s, c = sin (w * x), cos (w * x)

            match order with
            | 0 -> exp s
            | 1 -> w * c * exp s
            | _ -> w * w * (c * c - s) * exp s

        let error n =
            let field m = SpaceFunctions.field (grid n) (fun x -> [| smooth m x[0] |])
            SpaceFunctions.gap (derivative 0 order (field 0)) (field order)

        let coarse, fine = error n, error (2 * n)
        let measured = Math.Log2(coarse / fine)

        result
            $"on {grid n} and twice as many: derivative {order} has order {least:g3}"
            (measured >= least)
            $"errors {coarse:g3} and {fine:g3}, order {measured:f2}"

    /// The divergence of the curl of any values is zero; on two axes, of the velocity of any stream function.
    let divergenceOfCurl (divergence: Field -> Field) (curl: Field -> Field) (grid: Discretisation) : LawResult =
        use _ = torch.NewDisposeScope()
        let channels = if grid.Domain.Dimension = 3 then 3 else 1
        let rotated = curl (random grid channels 3UL)
        let gap = size (divergence rotated) / size rotated
        result $"on {grid}: the divergence of a curl is zero" (gap < 1e-10) $"largest value {gap:g3} of the curl's"

    /// On a torus, the integral of f dg is minus that of g df, for any values.
    let byParts (derivative: int -> int -> Field -> Field) (grid: Discretisation) : LawResult =
        use _ = torch.NewDisposeScope()
        let f, g = random grid 2 4UL, random grid 2 5UL

        let gaps = [
            for axis in 0 .. grid.Domain.Dimension - 1 do
                let left, right = FieldValues.inner f (derivative axis 1 g), FieldValues.inner g (derivative axis 1 f)
                (left.add right).abs().max().ToDouble() / left.abs().max().ToDouble()
                // -<f, f''> is not negative.
                let energy = (FieldValues.inner f (derivative axis 2 f)).max().ToDouble()
                max 0.0 energy
        ]

        result $"on {grid}: integration by parts" (List.max gaps < 1e-10) $"largest gap {List.max gaps:g3}"

    /// The Laplacian of its inverse of any values gives back these values without their mean.
    let inverse (laplacian: Field -> Field) (invert: Field -> Field) (grid: Discretisation) : LawResult =
        use _ = torch.NewDisposeScope()
        let f = random grid 2 6UL
        let mean = (FieldValues.mean f).reshape(Array.append [| 2L; 2L |] (Array.create grid.Shape.Length 1L))
        let solution = invert f
        let gap = SpaceFunctions.gap (laplacian solution) (f.With(f.Values.sub mean))
        let drift = (FieldValues.mean solution).abs().max().ToDouble()

        result
            $"on {grid}: the Laplacian undoes its inverse"
            (gap < 1e-10 && drift < 1e-12)
            $"largest gap {gap:g3}, mean {drift:g3}"
