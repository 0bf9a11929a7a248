// What a neural controlled differential equation is made of, and how a file holds that.
namespace Continuum

open System

/// What is predicted.
type NeuralCdeTask =
    /// One of several classes.
    | Classification = 0
    /// Numbers.
    | Regression = 1
    /// The channels themselves at later times.
    | Forecast = 2

/// What must be known to build the same model again.
type NeuralCdeConfig = {
    /// What is predicted.
    Task: NeuralCdeTask
    /// A prediction at every visit, instead of one at the end (always false for forecasts, which can start at every visit).
    PerVisit: bool
    /// Names of the channels.
    Channels: string[]
    /// Names of the covariates that do not change.
    Statics: string[]
    /// Names of the classes, of the targets, or of the channels that are forecast.
    Outputs: string[]
    /// Width of the hidden state of a layer.
    State: int
    /// Layers: the state of each drives the next one's equation.
    Layers: int
    /// Widths of the hidden layers of the vector fields.
    Hidden: int[]
    /// Nonlinearity of the networks.
    Activation: Activation
    /// The fields have a gate and decay with time, as a gated recurrent unit.
    Gated: bool
    /// How the path runs between the visits.
    Scheme: ControlScheme
    /// The path up to a visit depends on nothing later: missing values repeat the last one, the mean before the first.
    Causal: bool
    /// The path counts the observations of each channel.
    Intensity: bool
    /// The readout also sees the path's value (time, counters, last known values) and the covariates, so that a linear model of these is
    /// part of the model.
    Skip: bool
    /// Depth of the log-signatures that drive the equation (a neural rough differential equation); 1 takes the path itself.
    Depth: int
    /// Visits in a window of the log-signature.
    Window: int
    /// Name of the explicit method (Methods.Names).
    Method: string
    /// Steps between neighbouring knots of the path.
    StepsPerPiece: int
    /// Longest step of a forecast, in scaled time.
    ForecastStep: float
    /// Seed of the first weights.
    Seed: int
    /// Scaling of channels, covariates and times.
    Scaling: SeriesScaling
    /// Mean of each target over the training data (regression).
    TargetMean: float[]
    /// Standard deviation of each target.
    TargetDeviation: float[]
} with

    /// The path is windowed into log-signatures.
    member this.IsRough = this.Depth > 1 || this.Window > 1

    /// Channels of the path: time, counters, data.
    member this.PathChannels = 1 + (if this.Intensity then 2 else 1) * this.Channels.Length

/// Configurations as JSON.
module internal NeuralCdeConfig =
    let toJson (c: NeuralCdeConfig) : string =
        let flags (values: bool[]) = values |> Array.map (fun flag -> if flag then 1 else 0)

        ConfigText.write [
            "task", c.Task
            "perVisit", c.PerVisit
            "channels", c.Channels
            "statics", c.Statics
            "outputs", c.Outputs
            "state", c.State
            "layers", c.Layers
            "hidden", c.Hidden
            "activation", c.Activation
            "gated", c.Gated
            "scheme", c.Scheme
            "causal", c.Causal
            "intensity", c.Intensity
            "skip", c.Skip
            "depth", c.Depth
            "window", c.Window
            "method", c.Method
            "stepsPerPiece", c.StepsPerPiece
            "forecastStep", c.ForecastStep
            "seed", c.Seed
            "logarithmic", flags c.Scaling.Logarithmic
            "mean", c.Scaling.Mean
            "deviation", c.Scaling.Deviation
            "staticMean", c.Scaling.StaticMean
            "staticDeviation", c.Scaling.StaticDeviation
            "staticMissing", flags c.Scaling.StaticMissing
            "origin", c.Scaling.Origin
            "timeUnit", c.Scaling.TimeUnit
            "countUnit", c.Scaling.CountUnit
            "targetMean", c.TargetMean
            "targetDeviation", c.TargetDeviation
        ]

    /// InvalidDataException, naming the file, where something is missing or does not fit together.
    let ofJson (path: string) (text: string) : NeuralCdeConfig =
        let reader = ConfigReader(path, text)
        let flags key = reader.List<int> key |> Array.map (fun flag -> flag <> 0)

        let config = {
            Task = reader.Enum "task"
            PerVisit = reader.Get "perVisit"
            Channels = reader.List "channels"
            Statics = reader.List "statics"
            Outputs = reader.List "outputs"
            State = reader.Get "state"
            Layers = reader.Get "layers"
            Hidden = reader.List "hidden"
            Activation = reader.Enum "activation"
            Gated = reader.Get "gated"
            Scheme = reader.Enum "scheme"
            Causal = reader.Get "causal"
            Intensity = reader.Get "intensity"
            Skip = reader.Get "skip"
            Depth = reader.Get "depth"
            Window = reader.Get "window"
            Method = reader.Get "method"
            StepsPerPiece = reader.Get "stepsPerPiece"
            ForecastStep = reader.Get "forecastStep"
            Seed = reader.Get "seed"
            Scaling = {
                Logarithmic = flags "logarithmic"
                Mean = reader.List "mean"
                Deviation = reader.List "deviation"
                StaticMean = reader.List "staticMean"
                StaticDeviation = reader.List "staticDeviation"
                StaticMissing = flags "staticMissing"
                Origin = reader.Get "origin"
                TimeUnit = reader.Get "timeUnit"
                CountUnit = reader.Get "countUnit"
            }
            TargetMean = reader.List "targetMean"
            TargetDeviation = reader.List "targetDeviation"
        }

        let channels, statics = config.Channels.Length, config.Statics.Length
        let scaling = config.Scaling

        if
            channels = 0
            || config.Outputs.Length = 0
            || scaling.Mean.Length <> channels
            || scaling.Deviation.Length <> channels
            || scaling.Logarithmic.Length <> channels
            || scaling.StaticMean.Length <> statics
            || scaling.StaticDeviation.Length <> statics
            || scaling.StaticMissing.Length <> statics
            || (config.Task = NeuralCdeTask.Regression && config.TargetMean.Length <> config.Outputs.Length)
            || config.TargetDeviation.Length <> config.TargetMean.Length
        then
            reader.Damaged "its lists differ in length"

        if
            config.State < 1
            || config.Layers < 1
            || config.Depth < 1
            || config.Window < 1
            || config.StepsPerPiece < 1
        then
            reader.Damaged "it has a size below 1"

        config
