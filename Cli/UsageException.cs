using System;

namespace Continuum.Cli;

/// <summary>The command line asks for something that cannot be. The message is one line with the remedy.</summary>
internal sealed class UsageException(string message, Exception? inner = null) : Exception(message, inner);
