namespace Continuum.Cli;

/// <summary>What the process tells its caller.</summary>
internal static class ExitCode
{
    internal const int Success = 0;

    /// <summary>A file, the training or the installation failed.</summary>
    internal const int Failure = 1;

    /// <summary>The command line asks for something that cannot be: another command line is needed.</summary>
    internal const int Usage = 2;

    /// <summary>Ended by a signal; its number is added.</summary>
    internal const int Signal = 128;
}
