namespace Continuum;

/// <summary>What the right-hand side of a <see cref="Forecaster"/>'s differential equation is made of.</summary>
public enum ForecastModelKind
{
    /// <summary>A mechanistic law with fitted parameters plus a small network that corrects it.</summary>
    Hybrid,

    /// <summary>A network alone.</summary>
    NeuralOde,

    /// <summary>A mechanistic law with fitted parameters alone.</summary>
    Mechanistic,
}
