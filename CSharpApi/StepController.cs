namespace Continuum;

/// <summary>
/// Feedback control of the step size from the scaled errors of the last three steps, as proportional, integral and derivative gains
/// on their logarithms (Söderlind 2003). The exponents are the gains divided by the order of the method's error estimate plus one.
/// </summary>
public sealed record StepController
{
    /// <summary>Integral control, gains (0, 1, 0): each step answers the last error alone.</summary>
    public static StepController I { get; } = new() { Proportional = 0, Integral = 1 };

    /// <summary>Proportional-integral control, gains (0.4, 0.3, 0): smoother steps, better where stability limits them.</summary>
    public static StepController PI { get; } = new() { Proportional = 0.4, Integral = 0.3 };

    /// <summary>The proportional gain.</summary>
    public double Proportional { get; init; }

    /// <summary>The integral gain.</summary>
    public double Integral { get; init; } = 1;

    /// <summary>The derivative gain.</summary>
    public double Derivative { get; init; }

    /// <summary>The factor on every proposed step, in (0, 1]. Default: 0.9.</summary>
    public double Safety { get; init; } = 0.9;

    /// <summary>The least factor from one step to the next. Default: 0.2.</summary>
    public double MinFactor { get; init; } = 0.2;

    /// <summary>The largest factor from one step to the next. Default: 10.</summary>
    public double MaxFactor { get; init; } = 10;

    /// <summary>
    /// Proportional-integral-derivative control. Easy problems take (0.4, 1, 0); moderately stiff ones (0.3, 0.3, 0) or (0.2, 0.4, 0).
    /// </summary>
    public static StepController Pid(double proportional, double integral, double derivative) =>
        new() { Proportional = proportional, Integral = integral, Derivative = derivative };
}
