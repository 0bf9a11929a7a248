extern alias core;

using System;
using System.Collections.Generic;
using System.Linq;
using Core = core::Continuum;

namespace Continuum;

/// <summary>
/// A problem M y' = f(t, y) with what is known about it beside f: its Jacobian, which entries of it can differ from zero, its mass matrix M.
/// Methods for stiff problems use all of it; a singular M makes a differential-algebraic equation (of index 1).
/// </summary>
/// <remarks>
/// Immutable: the With methods return another system. Several threads may solve the same one if its functions may be called by several.
/// </remarks>
public sealed class OdeSystem
{
    internal OdeSystem(Core.OdeSystem inner) => Inner = inner;

    /// <summary>A system from its right-hand side; M is the identity and the Jacobian is approximated by differences.</summary>
    /// <param name="f">The right-hand side.</param>
    /// <param name="size">The number of components of the state.</param>
    /// <exception cref="ArgumentNullException"><paramref name="f"/> is null.</exception>
    /// <exception cref="ArgumentException"><paramref name="size"/> is below 1.</exception>
    public OdeSystem(VectorField f, int size)
    {
        ArgumentNullException.ThrowIfNull(f);
        Inner = Core.OdeSystem.OfField(Interop.Field(f), size);
    }

    /// <summary>A system from a field written over numbers, whose Jacobian is exact; M is the identity.</summary>
    /// <typeparam name="TField">The struct that implements the field.</typeparam>
    /// <param name="field">The right-hand side.</param>
    /// <param name="parameters">Its parameters, which are copied.</param>
    /// <exception cref="ArgumentException">There are not as many parameters as the field reads.</exception>
    public static OdeSystem Create<TField>(TField field, params ReadOnlySpan<double> parameters)
        where TField : struct, IGenericField
    {
        CoreField<TField> inner = new(field);
        double[] values = parameters.ToArray();
        Core.GenericField<CoreField<TField>>.Check(inner, values, null);
        return new(Core.OdeSystem.OfGeneric(inner, values));
    }

    /// <summary>The number of components of the state.</summary>
    public int Size => Inner.Size;

    internal Core.OdeSystem Inner { get; }

    /// <summary>With the Jacobian given.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="jacobian"/> is null.</exception>
    public OdeSystem WithJacobian(JacobianFunction jacobian)
    {
        ArgumentNullException.ThrowIfNull(jacobian);
        return new(Inner.WithJacobian((t, y, entries) => jacobian(t, y, new JacobianMatrix(entries))));
    }

    /// <summary>With the derivative of f with respect to t given, which Rosenbrock methods use; the function writes it.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="slope"/> is null.</exception>
    public OdeSystem WithTimeSlope(VectorField slope)
    {
        ArgumentNullException.ThrowIfNull(slope);
        return new(Inner.WithTimeSlope(Interop.Field(slope)));
    }

    /// <summary>With f independent of t, which saves evaluations.</summary>
    public OdeSystem WithoutTime() => new(Inner.WithoutTime());

    /// <summary>With a banded Jacobian: the derivative of f_i with respect to y_j is zero unless -lower &lt;= j - i &lt;= upper.</summary>
    /// <param name="lower">Diagonals below the main one.</param>
    /// <param name="upper">Diagonals above the main one.</param>
    /// <exception cref="ArgumentException">A bandwidth is negative.</exception>
    public OdeSystem WithBand(int lower, int upper) => new(Inner.WithBand(lower, upper));

    /// <summary>With a sparse Jacobian: f_i depends on the components listed in row i only. Few evaluations then give all of it.</summary>
    /// <param name="columnsOfRows">For each component of f the components of y that it reads.</param>
    /// <exception cref="ArgumentException">There is not a list for each component, or an index is out of range.</exception>
    public OdeSystem WithSparsity(IReadOnlyList<IReadOnlyList<int>> columnsOfRows)
    {
        ArgumentNullException.ThrowIfNull(columnsOfRows);
        return new(Inner.WithSparsity([.. columnsOfRows.Select(row => row is null ? null! : row.ToArray())]));
    }

    /// <summary>With a diagonal mass matrix; a zero makes equation i algebraic: 0 = f_i(t, y).</summary>
    /// <exception cref="ArgumentException">There is not a finite entry for each component.</exception>
    public OdeSystem WithMass(ReadOnlySpan<double> diagonal) => new(Inner.WithMass(diagonal.ToArray()));

    /// <summary>With a constant mass matrix, which may be singular.</summary>
    /// <exception cref="ArgumentException">It is not square of the system's size, or not finite.</exception>
    public OdeSystem WithMass(double[,] matrix) => new(Inner.WithMass(matrix));

    /// <summary>
    /// With a part that is not stiff beside the field so far, which becomes the stiff part: y' = explicitPart(t, y) + f(t, y). Additive
    /// methods (<see cref="OdeMethod.KenCarp4"/>) solve equations for f alone and never differentiate the explicit part.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="explicitPart"/> is null.</exception>
    public OdeSystem WithExplicitPart(VectorField explicitPart)
    {
        ArgumentNullException.ThrowIfNull(explicitPart);
        return new(Inner.WithExplicitPart(Interop.Field(explicitPart)));
    }

    /// <summary>What to do about algebraic equations at the start, and after changes of the state.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such treatment.</exception>
    public OdeSystem WithStartValues(StartValues treatment) =>
        treatment switch
        {
            StartValues.Solve => new(Inner.WithStartValues(Core.StartValues.Solve)),
            StartValues.Check => new(Inner.WithStartValues(Core.StartValues.Check)),
            StartValues.Trust => new(Inner.WithStartValues(Core.StartValues.Trust)),
            _ => throw new ArgumentOutOfRangeException(nameof(treatment), treatment, "Take Solve, Check or Trust."),
        };

    /// <summary>The Jacobian at a point as implicit methods see it: given, exact or by differences.</summary>
    /// <exception cref="ArgumentException">The state has another size.</exception>
    public double[,] Jacobian(double t, ReadOnlySpan<double> y) => Inner.Jacobian(t, y.ToArray());
}
