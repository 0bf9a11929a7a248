extern alias core;

using Microsoft.FSharp.Core;
using Core = core::Continuum;

namespace Continuum;

/// <content>Derivatives of solves.</content>
internal static partial class Interop
{
    internal static FSharpValueOption<Core.SensitivityMode> Mode(SensitivityWay? way) =>
        Option(way is SensitivityWay some ? (Core.SensitivityMode?)(int)some : null);
}
