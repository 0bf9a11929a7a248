extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>A distance between two samples of paths, and what chance alone would give.</summary>
/// <param name="Value">The distance.</param>
/// <param name="Chance">The mean distance of random regroupings of all paths: what two samples of one law would give.</param>
/// <param name="PValue">
/// The share of regroupings with a distance at least as large, never 0. Meant for independent paths: overlapping windows of one series make it
/// too small.
/// </param>
public sealed record PathDistance(double Value, double Chance, double PValue);

/// <summary>How a comparison of paths is made.</summary>
public sealed record PathComparisonOptions
{
    /// <summary>The rows of a window of held-out data.</summary>
    public int Length { get; init; } = 60;

    /// <summary>The number of windows, spread evenly over the held-out data; they may overlap.</summary>
    public int Windows { get; init; } = 50;

    /// <summary>Simulated paths for each window.</summary>
    public int PathsPerWindow { get; init; } = 10;

    /// <summary>Lags of the autocorrelations.</summary>
    public int Lags { get; init; } = 20;

    /// <summary>Random regroupings that tell what chance gives; 0 for none.</summary>
    public int Permutations { get; init; } = 100;

    /// <summary>The seed of simulations and regroupings.</summary>
    public int Seed { get; init; }
}

/// <summary>How far simulated paths are from observed ones. Paths are compared as changes from their start, of logarithms where the model is of those.</summary>
public sealed class PathComparison
{
    private PathComparison(double[,,] simulated, double[,,] observed, PathComparisonOptions options)
    {
        int permutations = options.Permutations;
        double[,,] simulatedReturns = Core.PathMetrics.increments(false, simulated);
        double[,,] observedReturns = Core.PathMetrics.increments(false, observed);
        int lags = Math.Max(1, Math.Min(options.Lags, observedReturns.GetLength(1) - 1));
        double[,,] a = Rows(simulated);
        double[,,] b = Rows(observed);
        Core.SignatureKernelOptions kernel = new(4, true, true, true, 1, true);
        KolmogorovSmirnov = Distance(Core.PathMetrics.marginalDistance(true, permutations, options.Seed, a, b));
        Wasserstein = Distance(Core.PathMetrics.marginalDistance(false, permutations, options.Seed, a, b));
        ReturnCorrelation = Distance(Core.PathMetrics.autocorrelationDistance(lags, false, permutations, options.Seed, simulatedReturns, observedReturns));
        SquaredReturnCorrelation = Distance(
            Core.PathMetrics.autocorrelationDistance(lags, true, permutations, options.Seed, simulatedReturns, observedReturns)
        );
        Signature = Distance(Core.PathMetrics.signatureDiscrepancy(kernel, permutations, options.Seed, simulated, observed));
    }

    /// <summary>The mean Kolmogorov-Smirnov distance of the marginals at six times of the window.</summary>
    public PathDistance KolmogorovSmirnov { get; }

    /// <summary>The mean Wasserstein-1 distance of the same marginals, in units of their standard deviation.</summary>
    public PathDistance Wasserstein { get; }

    /// <summary>The root mean square difference of the returns' autocorrelations.</summary>
    public PathDistance ReturnCorrelation { get; }

    /// <summary>The root mean square difference of the squared returns' autocorrelations: whether volatility comes in clusters.</summary>
    public PathDistance SquaredReturnCorrelation { get; }

    /// <summary>The squared maximum mean discrepancy of the paths in the kernel of their signatures, unbiased: it may be below 0.</summary>
    public PathDistance Signature { get; }

    /// <summary>Compares two samples of paths of the same columns and number of times.</summary>
    /// <param name="simulated">One sample.</param>
    /// <param name="observed">The other.</param>
    /// <param name="logarithm">Compare changes of logarithms.</param>
    /// <param name="options">Lags, regroupings, seed; null for the defaults.</param>
    /// <exception cref="ArgumentException">The samples have other columns or times, or less than two paths or three times.</exception>
    public static PathComparison Of(SimulatedPaths simulated, SimulatedPaths observed, bool logarithm, PathComparisonOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(simulated);
        ArgumentNullException.ThrowIfNull(observed);
        return new(Changes(simulated.Values, logarithm), Changes(observed.Values, logarithm), Check(options, simulated.Times.Count - 1));
    }

    /// <summary>
    /// Compares what a model simulates with held-out data: windows of the data, each against paths that go on from all the rows before it.
    /// </summary>
    /// <param name="model">The model, which must not have seen the held-out data.</param>
    /// <param name="train">The rows before the held-out ones.</param>
    /// <param name="heldOut">The held-out rows.</param>
    /// <param name="options">Windows, paths, lags, regroupings, seed; null for the defaults.</param>
    /// <exception cref="ArgumentException">There are too few held-out rows for two windows of three rows.</exception>
    public static PathComparison HeldOut(IPathModel model, TimeSeries train, TimeSeries heldOut, PathComparisonOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(heldOut);
        options ??= new();
        int length = Math.Min(options.Length, heldOut.Count / 2);
        options = Check(options, length);
        TimeSeries all = heldOut.After(train);
        int columns = all.ColumnNames.Count;
        int room = heldOut.Count - length;
        int windows = Math.Min(options.Windows, room + 1);
        double[,,] observed = new double[windows, length + 1, columns];
        double[,,] simulated = new double[windows * options.PathsPerWindow, length + 1, columns];
        for (int w = 0; w < windows; w++)
        {
            int start = train.Count - 1 + (int)((long)w * room / Math.Max(1, windows - 1));
            TimeSeries history = all.Slice(all.Times[0], all.Times[start]);
            SimulatedPaths paths = model.Simulate(options.PathsPerWindow, [.. all.Times.Skip(start + 1).Take(length)], options.Seed + w, history);
            Fill(observed, w, length, model.IsLogarithmic, (time, column) => all[start + time, column]);
            for (int p = 0; p < options.PathsPerWindow; p++)
            {
                int path = p;
                Fill(
                    simulated,
                    (w * options.PathsPerWindow) + p,
                    length,
                    model.IsLogarithmic,
                    (time, column) => time == 0 ? all[start, column] : paths[path, time - 1, column]
                );
            }
        }

        return new(simulated, observed, options);
    }

    private static PathComparisonOptions Check(PathComparisonOptions? options, int length)
    {
        options ??= new();
        return options.Windows >= 2 && options.PathsPerWindow >= 1 && options.Lags >= 1 && length >= 3
            ? options
            : throw new ArgumentException(
                $"a comparison needs 2 windows or more, 1 path for each or more, 1 lag or more and windows of 3 rows or more; got {options.Windows}, {options.PathsPerWindow}, {options.Lags} and {length}"
            );
    }

    private static PathDistance Distance(Core.PathDistance distance) => new(distance.Value, distance.Chance, distance.PValue);

    private static double[,,] Changes(double[,,] values, bool logarithm)
    {
        double[,,] changes = new double[values.GetLength(0), values.GetLength(1), values.GetLength(2)];
        for (int path = 0; path < values.GetLength(0); path++)
        {
            int one = path;
            Fill(changes, path, values.GetLength(1) - 1, logarithm, (time, column) => values[one, time, column]);
        }

        return changes;
    }

    private static void Fill(double[,,] target, int path, int length, bool logarithm, Func<int, int, double> value)
    {
        for (int time = 0; time <= length; time++)
        {
            for (int column = 0; column < target.GetLength(2); column++)
            {
                target[path, time, column] = logarithm ? Math.Log(value(time, column) / value(0, column)) : value(time, column) - value(0, column);
            }
        }
    }

    /// <summary>The paths at six times, the later ones farther apart.</summary>
    private static double[,,] Rows(double[,,] values)
    {
        int last = values.GetLength(1) - 1;
        int[] rows = [.. new[] { 1, last / 12, last / 6, last / 3, 2 * last / 3, last }.Where(row => row >= 1).Distinct()];
        double[,,] chosen = new double[values.GetLength(0), rows.Length, values.GetLength(2)];
        for (int path = 0; path < values.GetLength(0); path++)
        {
            for (int row = 0; row < rows.Length; row++)
            {
                for (int column = 0; column < values.GetLength(2); column++)
                {
                    chosen[path, row, column] = values[path, rows[row], column];
                }
            }
        }

        return chosen;
    }
}
