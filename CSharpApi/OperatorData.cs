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
    private const string MaskName = "(the mask)";

    private readonly Core.OperatorDataset _data;
    private bool _disposed;

    internal OperatorData(Core.OperatorDataset data) => _data = data;

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

    internal Core.OperatorDataset Data
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _data;
        }
    }

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
            string known = names.Length == 0 ? "the data have none" : $"the parameters are: {string.Join(", ", names)}";
            throw new ArgumentException($"There is no parameter '{name}'; {known}.");
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

    /// <summary>Whether a file is one that <see cref="Save"/> wrote, by the arrays that it holds.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or of another kind.</exception>
    public static bool IsDataFile(string path) =>
        Arrays(path).Keys is { } names && names.Contains("output/values") && names.Any(name => name.StartsWith("input_", StringComparison.Ordinal));

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
    /// <param name="parameters">The names of arrays of one number for each sample.</param>
    /// <param name="mask">The name of the array that is 1 where the domain is and 0 elsewhere, as in <see cref="FromArrays"/>.</param>
    /// <exception cref="ArgumentException">Shapes do not fit each other or the number of axes; a value is not finite.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or has no array of a name.</exception>
    public static OperatorData LoadArrays(
        string path,
        IReadOnlyList<string> inputs,
        string output,
        int dimension,
        double length = 1,
        BoundaryCondition? boundary = null,
        IReadOnlyList<string>? parameters = null,
        string? mask = null
    )
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentException.ThrowIfNullOrWhiteSpace(output);
        return new(Core.ForeignData.load(path, Foreign([.. inputs], output, Box(dimension, length, boundary), [.. parameters ?? []], mask)));
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
        return new(
            Core.ForeignData.ofArrays(
                Foreign(Names(inputs), output.Name, Box(dimension, length, boundary), parameters, mask),
                [.. inputs.Append(output).Select(Array), .. Extras(parameters, mask)],
                source
            )
        );
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
    /// inputs, such as coefficients that jump between the points, which their values at few points do not determine. Coarsen once: means of means are others, since
    /// cells of an even number of points share the points between them.
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
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            ((IDisposable)_data).Dispose();
        }
    }

    private Core.Field Function(string name) => name == Data.Output.Item1 ? Data.Output.Item2 : Data.Input(name);

    /// <summary>Input functions for a model, whose output is not known.</summary>
    internal static OperatorData OfInputs(
        Core.NeuralOperator model,
        IReadOnlyList<FunctionArray> inputs,
        IReadOnlyList<SampleParameter>? parameters,
        FunctionArray? mask
    ) =>
        new(
            Core.ForeignData.ofInputs(
                Foreign(Names(inputs), "image", model.Domain, parameters, mask),
                model.OutputChannels,
                [.. inputs.Select(Array), .. Extras(parameters, mask)]
            )
        );

    /// <summary>The same from arrays of a file.</summary>
    internal static OperatorData OfInputs(
        Core.NeuralOperator model,
        string path,
        IReadOnlyList<string> inputs,
        IReadOnlyList<string>? parameters,
        string? mask
    ) => new(Core.ForeignData.loadInputs(path, Foreign([.. inputs], "image", model.Domain, [.. parameters ?? []], mask), model.OutputChannels));

    private static string[] Names(IReadOnlyList<FunctionArray> functions) =>
        [.. functions.Select((function, i) => function is null ? throw new ArgumentException($"Function {i} is null.") : function.Name)];

    private static Core.NamedArray Array(FunctionArray array)
    {
        ArgumentNullException.ThrowIfNull(array);
        return array.ToNamed();
    }

    /// <summary>Parameters and mask as arrays; the mask's own name plays no part.</summary>
    private static IEnumerable<Core.NamedArray> Extras(IReadOnlyList<SampleParameter>? parameters, FunctionArray? mask)
    {
        foreach (SampleParameter parameter in parameters ?? [])
        {
            yield return new FunctionArray(parameter.Name, [parameter.Values.Count], [.. parameter.Values]).ToNamed();
        }

        if (mask is not null)
        {
            yield return (mask with { Name = MaskName }).ToNamed();
        }
    }

    private static Core.Domain Box(int dimension, double length, BoundaryCondition? boundary) =>
        Core.Domain.Cube(dimension, length, PdeData.Boundary(boundary));

    private static Core.ForeignOptions Foreign(
        string[] inputs,
        string output,
        Core.Domain domain,
        IReadOnlyList<SampleParameter>? parameters,
        FunctionArray? mask
    )
    {
        string[] names =
        [
            .. (parameters ?? []).Select(
                (parameter, i) => parameter?.Values is null ? throw new ArgumentException($"Parameter {i} or its values are null.") : parameter.Name
            ),
        ];
        return Foreign(inputs, output, domain, names, mask is null ? null : MaskName);
    }

    private static Core.ForeignOptions Foreign(string[] inputs, string output, Core.Domain domain, string[] parameters, string? mask) =>
        new(
            domain: domain,
            layouts: [],
            inputs: inputs,
            outputs: [output],
            channelsLast: false,
            inputFrames: 0,
            times: [],
            parameters: parameters,
            mask: mask ?? "",
            outputName: output,
            dType: torch.ScalarType.Float64
        );

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
}
