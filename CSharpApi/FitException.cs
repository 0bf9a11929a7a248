using System;

namespace Continuum;

/// <summary>A fit or a forecast could not be completed: a loss or a trajectory left every bound. One line with where and the remedy.</summary>
public sealed class FitException : Exception
{
    /// <summary>An exception with a general message.</summary>
    public FitException()
        : base("the fit could not be completed") { }

    /// <summary>An exception with this message.</summary>
    public FitException(string message)
        : base(message) { }

    /// <summary>An exception with this message and cause.</summary>
    public FitException(string message, Exception? innerException)
        : base(message, innerException) { }
}
