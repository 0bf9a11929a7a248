extern alias core;

using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>What a neural CDE predicts.</summary>
public enum NeuralCdeTask
{
    /// <summary>One of several classes.</summary>
    Classification,

    /// <summary>Numbers.</summary>
    Regression,

    /// <summary>The channels themselves at later times.</summary>
    Forecast,
}

/// <summary>How <see cref="NeuralCdeModel.Fit"/> fits a neural controlled differential equation. The defaults fit a classifier.</summary>
public sealed record NeuralCdeOptions : PathTrainingSettings
{
    /// <summary>What is predicted. Default (null): classes or numbers, as the data have them; without either, a forecast.</summary>
    public NeuralCdeTask? Task { get; init; }

    /// <summary>The width of the hidden state of a layer.</summary>
    public int State { get; init; } = 16;

    /// <summary>Layers: the state of each drives the next one's equation.</summary>
    public int Layers { get; init; } = 1;

    /// <summary>The widths of the vector fields' hidden layers.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [32];

    /// <summary>The nonlinearity of the networks.</summary>
    public NeuralActivation Activation { get; init; } = NeuralActivation.Silu;

    /// <summary>The fields have a gate and decay with time, as a gated recurrent unit.</summary>
    public bool Gated { get; init; }

    /// <summary>How the path runs between the visits.</summary>
    public ControlScheme Scheme { get; init; } = ControlScheme.Hermite;

    /// <summary>The path up to a visit depends on nothing later. Forecasts need it.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>The path counts the observations of each channel, so that when and whether something was measured can be seen.</summary>
    public bool Intensity { get; init; } = true;

    /// <summary>The readout also sees the last values and the covariates, so that a linear model of these is part of the model.</summary>
    public bool Skip { get; init; } = true;

    /// <summary>The depth of log-signatures, 1 to 4: above 1 a neural rough differential equation, for long series.</summary>
    public int Depth { get; init; } = 1;

    /// <summary>Visits in a window of the log-signature.</summary>
    public int Window { get; init; } = 1;

    /// <summary>The explicit method.</summary>
    public OdeMethod Method { get; init; } = OdeMethod.Rk4;

    /// <summary>Steps between neighbouring knots of the path.</summary>
    public int StepsPerPiece { get; init; } = 1;

    /// <summary>Channels to take logarithms of; null takes the positive ones that are skewed to the right.</summary>
    public IReadOnlyList<string>? Logarithmic { get; init; }

    /// <summary>A factor on the learning rate of the vector fields: below 1 they learn more slowly than the maps around them.</summary>
    public double FieldRate { get; init; } = 1;

    /// <summary>
    /// Weight decay acts beside the gradient (AdamW: Loshchilov and Hutter 2019). False: as a ridge penalty within it, which Adam then scales.
    /// </summary>
    public bool DecoupledDecay { get; init; } = true;

    /// <summary>The weight of each class in the loss; null weighs all subjects alike.</summary>
    public IReadOnlyList<double>? ClassWeights { get; init; }

    /// <summary>The share of the subjects that decides which parameters are kept, and with a patience when to stop; 0: none, the last are kept.</summary>
    public double ValidationFraction { get; init; } = 0.2;

    /// <summary>Visits after each cut that a forecaster is trained on.</summary>
    public int Horizon { get; init; } = 4;

    /// <summary>The longest step of a forecast, in scaled time (1 is about the length of the series).</summary>
    public double ForecastStep { get; init; } = 0.1;

    /// <summary>How gradients pass through the solves.</summary>
    public Gradient Gradient { get; init; } = Gradient.Discrete();

    /// <summary>
    /// Options for a few hundred subjects: a small linear field that learns slowly, a ridge penalty, averaged parameters and no validation part, which would be
    /// too small to decide anything.
    /// </summary>
    public static NeuralCdeOptions Small { get; } =
        new()
        {
            State = 4,
            Hidden = [],
            ValidationFraction = 0,
            Gradient = Gradient.Recorded,
            Iterations = 150,
            LearningRate = 5e-3,
            WeightDecay = 0.3,
            DecoupledDecay = false,
            FieldRate = 0.1,
            Averaging = 0.3,
            Patience = 0,
        };

    internal Core.NeuralCdeOptions Inner(IrregularDataset data) =>
        new(
            Kind(data),
            false,
            State,
            Layers,
            [.. Hidden ?? []],
            Interop.Activation(Activation),
            Gated,
            (Core.ControlScheme)(int)Scheme,
            Causal,
            Intensity,
            Skip,
            Depth,
            Window,
            Method.Name,
            StepsPerPiece,
            Logarithmic is null ? null : [.. Logarithmic],
            FieldRate,
            data.ClassNames.Count == 0 ? null : [.. data.ClassNames],
            ClassWeights is null ? null : [.. ClassWeights],
            ValidationFraction,
            Horizon,
            ForecastStep,
            Gradient.Value,
            Loop(DecoupledDecay && WeightDecay > 0 ? Core.OptimizerKind.AdamW : Core.OptimizerKind.Adam, Core.LearningRateSchedule.Cosine)
        );

    private Core.NeuralCdeTask Kind(IrregularDataset data) =>
        Task is { } task ? (Core.NeuralCdeTask)(int)task
        : data.ClassNames.Count > 0 ? Core.NeuralCdeTask.Classification
        : data.TargetNames.Count > 0 ? Core.NeuralCdeTask.Regression
        : Core.NeuralCdeTask.Forecast;
}
