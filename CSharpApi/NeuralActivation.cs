namespace Continuum;

/// <summary>The nonlinearity of a network.</summary>
public enum NeuralActivation
{
    /// <summary>The hyperbolic tangent: bounded.</summary>
    Tanh,

    /// <summary>log(1 + exp x): smooth, grows linearly.</summary>
    Softplus,

    /// <summary>x times its logistic function.</summary>
    Silu,
}
