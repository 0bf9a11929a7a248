extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A family of neural operators.</summary>
public enum OperatorKind
{
    /// <summary>Fourier neural operator: Li et al. 2021. The series are those of the domain's conditions.</summary>
    Fno,

    /// <summary>The same with factorised (Tucker) weights: Kossaifi et al. 2023.</summary>
    Tfno,

    /// <summary>U-shaped neural operator: Rahman et al. 2023.</summary>
    Uno,

    /// <summary>Deep operator network: Lu et al. 2021. It reads functions at any points and answers at any points.</summary>
    DeepONet,
}

/// <summary>How several strides of the training points are used.</summary>
public enum ResolutionUse
{
    /// <summary>Every batch at a resolution drawn from the strides.</summary>
    Mixed,

    /// <summary>The strides one after another: from coarse to fine is a curriculum.</summary>
    Curriculum,
}

/// <summary>The architecture of an operator and how it is trained.</summary>
public sealed record OperatorOptions : TrainingSettings
{
    /// <summary>An FNO of width 32 with 12 modes, trained for 100 epochs of batches of 20 at a rate of 0.001 with one cycle.</summary>
    public OperatorOptions()
    {
        BatchSize = 20;
        LearningRate = 1e-3;
        WeightDecay = 1e-4;
        ClipNorm = 10;
    }

    /// <summary>The family.</summary>
    public OperatorKind Kind { get; init; }

    /// <summary>Modes kept on each axis: one number for all axes, or one for each. A grid must hold them: 2 modes - 1 points on a periodic axis.</summary>
    public IReadOnlyList<int> Modes { get; init; } = [12];

    /// <summary>
    /// Modes in use at first, fewer than <see cref="Modes"/>, one number for all axes or one for each; null starts with all. Training takes the others into use one
    /// after another over the share <see cref="Growth"/> of its iterations. George et al. 2024.
    /// </summary>
    public IReadOnlyList<int>? FirstModes { get; init; }

    /// <summary>The share of the iterations after which all modes are in use, where <see cref="FirstModes"/> are given. Default: one half.</summary>
    public double Growth { get; init; } = 0.5;

    /// <summary>Channels inside; the hidden width of a <see cref="OperatorKind.DeepONet"/> is four times this.</summary>
    public int Width { get; init; } = 32;

    /// <summary>Blocks of an FNO. An option that the kind has no use for must keep its default; others are refused.</summary>
    public int Layers { get; init; } = 4;

    /// <summary>On axes without conditions kernels have a period of (1 + this) lengths.</summary>
    public double Padding { get; init; } = 0.25;

    /// <summary>The share of the dense parameters that factorised weights keep.</summary>
    public double Rank { get; init; } = 0.1;

    /// <summary>Hidden width of a pointwise network after each block of an FNO as a multiple of <see cref="Width"/>; 0 for none.</summary>
    public double Mlp { get; init; }

    /// <summary>Whether functions are normalised between blocks, by mean and deviation over the domain.</summary>
    public bool Normalised { get; init; }

    /// <summary>Whether the place of each point is given beside the inputs. Without it, on a torus, the operator commutes with translations.</summary>
    public bool Positions { get; init; } = true;

    /// <summary>Whether the operator learns the change from its first input: for steps of motions.</summary>
    public bool Residual { get; init; }

    /// <summary>
    /// Frames that a step of a motion sees; 0: the operator maps its input functions to the whole output at once. Above 0 the output must have times, and the first
    /// input so many frames: the operator learns one step and is applied again and again.
    /// </summary>
    public int History { get; init; }

    /// <summary>Frames of motions that are trained together, each from those before.</summary>
    public int Unroll { get; init; } = 1;

    /// <summary>The most frames computed without gradients before those trained, a number drawn for each batch, so that the operator learns to go on from its own errors. Brandstetter et al. 2022.</summary>
    public int Pushforward { get; init; }

    /// <summary>Deviation of noise on the frames that a step of a motion starts from, as a multiple of their own.</summary>
    public double Noise { get; init; }

    /// <summary>Passes over the data.</summary>
    public int Epochs { get; init; } = 100;

    /// <summary>Epochs between validations.</summary>
    public int ValidateEvery { get; init; } = 1;

    /// <summary>What is lowered: the sum of these terms. Default: the relative L2 norm.</summary>
    public IReadOnlyList<OperatorLoss> Losses { get; init; } = [OperatorLoss.L2()];

    /// <summary>How the weights of several terms follow their values.</summary>
    public LossBalancing Balancing { get; init; }

    /// <summary>Strides of the training points: 1 takes all, 2 every second of each axis; several make training see several resolutions.</summary>
    public IReadOnlyList<int> Strides { get; init; } = [1];

    /// <summary>How several strides are used.</summary>
    public ResolutionUse Resolutions { get; init; }

    /// <summary>Whether the operator computes in double precision; single precision is twice as fast and usually enough.</summary>
    public bool DoublePrecision { get; init; }

    /// <summary>
    /// Which symmetries of the box the equation has: training shows each batch as it looks under one of them, which is worth as many samples as there are symmetries.
    /// For functions whose channels are scalars.
    /// </summary>
    public BoxSymmetries Symmetries { get; init; }

    /// <summary>Where it is trained: "cpu", or "cuda" where a CUDA libtorch and a GPU are present. The trained model is on the CPU again.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Input channels and output channels are scaled to mean 0 and deviation 1 over the training data.</summary>
    public bool Scaled { get; init; } = true;

    /// <summary>Throws <see cref="ArgumentException"/> for nulls, numbers of no meaning, and options that were set and mean nothing for this kind of operator.</summary>
    internal void Check(bool validated)
    {
        OperatorOptions usual = new();
        void Refuse(bool isSet, string name, string where) =>
            _ = isSet ? throw new ArgumentException($"{name} means nothing {where}; leave it at its default.") : 0;

        ArgumentNullException.ThrowIfNull(Modes);
        ArgumentNullException.ThrowIfNull(Losses);
        ArgumentNullException.ThrowIfNull(Strides);
        ArgumentNullException.ThrowIfNull(Device);
        Interop.Defined(Kind);
        Interop.Defined(Balancing);
        Interop.Defined(Resolutions);
        Interop.Defined(Symmetries);
        if (Losses.Any(loss => loss is null))
        {
            throw new ArgumentException("A term of Losses is null.");
        }

        if (FirstModes is not null && !(Growth > 0 && Growth <= 1))
        {
            throw new ArgumentException($"Growth is the share of the iterations after which all modes are in use, above 0 and at most 1; got {Growth}.");
        }

        bool isFno = Kind is OperatorKind.Fno or OperatorKind.Tfno;
        string kind = $"for a {Kind}";
        Refuse(!isFno && Layers != usual.Layers, nameof(Layers), kind);
        Refuse(!isFno && FirstModes is not null, nameof(FirstModes), kind);
        Refuse(FirstModes is null && Growth != usual.Growth, nameof(Growth), "without FirstModes");
        Refuse(!isFno && Mlp != usual.Mlp, nameof(Mlp), kind);
        Refuse(Kind != OperatorKind.Tfno && Rank != usual.Rank, nameof(Rank), kind);
        if (Kind == OperatorKind.DeepONet)
        {
            Refuse(!Modes.SequenceEqual(usual.Modes), nameof(Modes), kind);
            Refuse(Padding != usual.Padding, nameof(Padding), kind);
            Refuse(Normalised, nameof(Normalised), kind);
            Refuse(!Positions, nameof(Positions), kind);
            Refuse(Residual, nameof(Residual), kind);
        }

        Refuse(!validated && Patience != usual.Patience, nameof(Patience), "without validation data");
        Refuse(Strides.Count < 2 && Resolutions != usual.Resolutions, nameof(Resolutions), "with a single stride");
        const string Still = "without History";
        Refuse(History == 0 && Unroll != usual.Unroll, nameof(Unroll), Still);
        Refuse(History == 0 && Pushforward != usual.Pushforward, nameof(Pushforward), Still);
        Refuse(History == 0 && Noise != usual.Noise, nameof(Noise), Still);
    }

    internal Core.OperatorTrainingOptions Training() =>
        new(
            Epochs,
            Loop(Core.OptimizerKind.AdamW, Core.LearningRateSchedule.OneCycle, 1, ValidateEvery),
            [.. Losses.Select(loss => loss.Inner)],
            Balancing switch
            {
                LossBalancing.SoftAdapt => Core.BalanceRule.SoftAdaptDefault,
                LossBalancing.ReLoBRaLo => Core.BalanceRule.ReLoBRaLoDefault((ulong)Math.Max(0, Seed)),
                _ => Core.BalanceRule.Constant,
            },
            [.. Strides],
            (Core.ResolutionPlan)(int)Resolutions,
            (Core.BoxSymmetries)(int)Symmetries,
            FirstModes is null ? 0 : Growth,
            new Core.RolloutOptions(Unroll, Pushforward, Noise)
        );

    internal int[] AxisModes(int dimension) => ForAxes(nameof(Modes), Modes, dimension);

    private static int[] ForAxes(string name, IReadOnlyList<int> numbers, int dimension) =>
        numbers.Count == dimension ? [.. numbers]
        : numbers.Count == 1 ? [.. Enumerable.Repeat(numbers[0], dimension)]
        : throw new ArgumentException($"The domain has {dimension} axes and {name} {numbers.Count} numbers; give one for all or one for each.");

    internal Core.FnoOptions Fno(int dimension) =>
        new(
            width: Width,
            modes: AxisModes(dimension),
            layers: Layers,
            lifting: 0,
            projection: 4 * Width,
            weights: Kind == OperatorKind.Tfno ? Core.SpectralWeightKind.Tucker : Core.SpectralWeightKind.Dense,
            rank: Rank,
            padding: Padding,
            firstModes: FirstModes is null ? [] : ForAxes(nameof(FirstModes), FirstModes, dimension),
            skip: Core.OperatorSkip.Linear,
            mlp: Mlp,
            norm: Normalised ? Core.FunctionNormKind.Instance : Core.FunctionNormKind.None,
            activation: Core.OperatorActivation.Gelu,
            positions: Positions,
            scalars: Core.ScalarUse.Channels,
            residual: Residual
        );

    internal Core.UnoOptions Uno(int dimension)
    {
        int[] modes = AxisModes(dimension);
        int[] inner = [.. modes.Select(m => Math.Max(1, m / 2))];
        return new(
            widths: [Width, Width, Width, Width, Width],
            modes: [.. modes, .. inner, .. inner, .. inner, .. modes],
            scalings: [1, 0.5, 1, 1, 2],
            lifting: 0,
            projection: 4 * Width,
            weights: Core.SpectralWeightKind.Dense,
            rank: 0.5,
            padding: Padding,
            skip: Core.OperatorSkip.Linear,
            norm: Normalised ? Core.FunctionNormKind.Instance : Core.FunctionNormKind.None,
            activation: Core.OperatorActivation.Gelu,
            positions: Positions,
            scalars: Core.ScalarUse.Channels,
            residual: Residual
        );
    }

    internal Core.DeepONetOptions DeepONet() =>
        new(
            encoder: Core.FunctionEncoder.Projection,
            readings: 4 * Width,
            basis: 4 * Width,
            branch: [4 * Width, 4 * Width],
            trunk: [4 * Width, 4 * Width],
            activation: Core.OperatorActivation.Gelu
        );
}
