// What a solve of a stochastic equation on tensors is told.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// Everything a solve of a stochastic equation on tensors can be told.
type TensorSdeOptions = {
    /// Fixed or adaptive steps. Fixed steps lie on the grid of that length from the start; stops are put in between.
    Control: StepControl
    /// What the error of an adaptive step is measured against.
    Tolerance: Tolerance<Tensor>
    /// Which values are kept. Values of Times that fall into a step are a step of the method from its start along the path's own
    /// increments; they leave the other values as they are.
    SaveAt: SaveAt
    /// How gradients flow through the solve.
    Differentiation: Differentiation
    /// First adaptive step (> 0); ValueNone chooses from the sizes of drift and diffusion.
    InitialStep: float voption
    /// Longest adaptive step.
    MaxStep: float
    /// Shortest adaptive step before the solve fails; 0 means a few ulp of the time.
    MinStep: float
    /// Attempted steps allowed.
    MaxSteps: int
    /// Collect the error and stiffness heuristics (Pal et al. 2021): two more drifts a step, and two half steps where steps are fixed and the
    /// method has no error estimate.
    Heuristics: bool
    /// Called after every accepted step; null for none.
    Progress: Action<StepReport>
    /// Polled before every step.
    Cancellation: CancellationToken
    /// Check once per solve that every tensor that drift and diffusion read with a gradient is among the equation's parameters.
    CheckTracking: bool
}

/// Default options.
[<RequireQualifiedAccess>]
module TensorSdeOptions =
    let private create control (tolerance: Tolerance<Tensor>) : TensorSdeOptions = {
        Control = control
        Tolerance = tolerance
        SaveAt = EndOnly
        Differentiation = Differentiation.DiscreteDefault
        InitialStep = ValueNone
        MaxStep = infinity
        MinStep = 0.0
        MaxSteps = 1_000_000
        Heuristics = false
        Progress = null
        Cancellation = CancellationToken.None
        CheckTracking = true
    }

    /// Fixed steps of this length (> 0), the end state only, discrete gradients.
    let fixedSteps (step: float) = create (Fixed step) (Tolerance.create 1e-3 1e-3)

    /// Adaptive steps, the end state only, discrete gradients.
    let adaptive (rtol: float) (atol: float) = create (Adaptive ValueNone) (Tolerance.create rtol atol)

    /// As the options of the loop.
    let internal toSolve (options: TensorSdeOptions) : SolveOptions<Tensor> = {
        SolveOptions.create<Tensor> 1e-3 1e-3 with
            Control = options.Control
            Tolerance = options.Tolerance
            SaveAt = options.SaveAt
            InitialStep = options.InitialStep
            MaxStep = options.MaxStep
            MinStep = options.MinStep
            MaxSteps = options.MaxSteps
            Heuristics = options.Heuristics
            Progress = options.Progress
            Cancellation = options.Cancellation
    }
