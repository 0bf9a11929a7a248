// Predictions for a subject whose visits arrive one by one.
namespace Continuum

open System
open TorchSharp

/// One subject under observation: push each visit as it happens and get the prediction that the model makes of the visits so far, the same as
/// PredictOverTime gives for the whole series. Memory does not grow with the visits. Uses the model, which must outlive it; dispose it.
[<Sealed>]
type NeuralCdeStream(model: NeuralCdeModel, statics: float[]) =
    do
        ArgumentNullException.ThrowIfNull(model, nameof model)
        ArgumentNullException.ThrowIfNull(statics, nameof statics)
        let config = model.Config

        if config.Task = NeuralCdeTask.Forecast then
            raise (ArgumentException "a stream is for classifiers and regressors; this model forecasts: call Forecast")

        if config.IsRough then
            raise (
                ArgumentException
                    "a model of log-signatures has no state at every visit; fit one with Depth = 1 and Window = 1"
            )

        if not config.Causal then
            raise (ArgumentException "the model looks at later visits; fit one with Causal = true")

        if statics.Length <> config.Statics.Length then
            raise (ArgumentException $"{statics.Length} covariates were given; the model has {config.Statics.Length}")

    let config = model.Config
    let channels = config.Channels.Length
    let known: float[] = Array.zeroCreate channels
    let counts: float[] = Array.zeroCreate channels

    let covariates =
        match SeriesScaling.statics config.Scaling statics with
        | [||] -> null
        | values ->
            (Tensors.ofArray values [| 1L; values.LongLength |] torch.float64 torch.CPU).DetachFromDisposeScope()

    let stream =
        new CdeStream(
            model.Networks.Field,
            NeuralCdePaths.control config,
            model.SolveOptions(CdeSave.End, Differentiation.None),
            Func<Tensor, Tensor>(fun first -> model.Networks.Initial(first, covariates)),
            1,
            channels
        )

    /// The path's value at the visit, (1, path channels).
    let valueAt (time: float) : Tensor =
        let value = Array.concat [ [| time |]; (if config.Intensity then counts else [||]); known ]
        Tensors.ofArray value [| 1L; value.LongLength |] torch.float64 torch.CPU

    /// Visits so far.
    member _.Visits = stream.Observations

    /// Takes a visit, one value for each channel (NaN where nothing was measured), and predicts: the probability of each class, or the targets in
    /// their own units. ArgumentException, leaving the stream as it was, for a time that is not after the last one, another number of
    /// values, an infinite one, and one without the logarithm that its channel is scaled by.
    member _.Push(time: float, values: float[]) : float[] =
        ArgumentNullException.ThrowIfNull values

        if values.Length <> channels then
            raise (ArgumentException $"{values.Length} values were pushed; the model has {channels} channels")

        use _ = torch.NewDisposeScope()
        use _ = torch.no_grad ()
        let scaled = values |> Array.mapi (SeriesScaling.value config.Scaling)
        let now = SeriesScaling.time config.Scaling time
        let row = Tensors.ofArray scaled [| 1L; int64 channels |] torch.float64 torch.CPU
        let z = stream.Push([| now |], row)

        for j in 0 .. channels - 1 do
            if not (Double.IsNaN scaled[j]) then
                known[j] <- scaled[j]
                counts[j] <- counts[j] + 1.0

        Tensors.toArray (model.Present(model.Networks.Read(z, valueAt now, covariates)))

    interface IDisposable with
        member _.Dispose() =
            (stream :> IDisposable).Dispose()

            if not (isNull covariates) then
                covariates.Dispose()
