using System;
using System.Collections.Generic;

namespace Facade;

/// <summary>The facade's tests, as seen from C#; tests/FacadeTestsBridge.fs hands them to Expecto.</summary>
public static class Cases
{
    public static IEnumerable<(string Name, Action Body)> All =>
        [
            .. SolveCases.All,
            .. SystemCases.All,
            .. EventCases.All,
            .. EnsembleCases.All,
            .. SdeCases.All,
            .. CdeCases.All,
            .. StochasticSnippets.All,
            .. ControlledSnippets.All,
            .. ModelSnippets.All,
            .. OperatorSnippets.All,
            .. NeuralSdeCases.All,
            .. NeuralCdeCases.All,
            .. OperatorCases.All,
            .. FitCases.All,
            .. PdeCases.All,
            .. TensorCases.All,
            .. RuntimeCases.All,
            .. StructuredCases.All,
            .. NumberSnippets.All,
            .. SurfaceCases.All,
            .. DocSnippets.All,
        ];
}
