// Fitting a mechanistic law alone: parameter estimation in scaled coordinates, with standard errors in the data's units.
namespace Continuum

open System
open System.Threading

/// A fitted law.
type internal FittedLaw = {
    Mechanism: Mechanism
    /// In the layout of Mechanism.shape.
    Theta: float[]
    /// Scaled state at the first time.
    State: float[]
    /// Mean squared residual, in units of each column's variance.
    Loss: float
    /// Of Mechanism.parameters, in their order and the data's units; NaN where undetermined.
    Errors: float[]
    /// How it ended.
    Message: string
    Evaluations: int
}

/// Estimating the parameters of laws.
[<RequireQualifiedAccess>]
module internal LawEstimation =
    /// Standard errors of the law's named parameters from those of theta: the delta method with central differences.
    let private propagate mechanism c (theta: float[]) (covariance: int -> int -> float) =
        let values (theta: float[]) = Mechanism.parameters mechanism c theta |> Array.map snd
        let count = (values theta).Length

        let slopes =
            theta
            |> Array.mapi (fun k x ->
                let d = 1e-6 * Math.Max(1.0, abs x)
                let moved sign = values (Array.updateAt k (x + sign * d) theta)
                Array.map2 (fun a b -> (a - b) / (2.0 * d)) (moved 1.0) (moved -1.0))

        Array.init count (fun i ->
            let mutable variance = 0.0

            for a in 0 .. theta.Length - 1 do
                for b in 0 .. theta.Length - 1 do
                    if slopes[a][i] <> 0.0 && slopes[b][i] <> 0.0 then
                        variance <- variance + slopes[a][i] * covariance a b * slopes[b][i]

            sqrt variance)

    /// Estimates a law's parameters and first state from the scaled rows z at scaled times tau, from each of the guesses; the best counts.
    /// TrainingException when no guess can be simulated.
    let run
        (guesses: (Mechanism * float[])[])
        (c: Coordinates)
        (tau: float[])
        (z: float[][])
        (maxIterations: int)
        (report: EstimationReport -> int64 -> unit)
        (cancellation: CancellationToken)
        : FittedLaw =
        let d = c.Dimension
        let mutable spent = 0L
        let mutable failure = ""

        let fit (mechanism, theta: float[]) =
            let model =
                MechanisticModel.OfGeneric(
                    LawField(mechanism, c),
                    Array.init d (fun j -> { Name = $"z{j}"; Value = z[0][j] }),
                    theta |> Array.mapi (fun k value -> { Name = $"theta{k}"; Value = value })
                )

            let method = Method.Rosenbrock RosenbrockMethods.Rodas5P

            let problem = {
                Simulator = model.Simulator(method, 1e-7, 1e-8)
                Parameters =
                    theta |> Array.mapi (fun k v -> ParameterEstimation.parameter $"theta{k}" v -infinity infinity)
                InitialState =
                    Array.init d (fun j -> ParameterEstimation.parameter $"z{j}" z.[0].[j] -infinity infinity)
                Start = tau[0]
                Columns =
                    Array.init d (fun j -> { Name = c.Columns[j]; Component = j; Logarithmic = false; Deviation = nan })
                Times = tau
                Values = Array2D.init tau.Length d (fun i j -> z[i][j])
                Segments = 0
                MaxIterations = maxIterations
            }

            try
                let tell = Action<EstimationReport>(fun r -> report r spent)
                let estimation = ParameterEstimation.run problem tell cancellation
                spent <- spent + int64 estimation.Evaluations
                let theta = estimation.Parameters |> Array.map _.Value
                let errors = estimation.Parameters |> Array.map _.StandardError

                let covariance a b = errors[a] * errors[b] * estimation.Correlations[d + a, d + b]

                Some {
                    Mechanism = mechanism
                    Theta = theta
                    State = estimation.InitialState |> Array.map _.Value
                    Loss = 2.0 * estimation.Objective / float (tau.Length * d)
                    Errors = propagate mechanism c theta covariance
                    Message = estimation.Message
                    Evaluations = estimation.Evaluations
                }
            with :? ArgumentException as error ->
                failure <- error.Message
                None

        match guesses |> Array.filter (snd >> Array.forall Double.IsFinite) |> Array.choose fit with
        | [||] ->
            raise (
                TrainingException(
                    $"no first guess of the law can be simulated over the data ({failure}); choose another prior",
                    null
                )
            )
        | fits -> { Array.minBy _.Loss fits with Evaluations = int spent }
