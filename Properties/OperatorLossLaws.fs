namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of losses on fields, tried in float64.
[<RequireQualifiedAccess>]
module OperatorLossLaws =

    let private random (grid: Discretisation) (batch: int64) (channels: int) (seed: int) =
        use generator = new torch.Generator(uint64 seed)
        let shape = Array.append [| batch; int64 channels |] grid.Shape
        new Field(grid, torch.randn (shape, dtype = Nullable torch.float64, generator = generator))

    /// The loss of given functions on finer and finer points goes to its value, with at least this order between n and 2 n points.
    let converges
        (name: string)
        (loss: Field -> Field -> Tensor)
        (least: float)
        (n: int)
        (grid: int -> Discretisation)
        (prediction: float[] -> float[])
        (truth: float[] -> float[])
        (value: float)
        : LawResult =
        use _ = torch.NewDisposeScope()

        let error n =
            let field = SpaceFunctions.field (grid n)
            abs ((loss (field prediction) (field truth)).ToDouble() - value)

        let coarse, fine = error n, error (2 * n)
        let measured = Math.Log2(coarse / fine)
        let exact = fine < 1e-13 * (1.0 + abs value)

        {
            Law = $"{name} on {grid n} and twice as many goes to {value:g6} with order {least:g3}"
            Holds = exact || measured >= least
            Detail = $"errors {coarse:g3} and {fine:g3}, order {measured:f2}"
        }

    /// The gradient of a loss by its prediction is the limit of differences, in three random directions.
    let gradient (name: string) (loss: Field -> Field -> Tensor) (grid: Discretisation) (channels: int) : LawResult =
        use _ = torch.NewDisposeScope()
        let x, truth = random grid 2L channels 1, random grid 2L channels 2
        let leaf = x.Values.detach().requires_grad_ true
        let value = loss (new Field(grid, leaf)) truth
        let slope = (Autograd.vjp [| value |] [| leaf |] [| torch.ones_like value |])[0]

        let gap (seed: int) =
            let direction = (random grid 2L channels seed).Values
            let h = 1e-4

            let at (t: float) =
                (loss (x.With(x.Values.add (direction.mul (torch.tensor (t, dtype = Nullable torch.float64))))) truth)
                    .ToDouble()
            // Differences of order 4.
            let difference = (8.0 * (at h - at -h) - (at (2.0 * h) - at (-2.0 * h))) / (12.0 * h)
            let own = slope.mul(direction).sum().ToDouble()
            abs (own - difference) / (1e-3 + abs own)

        let worst = [ 3; 4; 5 ] |> List.map gap |> List.max

        {
            Law = $"{name} on {grid}: the gradient is the limit of differences"
            Holds = worst < 1e-7
            Detail = $"largest relative gap {worst:g3}"
        }

    /// The distance of a sample does not depend on the others: `distances` gives one row for each sample.
    let samplesAlone
        (name: string)
        (distances: Field -> Field -> Tensor)
        (grid: Discretisation)
        (channels: int)
        : LawResult =
        use _ = torch.NewDisposeScope()
        let x, truth = random grid 3L channels 6, random grid 3L channels 7
        let together = distances x truth
        let one (field: Field) s = field.With(field.Values.narrow (0L, s, 1L))

        let gap (s: int64) =
            let alone = distances (one x s) (one truth s)
            (alone.sub (together.narrow (0L, s, 1L))).abs().max().ToDouble()

        let worst = List.max [ gap 0L; gap 1L; gap 2L ]

        {
            Law = $"{name} on {grid}: a sample alone has the same distance"
            Holds = together.shape[0] = 3L && worst < 1e-12
            Detail = $"largest gap {worst:g3}"
        }
