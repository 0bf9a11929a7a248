// What a solve of a stochastic equation on arrays is told.
namespace Continuum

open System
open System.Threading

/// Everything a solve of a stochastic equation on arrays can be told.
type ArraySdeOptions = {
    /// Fixed or adaptive steps. Fixed steps lie on the grid of that length from the start; stops are put in between.
    Control: StepControl
    /// What the error of an adaptive step is measured against.
    Tolerance: Tolerance<float[]>
    /// Which values are kept. Values of Times that fall into a step are a step of the method from its start along the path's own
    /// increments; they leave the other values as they are.
    SaveAt: SaveAt
    /// First adaptive step (> 0); ValueNone chooses from the sizes of drift and diffusion.
    InitialStep: float voption
    /// Longest adaptive step.
    MaxStep: float
    /// Shortest adaptive step before the solve fails; 0 means a few ulp of the time.
    MinStep: float
    /// Attempted steps allowed.
    MaxSteps: int
    /// Called after every accepted step of a single solve; null for none. Ensembles report by paths.
    Progress: Action<StepReport>
    /// Polled before every step.
    Cancellation: CancellationToken
}

/// Default options.
[<RequireQualifiedAccess>]
module ArraySdeOptions =
    let private create control (tolerance: Tolerance<float[]>) : ArraySdeOptions = {
        Control = control
        Tolerance = tolerance
        SaveAt = EndOnly
        InitialStep = ValueNone
        MaxStep = infinity
        MinStep = 0.0
        MaxSteps = 1_000_000
        Progress = null
        Cancellation = CancellationToken.None
    }

    /// Fixed steps of this length (> 0), the end state only.
    let fixedSteps (step: float) = create (Fixed step) (Tolerance.create 1e-3 1e-3)

    /// Adaptive steps, the end state only.
    let adaptive (rtol: float) (atol: float) = create (Adaptive ValueNone) (Tolerance.create rtol atol)

    /// As the options of the loop.
    let internal toSolve (options: ArraySdeOptions) : SolveOptions<float[]> = {
        SolveOptions.create<float[]> 1e-3 1e-3 with
            Control = options.Control
            Tolerance = options.Tolerance
            SaveAt = options.SaveAt
            InitialStep = options.InitialStep
            MaxStep = options.MaxStep
            MinStep = options.MinStep
            MaxSteps = options.MaxSteps
            Progress = options.Progress
            Cancellation = options.Cancellation
    }
