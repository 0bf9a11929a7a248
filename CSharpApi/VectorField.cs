using System;

namespace Continuum;

/// <summary>The right-hand side of y' = f(t, y): writes f(t, y) into <paramref name="dydt"/>.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <param name="dydt">Receives the derivative, as long as <paramref name="y"/>; not cleared before the call.</param>
public delegate void VectorField(double t, ReadOnlySpan<double> y, Span<double> dydt);
