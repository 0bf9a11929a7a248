namespace Continuum.Cli;

/// <summary>A picture of a report.</summary>
/// <param name="File">The name of its file.</param>
/// <param name="Caption">What it shows.</param>
/// <param name="Png">It.</param>
internal sealed record Picture(string File, string Caption, byte[] Png);
