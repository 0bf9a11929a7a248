using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Continuum.Cli;

/// <summary>Runs `continuum pde info`.</summary>
internal static class PdeInfo
{
    internal static int Print(string path)
    {
        OperatorData data;
        try
        {
            data = OperatorData.Load(path);
        }
        catch (ArgumentException failure)
        {
            throw new UsageException(Failure.Refusal(failure).TrimEnd('.'));
        }
        catch (InvalidDataException) when (OperatorData.Arrays(path) is { Count: > 0 } arrays)
        {
            Console.WriteLine($"{path}: not operator data of Continuum; it holds these arrays");
            foreach ((string name, var shape) in arrays)
            {
                Console.WriteLine($"  {name}  [{string.Join(", ", shape)}]");
            }

            return ExitCode.Success;
        }

        using (data)
        {
            Console.WriteLine($"{path}: {Summary(data)}");
            foreach (OperatorFunction input in data.Inputs)
            {
                Console.WriteLine($"input   {Describe(input)}");
            }

            Console.WriteLine($"output  {Describe(data.Output)}");
            Line("times", string.Join(", ", data.Times.Select(Numbers.Short)));
            Line("mask", data.HasMask ? "1 where the domain is, 0 elsewhere" : "");
            Line("varying", string.Join(", ", data.ParameterNames));
            Line("source", data.Source);
            return ExitCode.Success;
        }
    }

    /// <summary>Such as `10 samples, a (85 x 85) to u (85 x 85)`.</summary>
    internal static string Summary(OperatorData data) =>
        string.Create(CultureInfo.InvariantCulture, $"{data.Count} samples, {string.Join(" and ", data.Inputs.Select(Short))} to {Short(data.Output)}");

    private static void Line(string name, string value)
    {
        if (value.Length > 0)
        {
            Console.WriteLine($"{name,-8}{value}");
        }
    }

    private static string Short(OperatorFunction function)
    {
        string channels = function.Channels == 1 ? "" : $"{function.Channels} x ";
        return $"{function.Name} ({channels}{string.Join(" x ", function.Points)})";
    }

    private static string Describe(OperatorFunction function) => $"{Short(function)}: {function.Description}";
}
