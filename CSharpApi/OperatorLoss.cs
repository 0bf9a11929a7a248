extern alias core;

using System;
using System.Collections.Generic;
using Core = core::Continuum;

namespace Continuum;

/// <summary>How the weights of a loss with several terms follow their values.</summary>
public enum LossBalancing
{
    /// <summary>They stay.</summary>
    Constant,

    /// <summary>Terms that fall more slowly weigh more: SoftAdapt, Heydari et al. 2019.</summary>
    SoftAdapt,

    /// <summary>Relative loss balancing with random lookback: ReLoBRaLo, Bischof and Kraus 2021.</summary>
    ReLoBRaLo,
}

/// <summary>One term of what the training of an operator lowers.</summary>
public sealed class OperatorLoss
{
    private OperatorLoss(Core.LossTerm inner) => Inner = inner;

    /// <summary>Its name, for reports.</summary>
    public string Name => Inner.Name;

    /// <summary>Its constant weight.</summary>
    public double Weight => Inner.Weight;

    internal Core.LossTerm Inner { get; }

    /// <summary>The relative distance from the truth in the L2 norm, by the quadrature of the points.</summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss L2(double weight = 1) => Distance("relative L2", weight, Core.FieldNorm.L2);

    /// <summary>The relative distance in the H1 norm, which counts first derivatives too: for functions whose slopes matter.</summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss H1(double weight = 1) => Distance("relative H1", weight, Core.FieldNorm.H1);

    /// <summary>The relative distance in the Sobolev norm of an order, on periodic axes.</summary>
    /// <exception cref="ArgumentException">The order is not finite, or the weight is negative or not finite.</exception>
    public static OperatorLoss Sobolev(double order, double weight = 1) => Distance($"relative H^{order:g}", weight, Core.FieldNorm.NewSobolev(order));

    /// <summary>The mean of the relative distances in bands of wave numbers between these edges, so that small fine scales count like large coarse ones; periodic axes.</summary>
    /// <exception cref="ArgumentException">The edges do not rise, or the weight is negative or not finite.</exception>
    public static OperatorLoss Bands(IReadOnlyList<double> edges, double weight = 1)
    {
        ArgumentNullException.ThrowIfNull(edges);
        return new(Core.LossTerms.bands("bands", weight, [.. edges], Core.LossOptions.Default));
    }

    /// <summary>The root mean square of the divergence of the image, whose channels are the components of a vector.</summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss Divergence(double weight = 1) => new(Core.LossTerms.divergence("divergence", weight, Core.LossOptions.Default));

    /// <summary>The distance from zero at the ends of these axes, or from the truth there.</summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss Boundary(IReadOnlyList<int> axes, bool fromTruth = false, double weight = 1)
    {
        ArgumentNullException.ThrowIfNull(axes);
        return new(Core.LossTerms.boundary("boundary", weight, [.. axes], fromTruth, Core.LossOptions.Default));
    }

    /// <summary>
    /// The root mean square of the residual of -div(a grad u) = forcing, a the input and u the image, by the finite volumes of <see cref="PdeData.Darcy"/>: physics
    /// instead of data (Li et al. 2021, PINO).
    /// </summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss DarcyResidual(double forcing = 1, double weight = 1) =>
        Residual("Darcy residual", weight, (inputs, image) => Core.Darcy.residual(forcing, inputs[0], image));

    /// <summary>The root mean square of the residual of -Laplace u = f, f the input and u the image, in the series of the domain.</summary>
    /// <exception cref="ArgumentException">The weight is negative or not finite.</exception>
    public static OperatorLoss PoissonResidual(double weight = 1) =>
        Residual("Poisson residual", weight, (inputs, image) => Core.Poisson.residual(inputs[0], image));

    private static OperatorLoss Residual(string name, double weight, Func<Core.Field[], Core.Field, Core.Field> equation) =>
        new(Core.LossTerms.residual(name, weight, Core.LossOptions.Default, Interop.Curried(equation)));

    private static OperatorLoss Distance(string name, double weight, Core.FieldNorm norm) =>
        new(Core.LossTerms.distance(name, weight, norm, Core.LossOptions.Default));
}
