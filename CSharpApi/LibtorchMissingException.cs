using System;

namespace Continuum;

/// <summary>libtorch was not found, or does not load. The message says what was looked for, where, and what to do.</summary>
public sealed class LibtorchMissingException : Exception
{
    internal LibtorchMissingException(string message, Exception cause)
        : base(message, cause) { }
}
