namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of maps between function spaces, for layers and models alike, in float64: what they compute belongs to the functions, not to the points.
/// `apply` maps a field to a field at the points of a discretisation.
[<RequireQualifiedAccess>]
module OperatorLaws =

    let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

    let private size (a: Tensor) = max 1e-300 (a.abs().max().ToDouble())

    /// A batch of smooth functions, unlike each other, with modes up to `most` of the domain's series (cubic polynomials on open axes), in float64.
    let field (discretisation: Discretisation) (batch: int) (channels: int) (seed: int) (most: int) : Field =
        use _ = torch.NewDisposeScope()
        let d = discretisation.Domain.Dimension

        let samples =
            Array.init batch (fun sample ->
                let functions =
                    Array.init channels (fun c ->
                        let one = SpaceFunctions.random (seed + 1000 * sample + 10 * c) discretisation.Domain
                        one (Array.create d most) (Array.zeroCreate d))

                (SpaceFunctions.field discretisation (fun x -> functions |> Array.map (fun f -> f x))).Values)

        new Field(discretisation, (torch.cat (samples, 0L)).MoveToOuterDisposeScope())

    /// Differences of the image at the points of `at`, from one discretisation of the input to the next, relative to the image; the order is the slope
    /// against the number of points of an axis.
    let refinement
        (apply: Field -> Discretisation -> Field)
        (grids: Discretisation[])
        (at: Discretisation)
        (channels: int)
        : float[] =
        use _ = torch.NewDisposeScope()
        let images = grids |> Array.map (fun grid -> (apply (field grid 2 channels 11 2) at).Values)
        let last = images[images.Length - 1]
        images[.. images.Length - 2] |> Array.map (fun image -> gap image last / size last)

    /// The image converges as the points of the input are refined: the difference from the finest falls by at least `factor` from each grid to the next,
    /// or is rounding.
    let converges
        (name: string)
        (apply: Field -> Discretisation -> Field)
        (grids: Discretisation[])
        (at: Discretisation)
        (channels: int)
        (factor: float)
        : LawResult =
        let errors = refinement apply grids at channels

        {
            Law = $"{name} converges as its input is refined"
            Holds =
                Array.pairwise errors
                |> Array.forall (fun (coarse, fine) -> fine < 1e-11 || fine <= coarse / factor)
            Detail =
                "relative differences from the finest: "
                + String.Join(", ", errors |> Array.map (fun e -> $"{e:g3}"))
        }

    /// The image of functions with few modes is the same, to rounding, from every one of these grids.
    let exact
        (name: string)
        (apply: Field -> Discretisation -> Field)
        (grids: Discretisation[])
        (at: Discretisation)
        (channels: int)
        : LawResult =
        let worst = refinement apply grids at channels |> Array.max

        {
            Law = $"{name} is the same from every grid"
            Holds = worst < 1e-11
            Detail = $"largest relative difference {worst:g3}"
        }

    /// On a torus with uniform points: moving the input along the axes moves the image.
    let translation (name: string) (apply: Field -> Field) (grid: Discretisation) (channels: int) : LawResult =
        use _ = torch.NewDisposeScope()
        let input = field grid 2 channels 12 2
        let shifts = grid.Shape |> Array.mapi (fun i n -> (n * int64 (i + 2)) / 7L + 1L)
        let axes = shifts |> Array.mapi (fun i _ -> int64 (i + 2))
        let moved (x: Tensor) = torch.roll (x, shifts, axes)
        let direct = (apply (new Field(grid, moved input.Values))).Values
        let after = moved (apply input).Values
        let worst = gap direct after / size after

        {
            Law = $"{name} commutes with translations of the torus"
            Holds = worst < 1e-11
            Detail = $"relative gap {worst:g3}"
        }

    /// The image of a sample does not depend on the others in its batch.
    let batchIndependence (name: string) (apply: Field -> Field) (grid: Discretisation) (channels: int) : LawResult =
        use _ = torch.NewDisposeScope()
        let input = field grid 3 channels 13 2
        let together = (apply input).Values

        let worst =
            [ 0L .. 2L ]
            |> List.map (fun i ->
                let alone = (apply (new Field(grid, input.Values.narrow (0L, i, 1L)))).Values
                gap alone (together.narrow (0L, i, 1L)) / size together)
            |> List.max

        {
            Law = $"{name} maps each sample by itself"
            Holds = worst < 1e-12
            Detail = $"relative gap {worst:g3}"
        }

    /// The gradient of a smooth number of the image, by autograd, is that of central differences: for the input and for every parameter, along two
    /// directions each.
    let gradients
        (name: string)
        (apply: Field -> Field)
        (parameters: seq<Modules.Parameter>)
        (grid: Discretisation)
        (channels: int)
        : LawResult =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(7UL)
        let input = (field grid 2 channels 14 2).Values.requires_grad_()
        let probe: Tensor = (field grid 1 1 15 3).Values

        let loss (x: Tensor) =
            let y = (apply (new Field(grid, x))).Values
            (y.mul(probe).sum()).add(y.square().mean())

        let tracked = Array.append [| input |] [| for p in parameters -> p :> Tensor |]

        for x in tracked do
            if not (isNull x.grad) then
                x.grad <- null

        Autograd.backward (loss input)
        let slopes = tracked |> Array.map (fun x -> if isNull x.grad then x.zeros_like () else x.grad.clone ())

        for x in tracked do
            x.grad <- null

        use _ = torch.no_grad ()
        let step = 1e-5

        let worst =
            Array.map2
                (fun (x: Tensor) (slope: Tensor) ->
                    [ 1..2 ]
                    |> List.map (fun _ ->
                        let direction = torch.randn (x.shape, dtype = Nullable torch.float64, generator = generator)
                        let move (s: float) = x.add_ (direction.mul (s.ToScalar())) |> ignore
                        move step
                        let up = (loss input).ToDouble()
                        move (-2.0 * step)
                        let down = (loss input).ToDouble()
                        move step
                        let expected = (up - down) / (2.0 * step)
                        let found = slope.mul(direction).sum().ToDouble()
                        abs (found - expected) / (1.0 + abs expected))
                    |> List.max)
                tracked
                slopes
            |> Array.max

        {
            Law = $"{name}: gradients are those of central differences"
            Holds = worst < 1e-6
            Detail = $"largest relative gap {worst:g3}, {tracked.Length} tensors"
        }
