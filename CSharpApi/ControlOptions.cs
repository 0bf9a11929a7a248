using System.Collections.Generic;

namespace Continuum;

/// <summary>How a path runs between its observations.</summary>
public enum ControlScheme
{
    /// <summary>Straight lines. Not smooth; between two observations it depends on the later one.</summary>
    Linear,

    /// <summary>
    /// First time goes on while the values stay, then the values jump while time stands still: at every moment only what was observed is
    /// seen. Causal; needs the time channel.
    /// </summary>
    Rectilinear,

    /// <summary>Cubics with backward differences: smooth, local, waits for one observation. Morrill, Kidger, Yang and Lyons 2021.</summary>
    Hermite,

    /// <summary>The natural cubic spline: the smoothest; every piece depends on all observations.</summary>
    NaturalCubic,
}

/// <summary>How observations become a path that drives an equation.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression. The path's channels are, in this order: time, intensities, data.</remarks>
public sealed record ControlOptions
{
    /// <summary>Between observations. Default: <see cref="ControlScheme.Hermite"/>.</summary>
    public ControlScheme Scheme { get; init; } = ControlScheme.Hermite;

    /// <summary>Time is the path's first channel; without it the solution cannot depend on how fast the values changed. Default: true.</summary>
    public bool TimeChannel { get; init; } = true;

    /// <summary>Adds for each channel of the data one that counts its observations so far. Default: false.</summary>
    public bool Intensities { get; init; }

    /// <summary>Adds counters for these channels of the data alone; null, the default, leaves it to <see cref="Intensities"/>.</summary>
    public IReadOnlyList<int>? IntensityChannels { get; init; }

    /// <summary>
    /// Looks at nothing later than the scheme itself does: missing values repeat the last one, before the first they are
    /// <see cref="Assumed"/>. Default: false, which interpolates between the neighbours that exist, but for rectilinear paths. A natural
    /// cubic spline depends on later observations in any case.
    /// </summary>
    public bool Causal { get; init; }

    /// <summary>The value of a channel before its first observation on causal paths (0, the mean of standardised data, by default).</summary>
    public double Assumed { get; init; }

    /// <summary>
    /// The path's parameter is time, which all series must share. Default: false, the number of the observation; the solution does not depend on
    /// it, and series with times of their own run side by side.
    /// </summary>
    public bool ClockIsTime { get; init; }

    /// <summary>Refuses series with a channel that was never observed. Default: false, such a channel stays at the assumed value.</summary>
    public bool RefuseUnobserved { get; init; }
}
