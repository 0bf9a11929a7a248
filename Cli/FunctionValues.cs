using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The values of a function of operator data, one channel of one sample at a time.</summary>
internal sealed class FunctionValues(OperatorFunction function, double[] values, IReadOnlyList<double> times)
{
    private readonly int _size = function.Points.Aggregate(1, (product, points) => product * points);

    internal string Name => function.Name;

    internal int Channels => function.Channels;

    internal IReadOnlyList<IReadOnlyList<double>> Coordinates => function.Coordinates;

    /// <summary>Channels of a frame; all where there are no times.</summary>
    internal int Components => times.Count > 0 ? Channels / times.Count : Channels;

    internal static FunctionValues Input(OperatorData data, int index) => new(data.Inputs[index], data.Values(data.Inputs[index].Name), []);

    internal static FunctionValues Output(OperatorData data) => new(data.Output, data.Values(data.Output.Name), data.Times);

    /// <summary>The values at all points, the last axis fastest; of three axes those of the middle of the last one.</summary>
    internal double[] At(int sample, int channel)
    {
        int start = (sample * Channels + channel) * _size;
        double[] all = values[start..(start + _size)];
        int depth = function.Points.Count == 3 ? function.Points[2] : 1;
        return depth == 1 ? all : [.. Enumerable.Range(0, _size / depth).Select(k => all[k * depth + depth / 2])];
    }

    /// <summary>Such as `u, t = 0.5`.</summary>
    internal string Label(int channel)
    {
        string time = times.Count > 0 ? string.Create(CultureInfo.InvariantCulture, $", t = {times[channel / Components]:G4}") : "";
        string component = Components > 1 ? $", channel {channel % Components}" : "";
        return $"{Name}{time}{component}";
    }

    /// <summary>At most so many channels, spread evenly, the first and the last among them.</summary>
    internal int[] Shown(int most)
    {
        // Two components of fewer frames, so that both are seen over the whole time.
        int components = System.Math.Min(times.Count > 0 ? 2 : most, Components);
        int frames = times.Count > 0 ? times.Count : 1;
        return [.. Spread(frames, System.Math.Max(1, most / components)).SelectMany(frame => Spread(Components, components).Select(component => frame * Components + component))];
    }

    private static IEnumerable<int> Spread(int count, int most) =>
        count <= most ? Enumerable.Range(0, count)
        : most == 1 ? [count - 1]
        : Enumerable.Range(0, most).Select(k => k * (count - 1) / (most - 1));
}
