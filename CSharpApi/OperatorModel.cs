extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using TorchSharp;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A learned map from functions to functions, such as from a coefficient or an initial state to the solution of an equation. It is made of integrals and pointwise
/// maps: the same operator takes functions on finer or other points than it was trained on.
/// </summary>
/// <remarks>It owns native memory: dispose it. One thread may use it at a time.</remarks>
public sealed class OperatorModel : IDisposable
{
    private const int BatchSize = 20;

    private readonly Core.NeuralOperator _inner;
    private bool _disposed;

    internal OperatorModel(Core.NeuralOperator model, Core.TrainingSummary? training)
    {
        _inner = model;
        Curve = training is null ? [] : [.. training.Curve.Select(point => new LearningPoint(point.Iteration, point.Loss, point.Validation))];
        ValidationError = training?.Validation ?? double.NaN;
        Iterations = training?.Iterations ?? 0;
        TrainingTime = training?.Elapsed ?? TimeSpan.Zero;
    }

    /// <summary>What it is: "fno", "uno", "deeponet"; of motions with "autoregressive".</summary>
    public string Kind
    {
        get
        {
            List<string> kinds = [];
            Core.NeuralOperator model = Inner;
            while (true)
            {
                switch (model)
                {
                    case Core.Autoregressive motion:
                        kinds.Add("autoregressive");
                        model = motion.Inner;
                        break;
                    case Core.ScaledOperator scaled:
                        model = scaled.Inner;
                        break;
                    default:
                        kinds.Add(model.Kind);
                        return string.Join(' ', kinds);
                }
            }
        }
    }

    /// <summary>Real parameters; complex ones count twice.</summary>
    public long ParameterCount => Inner.ParameterCount;

    /// <summary>The domain of its functions, in words.</summary>
    public string Domain => Inner.Domain.ToString();

    /// <summary>What holds at the ends of each axis; null where nothing is known.</summary>
    public IReadOnlyList<BoundaryCondition?> Boundaries => OperatorData.BoundariesOf(Inner.Domain);

    /// <summary>Channels of each input function.</summary>
    public IReadOnlyList<int> InputChannels => Inner.InputChannels;

    /// <summary>Channels of the image.</summary>
    public int OutputChannels => Inner.OutputChannels;

    /// <summary>The course of its training, a point for each validation; empty for a model from a file.</summary>
    public IReadOnlyList<LearningPoint> Curve { get; }

    /// <summary>The best mean relative L2 error over the validation data; NaN where there were none, and for a model from a file.</summary>
    public double ValidationError { get; }

    /// <summary>Iterations done by the training; 0 for a model from a file.</summary>
    public int Iterations { get; }

    /// <summary>The time that the training took, with that before a resume.</summary>
    public TimeSpan TrainingTime { get; }

    internal Core.NeuralOperator Inner
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _inner;
        }
    }

    /// <summary>Reads a model that <see cref="Save"/> wrote, or a checkpoint of a training.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static OperatorModel Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.OperatorFile.load(path), null);
    }

    /// <summary>Writes the model as a safetensors file, atomically: its images after <see cref="Load"/> are the same bit for bit.</summary>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Core.OperatorFile.save(path, Inner);
    }

    /// <summary>The images of all samples at the points of the data's output, as data of the same inputs.</summary>
    /// <exception cref="ArgumentException">The data have other channels, parameters or another domain than the model, or points that do not hold its modes.</exception>
    public OperatorData Predict(OperatorData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return Predicted(data, null);
    }

    /// <summary>The images of all samples on other points: <paramref name="sizes"/> at equal distances on each axis, in the axis's usual layout.</summary>
    /// <exception cref="ArgumentException">The data do not fit the model, or there is not one size for each axis.</exception>
    public OperatorData PredictAt(OperatorData data, params int[] sizes)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(sizes);
        return Predicted(data, Core.Discretisation.Uniform(Inner.Domain, sizes));
    }

    /// <summary>The images of input functions whose output is not known.</summary>
    /// <param name="inputs">
    /// The input functions, matched to those of the training data by their order and not by their names, at points at equal distances on the model's domain in the
    /// usual layout, as for <see cref="OperatorData.FromArrays"/> (periodic: end excluded; zero slopes: cell centres; others: both ends included).
    /// </param>
    /// <param name="parameters">The numbers that vary from sample to sample, where the model takes some.</param>
    /// <param name="mask">
    /// 1 where the domain is and 0 elsewhere, at the points of the first input; null for everywhere. At other points the image has the mask of the nearest.
    /// </param>
    /// <param name="sizes">Points on each axis where the image is wanted; null for the points of the first input.</param>
    /// <returns>Data of the same inputs, with the image as output; <see cref="OperatorData.Values"/> reads it by the name `image`.</returns>
    /// <exception cref="ArgumentException">Inputs, channels, parameters or points do not fit the model; a value is not finite.</exception>
    public OperatorData Predict(
        IReadOnlyList<FunctionArray> inputs,
        IReadOnlyList<SampleParameter>? parameters = null,
        FunctionArray? mask = null,
        IReadOnlyList<int>? sizes = null
    )
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using OperatorData data = OperatorData.OfInputs(Inner, inputs, parameters, mask);
        return sizes is null ? Predict(data) : PredictAt(data, [.. sizes]);
    }

    /// <summary>The images of input functions in arrays of a .h5, .hdf5, .mat (version 7.3), .npz or .npy file; their output is not known.</summary>
    /// <param name="path">The file.</param>
    /// <param name="inputs">The names of the arrays: samples first, then channels or times where there are several, then the points of each axis.</param>
    /// <param name="parameters">The names of arrays of one number for each sample, where the model takes some, in the order of the training.</param>
    /// <param name="mask">The name of the array that is 1 where the domain is and 0 elsewhere; null for everywhere.</param>
    /// <param name="sizes">Points on each axis where the image is wanted; null for the points of the first input.</param>
    /// <exception cref="ArgumentException">The arrays do not fit the model; a value is not finite.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or has no array of a name.</exception>
    public OperatorData PredictArrays(
        string path,
        IReadOnlyList<string> inputs,
        IReadOnlyList<string>? parameters = null,
        string? mask = null,
        IReadOnlyList<int>? sizes = null
    )
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(inputs);
        using OperatorData data = OperatorData.OfInputs(Inner, path, inputs, parameters, mask);
        return sizes is null ? Predict(data) : PredictAt(data, [.. sizes]);
    }

    /// <summary>How far the images are from the data's output.</summary>
    /// <exception cref="ArgumentException">The data have other channels, parameters or another domain than the model, or points that do not hold its modes.</exception>
    public OperatorEvaluation Evaluate(OperatorData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        using Core.OperatorDataset converted = Converted(data);
        OperatorFunction output = data.Output;
        Core.FieldNorm[] norms = output.IsGrid ? [Core.FieldNorm.L2, Core.FieldNorm.H1] : [Core.FieldNorm.L2];
        double[][] errors = Core.OperatorTraining.errorsOf(norms, Inner, converted, BatchSize);
        return new(errors[0], output.IsGrid ? errors[1] : [.. Enumerable.Repeat(double.NaN, data.Count)], output.Points);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        _disposed = true;
        _inner.Dispose();
    }

    /// <summary>A copy of the data in the model's precision.</summary>
    internal Core.OperatorDataset Converted(OperatorData data) => data.Data.To(Precision(Inner));

    internal static torch.ScalarType Precision(Core.NeuralOperator model) => model.parameters().First().dtype;

    private OperatorData Predicted(OperatorData data, Core.Discretisation? points)
    {
        using Core.OperatorDataset converted = Converted(data);
        Core.Field image = Core.OperatorTraining.predictAt(Inner, converted, BatchSize, points);
        return new(Core.OperatorTraining.withImages(converted, image));
    }
}
