using System;

namespace Continuum;

/// <summary>Where a fit stands, reported after every iteration.</summary>
/// <param name="Phase">The phase's name: "windows", "trajectory", "network" or "all data" of a fit of an equation; "training" of models trained by mini-batches.</param>
/// <param name="Iteration">Iterations done, over all phases.</param>
/// <param name="Iterations">Iterations planned, over all phases; a phase may stop early.</param>
/// <param name="Loss">The loss of the last iteration.</param>
/// <param name="ValidationLoss">The misfit on the validation rows; not a number in phases without any.</param>
/// <param name="Evaluations">Evaluations of the right-hand side so far; of operators, samples seen.</param>
/// <param name="Elapsed">The time spent, with that before a resume.</param>
public sealed record FitProgress(
    string Phase,
    int Iteration,
    int Iterations,
    double Loss,
    double ValidationLoss,
    long Evaluations,
    TimeSpan Elapsed
);
