using System;
using System.Globalization;

namespace Continuum.Cli;

/// <summary>Numbers as people read them.</summary>
internal static class Numbers
{
    /// <summary>All digits.</summary>
    internal static string Exact(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Four significant digits.</summary>
    internal static string Short(double number) => number.ToString("G4", CultureInfo.InvariantCulture);

    /// <summary>A place on an axis, which the arithmetic of equal steps left with trailing digits.</summary>
    internal static string Tick(double number) => number.ToString("G7", CultureInfo.InvariantCulture);

    /// <summary>Seconds below a minute, else minutes and seconds.</summary>
    internal static string Duration(TimeSpan time) =>
        time.TotalSeconds < 60
            ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds} s");
}
