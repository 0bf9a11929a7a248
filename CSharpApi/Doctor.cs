extern alias core;

using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>Examines the installation.</summary>
public static class Doctor
{
    /// <summary>
    /// What the system offers, which native libraries were loaded from where, and what is wrong. Loads libtorch if it can, and does not
    /// throw when it cannot: the failure is then among the problems.
    /// </summary>
    public static DoctorReport Examine()
    {
        Core.NativeReport report = Core.NativeLibraries.Report();
        return new DoctorReport
        {
            OperatingSystem = report.OperatingSystem,
            Architecture = report.Architecture,
            RuntimeIdentifier = report.RuntimeIdentifier,
            DotNet = report.DotNet,
            ContinuumVersion = report.ContinuumVersion,
            TorchSharpVersion = report.TorchSharpVersion,
            LibtorchVersion = report.LibtorchVersion,
            ContinuumLibtorch = report.ContinuumLibtorch,
            IsUsable = report.IsUsable,
            Libraries = [.. report.Libraries.Select(library => new DoctorLibrary(library.Name, library.Path))],
            NewestGlibcxx = report.NewestGlibcxx,
            IsRelaxed = report.IsRelaxed,
            RelaxedBecause = report.RelaxedBecause,
            Threads = report.Threads,
            InteropThreads = report.InteropThreads,
            IsCudaAvailable = report.IsCudaAvailable,
            CudaDevices = [.. report.CudaDevices],
            Problems = [.. report.Problems.Select(problem => new DoctorProblem(problem.What, problem.Remedy))],
        };
    }
}
