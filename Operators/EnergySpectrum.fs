// How the energy of functions is spread over wave numbers.
namespace Continuum

open System
open TorchSharp

/// Energy spectra of fields at uniform points.
[<RequireQualifiedAccess>]
module EnergySpectrum =

    let private bad (text: string) = raise (ArgumentException text)

    /// sin^2, scaled to mean square 1: without it a jump between the two ends of an axis that is not periodic fills all wave numbers.
    let private window (points: AxisPoints) : float[] =
        if points.Axis.Boundary = Boundary.Periodic then
            Array.create points.Count 1.0
        else
            let hann =
                Array.init points.Count (fun j -> sin (Math.PI * (float j + 0.5) / float points.Count) ** 2.0)

            let size = hann |> Array.averageBy (fun w -> w * w) |> sqrt
            hann |> Array.map (fun w -> w / size)

    /// The squared size of each mode, mean over the samples and sum over the channels, row-major over the axes.
    let private powers (axes: AxisPoints[]) (values: Tensor) : float[] =
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let mutable x = values.``to`` (torch.float64, torch.CPU)

        axes
        |> Array.iteri (fun i points ->
            let shape = Array.create axes.Length 1L
            shape[i] <- int64 points.Count
            x <- x.mul (Tensors.ofArray (window points) shape torch.float64 torch.CPU))

        for i in 0 .. axes.Length - 1 do
            x <- torch.fft.fft_ (x, dim = int64 (i + 2), norm = FFTNormType.Forward)

        Tensors.toArray (x.abs().square().sum([| 1L |]).mean [| 0L |])

    /// The energy by wave number: entry k is the sum of the squared sizes of the Fourier coefficients whose wave number rounds to k, mean over the samples
    /// and sum over the channels. Wave numbers count periods over the longest axis, |k| of several axes is Euclidean, and the last entry is the highest that all
    /// axes hold. On periodic axes the sum over all k is the mean square of the function, where it has no higher modes; values on other axes are multiplied by
    /// sin^2 from end to end first. ArgumentException for clouds and for points that are not uniform.
    let ofField (field: Field) : float[] =
        ArgumentNullException.ThrowIfNull(field, nameof field)
        let points = field.Discretisation

        if not points.IsUniform then
            bad $"A spectrum needs uniform points on each axis; the field is given at {points}. Resample it."

        NativeLibraries.ensure ()
        let axes = points.Axes
        let longest = axes |> Array.map _.Axis.Length |> Array.max
        let sizes = axes |> Array.map _.Count
        // The transform takes the points as one period: of n distances, whatever the layout.
        let unit = axes |> Array.map (fun a -> longest / (float a.Count * a.Spacing))

        let highest =
            Array.map2 (fun n u -> float (n / 2) * u) sizes unit
            |> Array.min
            |> fun k -> int (Math.Round(k, MidpointRounding.AwayFromZero))

        let energy = Array.zeroCreate (highest + 1)

        powers axes field.Values
        |> Array.iteri (fun flat power ->
            let mutable rest = flat
            let mutable square = 0.0

            for i in sizes.Length - 1 .. -1 .. 0 do
                let place = rest % sizes[i]
                rest <- rest / sizes[i]
                let k = float (if place <= sizes[i] / 2 then place else place - sizes[i]) * unit[i]
                square <- square + k * k

            let shell = int (Math.Round(sqrt square, MidpointRounding.AwayFromZero))

            if shell <= highest then
                energy[shell] <- energy[shell] + power)

        energy
