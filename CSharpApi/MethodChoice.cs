namespace Continuum;

/// <summary>A method in use from a time on, and why.</summary>
/// <param name="Time">From this time on, in the direction of integration.</param>
/// <param name="Method">The name of the method.</param>
/// <param name="Reason">"asked for", or what the automatic choice saw.</param>
public sealed record MethodChoice(double Time, string Method, string Reason);
