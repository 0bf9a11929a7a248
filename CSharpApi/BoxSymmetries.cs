namespace Continuum;

/// <summary>Symmetries of a box that an equation may have.</summary>
public enum BoxSymmetries
{
    /// <summary>None are used.</summary>
    None,

    /// <summary>Reflections of each axis.</summary>
    Reflections,

    /// <summary>Reflections and exchanges of axes: eight symmetries of the square.</summary>
    All,
}
