using System;

namespace Continuum;

/// <summary>A solve failed on the way. The message says why, when and where, and what to do.</summary>
/// <remarks><see cref="Exception.InnerException"/> is what the field, an event or a change threw, if one of them did.</remarks>
public sealed class SolveException : Exception
{
    internal SolveException(Solution partial)
        : base(partial.Message, partial.Exception)
    {
        Partial = partial;
        Status = partial.Status;
        Time = partial.FinalTime;
        Component = Interop.Component(partial.Status, partial.Message);
    }

    internal SolveException(TensorSolution partial)
        : base(partial.Message, partial.Exception)
    {
        PartialTensors = partial;
        Status = partial.Status;
        Time = partial.FinalTime;
        Component = Interop.Component(partial.Status, partial.Message);
    }

    internal SolveException(ComplexSolution partial)
        : base(partial.Message, partial.Exception)
    {
        PartialComplex = partial;
        Status = partial.Status;
        Time = partial.FinalTime;
        Component = Interop.Component(partial.Status, partial.Message);
    }

    internal SolveException(SolveStatus status, double time, string message, Exception? inner)
        : base(message, inner)
    {
        Status = status;
        Time = time;
        Component = Interop.Component(status, message);
    }

    /// <summary>Why.</summary>
    public SolveStatus Status { get; }

    /// <summary>The time reached.</summary>
    public double Time { get; }

    /// <summary>
    /// The index of the component that was not finite or drove the step down, such as <c>2</c> or, on tensors, <c>[0, 2]</c>; null
    /// where no component is to blame.
    /// </summary>
    public string? Component { get; }

    /// <summary>Everything up to the failure of a solve on numbers; else null.</summary>
    public Solution? Partial { get; }

    /// <summary>Everything up to the failure of a solve on complex numbers; else null.</summary>
    public ComplexSolution? PartialComplex { get; }

    /// <summary>Everything up to the failure of a solve on tensors, to be disposed; else null.</summary>
    public TensorSolution? PartialTensors { get; }
}
