namespace Continuum.Properties

open System
open Continuum
open TorchSharp

/// Laws of changing the grid of a periodic function: `resample` takes values (.., n1, .., nd) and the sizes of the new grid. They are tried on real
/// functions in float64 on [0, 1)^d.
[<RequireQualifiedAccess>]
module ResamplingLaws =

    let private text (sizes: int[]) = String.Join(" x ", sizes)

    /// A sum of cosines with random modes |k| <= most on each axis, signs of both kinds, on a grid of these sizes; shift in units of the period.
    let private polynomial (seed: int) (most: int) (shift: float) (sizes: int[]) : Tensor =
        let random = Random seed
        let d = sizes.Length

        let waves =
            Array.init 12 (fun _ ->
                let k = Array.init d (fun _ -> random.Next(-most, most + 1))
                struct (k, 2.0 * random.NextDouble() - 1.0, 2.0 * Math.PI * random.NextDouble()))

        let count = Array.fold (*) 1 sizes

        let values =
            Array.init count (fun flat ->
                let mutable rest = flat
                let x = Array.zeroCreate d

                for axis in d - 1 .. -1 .. 0 do
                    x[axis] <- float (rest % sizes[axis]) / float sizes[axis] + shift
                    rest <- rest / sizes[axis]

                waves
                |> Array.sumBy (fun (struct (k, size, phase)) ->
                    let angle = Array.fold2 (fun sum (k: int) x -> sum + float k * x) 0.0 k x
                    size * cos (2.0 * Math.PI * angle + phase)))

        Tensors.ofArray values (Array.map int64 sizes) torch.float64 torch.CPU

    let private law name (from: int[]) (upto: int[]) (gap: float) = {
        Law = $"resampling from {text from} to {text upto} points: {name}"
        Holds = gap < 1e-12
        Detail = $"largest gap {gap:g3}"
    }

    let private gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

    /// A function whose modes lie below half of every size is the same function on the new grid, for modes of every sign.
    let bandLimited (resample: int[] -> Tensor -> Tensor) (from: int[]) (upto: int[]) : LawResult =
        use _ = torch.NewDisposeScope()
        let most = (min (Array.min from) (Array.min upto) - 1) / 2

        [ 1..3 ]
        |> List.map (fun seed -> gap (resample upto (polynomial seed most 0.0 from)) (polynomial seed most 0.0 upto))
        |> List.max
        |> law "a band-limited function is exact" from upto

    /// Any values come back from a finer grid; from a coarser one they come back after a second time.
    let thereAndBack (resample: int[] -> Tensor -> Tensor) (from: int[]) (upto: int[]) : LawResult =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(5UL)

        let x = torch.randn (Array.map int64 from, dtype = Nullable torch.float64, generator = generator)

        let round (x: Tensor) = resample from (resample upto x)
        let once = round x

        if Array.forall2 (<=) from upto then
            law "there and back is the identity" from upto (gap once x)
        else
            law "there and back is a projection" from upto (gap (round once) once)

    /// The mean of any values stays, and constants are constants.
    let mean (resample: int[] -> Tensor -> Tensor) (from: int[]) (upto: int[]) : LawResult =
        use _ = torch.NewDisposeScope()
        use generator = new torch.Generator(6UL)

        let x = torch.randn (Array.map int64 from, dtype = Nullable torch.float64, generator = generator)

        law "the mean stays" from upto (gap ((resample upto x).mean()) (x.mean ()))

    /// Translating the function commutes with changing its grid.
    let translation (resample: int[] -> Tensor -> Tensor) (from: int[]) (upto: int[]) : LawResult =
        use _ = torch.NewDisposeScope()
        let most = (min (Array.min from) (Array.min upto) - 1) / 2
        let moved = polynomial 4 most 0.137
        law "commutes with translations" from upto (gap (resample upto (moved from)) (moved upto))

    /// All of them, for every pair of these grids of one dimension.
    let all (resample: int[] -> Tensor -> Tensor) (grids: int[][]) : LawResult[] = [|
        for from in grids do
            for upto in grids do
                bandLimited resample from upto
                thereAndBack resample from upto
                mean resample from upto
                translation resample from upto
    |]
