extern alias core;

using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using TorchSharp;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// What an operator is learned from: input functions and an output function, sample by sample. It holds native memory: dispose of it.
/// </summary>
public sealed class OperatorData : IDisposable
{
    internal OperatorData(Core.OperatorDataset data) => Data = data;

    /// <summary>The number of samples.</summary>
    public int Count => Data.Count;

    /// <summary>The input functions.</summary>
    public IReadOnlyList<OperatorFunction> Inputs => [.. Data.Inputs.Select(Describe)];

    /// <summary>The output function.</summary>
    public OperatorFunction Output => Describe(Data.Output);

    /// <summary>The names of numbers of the equation that vary from sample to sample; often none.</summary>
    public IReadOnlyList<string> ParameterNames => Data.ParameterNames;

    /// <summary>Whether a mask says where the domain is.</summary>
    public bool HasMask => Data.HasMask;

    /// <summary>What holds at the ends of each axis; null where nothing is known.</summary>
    public IReadOnlyList<BoundaryCondition?> Boundaries => BoundariesOf(Data.Output.Item2.Domain);

    /// <summary>The times of the output's frames; none where it has no time.</summary>
    public IReadOnlyList<double> Times => Data.Times;

    /// <summary>Where the data come from: equation and options as JSON, or free text.</summary>
    public string Source => Data.Source;

    internal Core.OperatorDataset Data { get; }

    /// <summary>The values of an input or the output by its name: samples, channels, points, the last index fastest; a copy.</summary>
    /// <exception cref="ArgumentException">There is no such function.</exception>
    public double[] Values(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Core.Tensors.toArray(Function(name).Values);
    }

    /// <summary>The values of a parameter, sample by sample; a copy.</summary>
    /// <exception cref="ArgumentException">There is no such parameter.</exception>
    public double[] ParameterValues(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string[] names = Data.ParameterNames;
        int at = System.Array.IndexOf(names, name);
        if (at < 0)
        {
            throw new ArgumentException($"There is no parameter '{name}'; the parameters are: {string.Join(", ", names)}.");
        }

        double[] all = Core.Tensors.toArray(Data.Parameters);
        return [.. Enumerable.Range(0, Count).Select(sample => all[(sample * names.Length) + at])];
    }

    /// <summary>
    /// The energy of an input or the output by wave number: entry k is the sum of the squared sizes of the Fourier coefficients whose wave number rounds
    /// to k, mean over the samples and sum over the channels. Wave numbers count periods over the longest axis; of several axes |k| is Euclidean. Values on
    /// axes that are not periodic are multiplied by a window (sin² from end to end) first.
    /// </summary>
    /// <exception cref="ArgumentException">There is no such function, or its points are not uniform.</exception>
    public IReadOnlyList<double> Spectrum(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Core.EnergySpectrum.ofField(Function(name));
    }

    /// <summary>Reads data from a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or holds something else.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static OperatorData Load(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.OperatorDatasetFiles.load(path));
    }

    /// <summary>Reads a file in the layout of PDEBench (HDF5): all later frames from the first ones, or Darcy's pressure from its coefficient.</summary>
    /// <param name="path">The file.</param>
    /// <param name="boundary">What holds at the ends of each axis; null where nothing is known.</param>
    /// <param name="inputFrames">The number of frames that are input.</param>
    /// <param name="components">The arrays of the components; null for the array `tensor`.</param>
    /// <exception cref="InvalidDataException">The file is damaged or has other arrays.</exception>
    public static OperatorData LoadPdeBench(
        string path,
        BoundaryCondition? boundary = null,
        int inputFrames = 1,
        IReadOnlyList<string>? components = null
    )
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return new(Core.ForeignData.pdeBench(path, PdeData.Boundary(boundary), [.. components ?? []], inputFrames));
    }

    /// <summary>The names and shapes of the arrays of any .h5, .hdf5, .mat (version 7.3), .npz or .npy file, axes in the order of the program that wrote it.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or of another kind.</exception>
    public static IReadOnlyDictionary<string, IReadOnlyList<long>> Arrays(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return Core.ForeignData.list(path).ToDictionary(array => array.Item1, array => (IReadOnlyList<long>)array.Item2);
    }

    /// <summary>Reads data from arrays of a .h5, .hdf5, .mat (version 7.3), .npz or .npy file, on the box [0, length] on each axis with points at equal distances.</summary>
    /// <param name="path">The file; <see cref="Arrays"/> lists what it holds.</param>
    /// <param name="inputs">The names of the arrays that are input functions: samples first, then channels or times where there are several, then the points of each axis.</param>
    /// <param name="output">The name of the array that is the output function.</param>
    /// <param name="dimension">The number of axes.</param>
    /// <param name="length">The length of each axis.</param>
    /// <param name="boundary">What holds at the ends, as in <see cref="FromArrays"/>.</param>
    /// <exception cref="ArgumentException">Shapes do not fit each other or the number of axes; a value is not finite.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or has no array of a name.</exception>
    public static OperatorData LoadArrays(
        string path,
        IReadOnlyList<string> inputs,
        string output,
        int dimension,
        double length = 1,
        BoundaryCondition? boundary = null
    )
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentException.ThrowIfNullOrWhiteSpace(output);
        return new(Core.ForeignData.load(path, Foreign([.. inputs], output, dimension, length, boundary)));
    }

    /// <summary>Makes data from arrays in memory, on the box [0, length] on each axis with points at equal distances.</summary>
    /// <param name="inputs">The input functions.</param>
    /// <param name="output">The output function, of as many samples.</param>
    /// <param name="dimension">The number of axes: the last sizes of each array are its points.</param>
    /// <param name="length">The length of each axis.</param>
    /// <param name="boundary">
    /// What holds at the ends: periodic points exclude the end, those under zero slopes are cell centres, others include both ends. Null where
    /// nothing is known.
    /// </param>
    /// <param name="source">Where the data come from.</param>
    /// <param name="parameters">Numbers that vary from sample to sample, a value for each.</param>
    /// <param name="mask">
    /// 1 where the domain is and 0 elsewhere, at the points of the first input: its shape is that of the points, or samples and points.
    /// </param>
    /// <exception cref="ArgumentException">Shapes do not fit each other, the values or the number of axes; a value is not finite.</exception>
    public static OperatorData FromArrays(
        IReadOnlyList<FunctionArray> inputs,
        FunctionArray output,
        int dimension,
        double length = 1,
        BoundaryCondition? boundary = null,
        string source = "",
        IReadOnlyList<SampleParameter>? parameters = null,
        FunctionArray? mask = null
    )
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(output);
        Core.NamedArray[] arrays = [.. inputs.Append(output).Select(Array)];
        Core.ForeignOptions options = Foreign([.. inputs.Select(input => input.Name)], output.Name, dimension, length, boundary);
        OperatorData data = new(Core.ForeignData.ofArrays(options, arrays, source));
        try
        {
            return parameters is null && mask is null ? data : data.With(parameters ?? [], mask);
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>Writes the data to a file ending in .h5, .hdf5 or .npz, whole or not at all.</summary>
    /// <exception cref="ArgumentException">Another ending.</exception>
    /// <exception cref="IOException">The file could not be written; an old one is unchanged.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Core.OperatorDatasetFiles.save(path, Data);
    }

    /// <summary>The samples from <paramref name="start"/> on, as a copy.</summary>
    /// <exception cref="ArgumentException">They do not all exist.</exception>
    public OperatorData Range(int start, int count) => new(Data.Range(start, count));

    /// <summary>The samples with these numbers, in this order, as a copy.</summary>
    /// <exception cref="ArgumentException">One does not exist, or none is given.</exception>
    public OperatorData Take(IReadOnlyList<int> indices)
    {
        ArgumentNullException.ThrowIfNull(indices);
        return new(Data.Take([.. indices]));
    }

    /// <summary>Every k-th point of each axis, as a copy.</summary>
    /// <param name="every">One number for each axis.</param>
    /// <exception cref="ArgumentException">The points left would not lie as the points do now.</exception>
    public OperatorData Stride(params int[] every)
    {
        ArgumentNullException.ThrowIfNull(every);
        return new(Data.Stride(every));
    }

    /// <summary>
    /// The points that <see cref="Stride"/> leaves, with input functions as means over the cells around them and the output's values there, as a copy: for rough
    /// inputs, such as coefficients that jump between the points, which their values at few points do not determine.
    /// </summary>
    /// <param name="every">One number for each axis.</param>
    /// <exception cref="ArgumentException">The points left would not lie as the points do now, they are interior points, or the data have a mask.</exception>
    public OperatorData Coarsen(params int[] every)
    {
        ArgumentNullException.ThrowIfNull(every);
        return new(Data.Coarsen(every));
    }

    /// <summary>The first samples and the rest, as copies: generated samples are independent, so the order is as good as any.</summary>
    /// <param name="first">The number of samples of the first part.</param>
    /// <exception cref="ArgumentException">A part would be empty.</exception>
    public (OperatorData First, OperatorData Others) Split(int first)
    {
        if (first < 1 || first >= Count)
        {
            throw new ArgumentException($"{Count} samples cannot be split after {first}; give 1 to {Count - 1}.");
        }

        return (Range(0, first), Range(first, Count - first));
    }

    /// <inheritdoc/>
    public override string ToString() => Data.ToString();

    /// <inheritdoc/>
    public void Dispose() => ((IDisposable)Data).Dispose();

    private Core.Field Function(string name) => name == Data.Output.Item1 ? Data.Output.Item2 : Data.Input(name);

    /// <summary>Input functions for a model, whose output is not known.</summary>
    internal static OperatorData OfInputs(Core.NeuralOperator model, IReadOnlyList<FunctionArray> inputs) =>
        new(Core.ForeignData.ofInputs(model.Domain, [.. inputs.Select(input => input.Name)], model.OutputChannels, [.. inputs.Select(Array)]));

    /// <summary>The same from arrays of a file.</summary>
    internal static OperatorData OfInputs(Core.NeuralOperator model, string path, IReadOnlyList<string> inputs) =>
        new(Core.ForeignData.ofInputs(model.Domain, [.. inputs], model.OutputChannels, Core.ForeignData.read(path, [.. inputs])));

    /// <summary>The same functions, whose memory it takes over, with parameters and a mask.</summary>
    internal OperatorData With(IReadOnlyList<SampleParameter> parameters, FunctionArray? mask)
    {
        foreach (SampleParameter parameter in parameters)
        {
            if (parameter.Values.Count != Count)
            {
                throw new ArgumentException($"The parameter '{parameter.Name}' has {parameter.Values.Count} values; {Count} samples need as many.");
            }
        }

        double[] rows = [.. Enumerable.Range(0, Count).SelectMany(sample => parameters.Select(parameter => parameter.Values[sample]))];
        string[] names = [.. parameters.Select(parameter => parameter.Name)];
        torch.Tensor? given = null;
        Core.Field? region = null;
        try
        {
            given = names.Length == 0 ? null : Core.Tensors.ofArray(rows, [Count, names.Length], torch.float64, torch.CPU);
            region = mask is null ? null : Mask(mask);
            return new(new Core.OperatorDataset(Data.Inputs, Data.Output, names, given, region, [], Data.Source));
        }
        catch
        {
            given?.Dispose();
            ((IDisposable?)region)?.Dispose();
            throw;
        }
    }

    private Core.Field Mask(FunctionArray mask)
    {
        Core.Discretisation points = Data.Inputs[0].Item2.Discretisation;
        long[] sizes = points.Shape;
        long[] shape = [.. mask.Shape.Select(size => (long)size)];
        bool forAll = shape.SequenceEqual(sizes);
        if (!forAll && !shape.SequenceEqual(sizes.Prepend(Count)))
        {
            string wanted = string.Join(", ", sizes);
            throw new ArgumentException(
                $"The mask has shape [{string.Join(", ", shape)}]; give [{wanted}] for all samples or [{Count}, {wanted}], the points of the first input."
            );
        }

        return new(points, Core.Tensors.ofArray(mask.Values, [forAll ? 1 : Count, 1, .. sizes], torch.float64, torch.CPU));
    }

    private static Core.NamedArray Array(FunctionArray array)
    {
        ArgumentNullException.ThrowIfNull(array);
        return array.ToNamed();
    }

    internal static IReadOnlyList<BoundaryCondition?> BoundariesOf(Core.Domain domain) =>
        [
            .. domain.Axes.Select(axis =>
                axis.Boundary == Core.Boundary.Open ? null : (BoundaryCondition?)Enum.Parse<BoundaryCondition>(axis.Boundary.ToString())
            ),
        ];

    private static OperatorFunction Describe(Tuple<string, Core.Field> part)
    {
        Core.Discretisation points = part.Item2.Discretisation;
        return new(
            part.Item1,
            part.Item2.Channels,
            [.. points.Shape.Select(size => (int)size)],
            points.ToString(),
            [.. points.Axes.Select(axis => (IReadOnlyList<double>)axis.Coordinates)],
            points.IsUniform
        );
    }

    private static Core.ForeignOptions Foreign(string[] inputs, string output, int dimension, double length, BoundaryCondition? boundary) =>
        new(
            domain: Core.Domain.Cube(dimension, length, PdeData.Boundary(boundary)),
            layouts: [],
            inputs: inputs,
            outputs: [output],
            channelsLast: false,
            inputFrames: 0,
            times: [],
            outputName: output,
            dType: torch.ScalarType.Float64
        );
}
