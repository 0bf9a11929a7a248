using System;

namespace Examples;

/// <summary>How every example ends.</summary>
internal static class Check
{
    internal static void That(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"The check failed: {what}");
        }

        Console.WriteLine($"OK  {what}");
    }
}
