extern alias core;

using System;
using Core = core::Continuum;

namespace Continuum;

/// <summary>The entries of a Jacobian, or of its band, to be written: entry [i, j] is the derivative of f_i with respect to y_j.</summary>
public readonly ref struct JacobianMatrix
{
    private readonly Core.JacobianMatrix _inner;

    internal JacobianMatrix(Core.JacobianMatrix inner) => _inner = inner;

    /// <summary>The number of rows and of columns.</summary>
    public int Size => _inner.Size;

    /// <summary>An entry.</summary>
    /// <param name="row">The component of f.</param>
    /// <param name="column">The component of y.</param>
    /// <exception cref="IndexOutOfRangeException">The entry lies outside of the matrix, or of the band that the system declares.</exception>
    public double this[int row, int column]
    {
        get => _inner[row, column];
        set => _inner[row, column] = value;
    }
}

/// <summary>The Jacobian of f(t, y) with respect to y: writes its entries that are not zero.</summary>
/// <param name="t">The time.</param>
/// <param name="y">The state; valid during the call only.</param>
/// <param name="jacobian">Receives the entries; zero before the call.</param>
public delegate void JacobianFunction(double t, ReadOnlySpan<double> y, JacobianMatrix jacobian);

/// <summary>What a solve does about the algebraic equations of a singular mass matrix at its start.</summary>
public enum StartValues
{
    /// <summary>Moves the algebraic variables until the equations hold; M y is kept. The default.</summary>
    Solve,

    /// <summary>Refuses a start where the equations do not hold to the tolerances.</summary>
    Check,

    /// <summary>Takes the start as it is.</summary>
    Trust,
}
