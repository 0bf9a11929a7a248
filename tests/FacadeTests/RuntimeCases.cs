using System;
using System.Collections.Generic;
using System.Linq;
using Continuum;

namespace Facade;

/// <summary>The native half.</summary>
internal static class RuntimeCases
{
    internal static IEnumerable<(string Name, Action Body)> All =>
        [("the doctor reports a working libtorch", Doctored), .. SensitivityCases.All];

    private static void Doctored()
    {
        ContinuumRuntime.EnsureLoaded();
        DoctorReport report = Doctor.Examine();
        Check.That(report.IsUsable, $"{string.Join("; ", report.Problems)}");
        Check.That(report.Libraries.Any(library => library.Name.Contains("torch_cpu") && library.Path.Length > 0), $"no libtorch_cpu");
        Check.That(report.LibtorchVersion.StartsWith("2.", StringComparison.Ordinal) && report.Threads > 0, $"{report}");
    }
}
