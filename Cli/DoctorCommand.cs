using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;

namespace Continuum.Cli;

/// <summary>`continuum doctor`: explains the installation.</summary>
internal static class DoctorCommand
{
    private const string Epilogue = """
        Exit code 0 when everything that is present works, 1 when something is wrong; what to do about it is printed with it.
        The environment variable CONTINUUM_LIBTORCH names a folder with another libtorch, such as a Python install's torch/lib.

        Example:
          continuum doctor
        """;

    internal static Command Create()
    {
        Command command = new("doctor", "Examines the installation: what was found, loaded and patched, devices and threads, and what is wrong.");
        command.SetAction(_ => Run());
        Help.Extend(command, Epilogue);
        return command;
    }

    private static int Run()
    {
        DoctorReport report = Doctor.Examine();
        foreach ((string name, string value) in Lines(report))
        {
            Console.WriteLine($"{name,-20}{value}");
        }

        Console.WriteLine();
        foreach (DoctorProblem problem in report.Problems)
        {
            Console.WriteLine($"problem             {OneLine(problem.What)}");
            Console.WriteLine($"remedy              {OneLine(problem.Remedy)}");
        }

        bool well = report.IsUsable && report.Problems.Count == 0;
        Console.WriteLine(well ? "All is well: tensors can be made and models fitted." : Verdict(report));
        return well ? ExitCode.Success : ExitCode.Failure;
    }

    private static IEnumerable<(string Name, string Value)> Lines(DoctorReport report)
    {
        yield return ("Continuum", report.ContinuumVersion);
        yield return ("system", $"{report.OperatingSystem}, {report.Architecture} ({report.RuntimeIdentifier})");
        yield return (".NET", report.DotNet);
        yield return ("TorchSharp", $"{report.TorchSharpVersion}, made for libtorch {report.LibtorchVersion}");
        yield return ("CONTINUUM_LIBTORCH", report.ContinuumLibtorch.Length == 0 ? "not set" : report.ContinuumLibtorch);
        foreach (DoctorLibrary library in report.Libraries)
        {
            yield return (library.Name, library.Path.Length == 0 ? "not loaded" : $"{library.Path}{Size(library.Path)}");
        }

        if (report.NewestGlibcxx.Length > 0)
        {
            yield return ("", $"libstdc++ reaches {report.NewestGlibcxx}");
        }

        yield return ("patched", report.IsRelaxed ? $"yes: LibTorchSharp is a copy adapted to this system ({OneLine(report.RelaxedBecause)})" : "no");
        yield return ("devices", report.IsCudaAvailable ? $"cpu, {string.Join(", ", report.CudaDevices)}" : "cpu (CUDA is not available)");
        yield return ("threads", $"{report.Threads} in an operation, {report.InteropThreads} across operations, {Environment.ProcessorCount} processors");
    }

    private static string Verdict(DoctorReport report) =>
        report.IsUsable ? "Models can be fitted, but not all of the installation works." : "Models cannot be fitted until this is remedied.";

    private static string OneLine(string text) => text.ReplaceLineEndings(" ").Trim();

    private static string Size(string path)
    {
        FileInfo file = new(path);
        return file.Exists ? string.Create(CultureInfo.InvariantCulture, $" ({file.Length / 1048576.0:0.0} MB)") : "";
    }
}
