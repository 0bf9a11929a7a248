// From a data set to what the networks take: driving paths, scaled covariates, and which knot is which visit.
namespace Continuum

open System
open TorchSharp

/// A batch of subjects as tensors. Dispose it.
[<Sealed>]
type internal CdeInputs(path: ControlPath, values: Tensor, statics: Tensor, rows: int[]) =
    /// What drives the equation: the path, or its cumulative log-signatures.
    member _.Path = path
    /// Values of the path itself at the visits, (visits, subjects, path channels); those of the last visit stay.
    member _.Values = values
    /// Scaled covariates, (subjects, covariates), or null.
    member _.Statics = statics
    /// Visits of each subject.
    member _.Rows = rows

    /// Some of the subjects.
    member _.Select(indices: int[]) : CdeInputs =
        use _ = torch.NewDisposeScope()
        let index = torch.tensor(Array.map int64 indices).clone()
        let pick dim (x: Tensor) = if isNull x then null else x.index_select(dim, index).DetachFromDisposeScope()
        new CdeInputs(path.Select indices, pick 1L values, pick 0L statics, indices |> Array.map (fun i -> rows[i]))

    interface IDisposable with
        member _.Dispose() =
            (path :> IDisposable).Dispose()
            values.Dispose()

            if not (isNull statics) then
                statics.Dispose()

/// Making inputs.
[<RequireQualifiedAccess>]
module internal NeuralCdePaths =
    /// How paths are built.
    let control (config: NeuralCdeConfig) : ControlOptions = {
        (if config.Causal then
             ControlOptions.causal config.Scheme
         else
             ControlOptions.create config.Scheme) with
            Intensity = if config.Intensity then IntensityChannels.Every else IntensityChannels.Nothing
    }

    /// Factors on the path's channels before they meet the networks: counters in units of the usual number of visits, and log-signature
    /// coordinates the product of their letters' factors.
    let channelScale (config: NeuralCdeConfig) : float[] =
        let counters = if config.Intensity then config.Channels.Length else 0

        let plain =
            Array.init config.PathChannels (fun j ->
                if j > 0 && j <= counters then 1.0 / config.Scaling.CountUnit else 1.0)

        if config.IsRough then
            LyndonBasis.Create(plain.Length, config.Depth).Words
            |> Array.map (Array.fold (fun product letter -> product * plain[letter]) 1.0)
        else
            plain

    /// Cumulative log-signatures over windows of visits.
    let private windowed (config: NeuralCdeConfig) (path: ControlPath) : ControlPath =
        let driver = LogOde.driver config.Depth (Windows.Every config.Window) null path.AtKnots
        ControlPath.linear (Array.init (driver.Windows + 1) float) driver.Cumulative

    let private checkNames (what: string) (expected: string[]) (found: string[]) =
        if found <> expected then
            let a, b = String.Join(", ", expected), String.Join(", ", found)

            raise (
                ArgumentException
                    $"the model has the {what} [{a}], the data [{b}]; they must be the same in the same order"
            )

    /// The inputs of these subjects. ArgumentException for other channels or covariates than the model's.
    let create (config: NeuralCdeConfig) (data: IrregularSeries) : CdeInputs =
        checkNames "channels" config.Channels data.Channels
        checkNames "covariates" config.Statics data.StaticNames
        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let scaled = data.Subjects |> Array.map (fun s -> SeriesScaling.path config.Scaling s.Path)

        let rowsOf (path: ObservedPath) =
            Array.init path.Rows (fun i -> Array.init path.Columns (fun j -> path.Values[i, j]))

        use series =
            SeriesBatch.ofArrays
                (data.Subjects |> Array.map _.Id)
                (scaled |> Array.map _.Times)
                (scaled |> Array.map rowsOf)

        let plain = ControlPath.create (control config) series

        let width = SeriesScaling.staticWidth config.Scaling

        let statics =
            if width = 0 then
                null
            else
                let values = data.Subjects |> Array.collect (fun s -> SeriesScaling.statics config.Scaling s.Statics)
                Tensors.ofArray values [| int64 data.Count; int64 width |] torch.float64 torch.CPU

        let values =
            let knots = plain.AtKnots.movedim ([| 1L |], [| 0L |])
            let stride = if config.Scheme = ControlScheme.Rectilinear then 2 else 1
            let visits = scaled |> Array.map _.Rows |> Array.max
            let index = torch.tensor(Array.init visits (fun i -> int64 (stride * i))).clone()
            knots.index_select (0L, index)

        let path =
            if config.IsRough then
                let rough = windowed config plain
                (plain :> IDisposable).Dispose()
                rough
            else
                plain

        let keep (x: Tensor) = if isNull x then null else x.DetachFromDisposeScope()
        new CdeInputs(path, keep values, keep statics, scaled |> Array.map _.Rows)

    /// Scaled values with missing ones repeating the last one (0, the mean, before the first): what is known at each visit.
    let lastKnown (config: NeuralCdeConfig) (subject: IrregularSubject) : float[,] =
        let scaled = SeriesScaling.path config.Scaling subject.Path
        let known = Array2D.copy scaled.Values

        for j in 0 .. scaled.Columns - 1 do
            for i in 0 .. scaled.Rows - 1 do
                if Double.IsNaN known[i, j] then
                    known[i, j] <- if i = 0 then 0.0 else known[i - 1, j]

        known
