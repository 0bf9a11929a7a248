using System;

namespace Continuum.Cli;

/// <summary>Reads the user's files of operator data and learned operators.</summary>
internal static class OperatorDataFile
{
    /// <summary>The data of a file; another ending than those of operator data is a wrong command line, the rest a wrong file.</summary>
    internal static OperatorData Load(string path)
    {
        DataFile.CheckExists(path, "a file of operator data, .h5 or .npz");
        ContinuumRuntime.EnsureLoaded();
        try
        {
            return OperatorData.Load(path);
        }
        catch (ArgumentException failure)
        {
            throw new UsageException(Failure.Refusal(failure).TrimEnd('.'), failure);
        }
    }

    /// <summary>Every k-th point of each axis; null takes all.</summary>
    internal static OperatorData Load(string path, int[]? stride)
    {
        OperatorData data = Load(path);
        if (stride is null)
        {
            return data;
        }

        using (data)
        {
            return FitSession.Checked(() => data.Stride(OperatorCommand.ForAxes("--stride", stride, data.Output.Points.Count)));
        }
    }

    /// <summary>The operator of a file.</summary>
    internal static OperatorModel LoadModel(string path, int? threads)
    {
        DataFile.CheckExists(path, "a model.safetensors of continuum operator train");
        ContinuumRuntime.EnsureLoaded();
        if (threads is { } count)
        {
            ContinuumRuntime.Threads = count;
        }

        return OperatorModel.Load(path);
    }
}
