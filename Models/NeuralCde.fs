// Neural controlled differential equations: the front door.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// A fitted model and how its training ended.
type NeuralCdeFit = {
    /// The model; the caller disposes it.
    Model: NeuralCdeModel
    /// How the training ended; the losses are cross-entropies, or mean squared distances in units of each target's or channel's variance.
    Training: TrainingSummary
}

/// Classifiers, regressors and forecasters of irregular series.
[<RequireQualifiedAccess>]
module NeuralCde =
    /// Fits a model to a data set. Subjects are split into training and validation by options.ValidationFraction; scaling comes from those trained
    /// on. Everything random comes from options.Loop.Seed: the same call gives the same model bit for bit, also when it was interrupted and
    /// resumed from options.Loop.CheckpointPath. `progress` (may be null) is called after every iteration.
    /// ArgumentException for options out of range or data that have not what the task needs (with the name of the subject),
    /// TrainingException when the loss does not stay finite, OperationCanceledException when cancelled (after a checkpoint, if a path is given),
    /// InvalidDataException for a damaged or foreign checkpoint.
    let fit
        (options: NeuralCdeOptions)
        (data: IrregularSeries)
        (progress: Action<TrainingReport>)
        (cancellation: CancellationToken)
        : NeuralCdeFit =
        NativeLibraries.ensure ()
        ArgumentNullException.ThrowIfNull data
        NeuralCdeOptions.check options
        let struct (training, held) = NeuralCdeTraining.split options data
        let config = NeuralCdeOptions.configure options data (data.Subset training)
        let model = NeuralCdeModel.Create config

        ModelFile.guarded model (fun () ->
            use _ = torch.enable_grad ()
            let summary = NeuralCdeTraining.run options model data training held progress cancellation
            { Model = model; Training = summary })

    /// Reads a model that was saved, or the present model of a training's checkpoint. InvalidDataException, one line, for a damaged or
    /// foreign file, FileNotFoundException for a missing one.
    let load (path: string) : NeuralCdeModel =
        NativeLibraries.ensure ()
        NeuralCdeModel.Load path
