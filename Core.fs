// The vocabulary of the suite: what a state, a field, a stepper, an event and a solution are. No algorithm here.
//
// Reading order = compile order (Suite.fsproj):
//   Core -> NativeLibraries -> Tensors, Autograd, Diff -> Tableau, Methods -> Spaces -> Controller -> RungeKutta
//        -> Events, EventHandling -> Integrate (the one loop) -> ArrayOde -> adjoints -> TensorOde, BatchOde -> Models
namespace Continuum

open System
open System.Threading
open TorchSharp

/// A libtorch tensor.
type Tensor = torch.Tensor

// ------------------------------------------------------------------------------------------------ states and fields

/// What a stepper may do with a state: linear combinations, and moving the clock. Implementations are structs, so that
/// the JIT specialises the tableau loop per space. 'T is the clock: float (one time for the whole state) or a
/// tensor of shape (batch, 1, ...) (a time per sample).
type IStateSpace<'S, 'T> =
    /// Scratch storage shaped like y for Combine's dest. Tensors return y itself: their results are always fresh.
    abstract Allocate: y: 'S -> 'S
    /// y + h * sum_{j < count} w_j k_j. dest is a hint: arrays write into it, tensors return a fresh value.
    abstract Combine: dest: 'S * y: 'S * h: 'T * w: float[] * k: 'S[] * count: int -> 'S
    /// t + c h.
    abstract Advance: t: 'T * h: 'T * c: float -> 'T

/// A normed space under a scalar clock: what the adaptive loop needs beside linear combinations.
type INormedSpace<'S> =
    inherit IStateSpace<'S, float>
    /// Norm of h * sum w_j k_j scaled per component by atol + rtol max(|y0|, |y1|); NaN or infinite where a value is.
    abstract ErrorNorm: y0: 'S * y1: 'S * h: float * w: float[] * k: 'S[] * count: int -> float
    /// Norm of a - b scaled per component by atol + rtol |y|. Hairer, Norsett and Wanner I, section II.4.
    abstract ScaledDistance: a: 'S * b: 'S * y: 'S -> float
    /// Unscaled Euclidean norm of a - b.
    abstract Distance: a: 'S * b: 'S -> float
    /// Number of components.
    abstract Size: y: 'S -> int
    /// Whether every component is finite.
    abstract IsFinite: y: 'S -> bool
    /// Names the component of the scaled error that is largest or not finite, for failure reports.
    abstract WorstComponent: y0: 'S * y1: 'S * h: float * w: float[] * k: 'S[] * count: int -> string
    /// An independent value to hand out. Arrays are cloned, tensors aliased (they are never written in place).
    abstract Copy: y: 'S -> 'S
    /// Opens the memory scope of one attempted step (null where there is nothing to free).
    abstract OpenScope: unit -> IDisposable
    /// Moves a value out of the innermost memory scope and returns it.
    abstract Keep: y: 'S -> 'S
    /// Frees a value that the solver owns and no longer needs.
    abstract Free: y: 'S -> unit

/// The right-hand side f of y' = f(t, y).
type IField<'S, 'T> =
    /// f(t, y). dest is a hint, as in IStateSpace.Combine.
    abstract Eval: t: 'T * y: 'S * dest: 'S -> 'S

/// y' = f(t, y) on arrays: writes f(t, y) into dydt (same length as y, not cleared before the call).
type VectorField = delegate of t: float * y: ReadOnlySpan<float> * dydt: Span<float> -> unit

// ---------------------------------------------------------------------------------------------------- step control

/// How the scaled local error is reduced to one number.
type ErrorNorm =
    /// Root mean square over all components (the default, as in DOPRI5 and SUNDIALS).
    | Rms
    /// Largest component.
    | Maximum
    /// Largest of the root mean squares of the leaves of a product space; Rms on a space with one leaf.
    | PerLeaf

/// Relative and absolute tolerance per component; the vectors, when not null, replace the scalars and have the
/// state's shape (arrays: its length).
type Tolerance<'S> = {
    /// Relative tolerance, > 0 unless atol is.
    Rtol: float
    /// Absolute tolerance, in units of the state.
    Atol: float
    /// Relative tolerance per component, or ValueNone.
    RtolPer: 'S voption
    /// Absolute tolerance per component, or ValueNone.
    AtolPer: 'S voption
    /// Reduction over components.
    Norm: ErrorNorm
}

/// Feedback control of the step size: h_new = h * clip(safety * e_n^-b1 * e_(n-1)^-b2 * e_(n-2)^-b3, min, max).
/// Exponents are already divided by the order. See Controller for the named choices.
type Feedback = {
    /// Exponent b1 of the last error.
    Beta1: float
    /// Exponent b2 of the error before it; 0 forgets it.
    Beta2: float
    /// Exponent b3 of the error before that; 0 forgets it.
    Beta3: float
    /// Factor below 1 that keeps the next error under the tolerance.
    Safety: float
    /// Smallest factor between two steps, in (0, 1).
    MinFactor: float
    /// Largest factor between two steps, above 1; after a rejection a step never grows.
    MaxFactor: float
}

/// Fixed or adaptive steps.
type StepControl =
    /// Steps of this length (> 0, its direction comes from the span); the last one before a stop is shortened.
    | Fixed of step: float
    /// Adaptive with this feedback; ValueNone takes the method's default (PI with the constants of its family).
    | Adaptive of Feedback voption

// ------------------------------------------------------------------------------------------------ saving and events

/// Which values of the solution are kept.
type SaveAt =
    /// The state at the end only.
    | EndOnly
    /// These times, in the direction of the span, inside it; values between steps come from the method's own dense output.
    | Times of float[]
    /// These times, each made the end of a step: their values are step values, never interpolated.
    | StepValues of float[]
    /// The start and every accepted step.
    | EverySteps
    /// The start, every accepted step, and the dense output in between.
    | DenseOutput

/// Which sign changes of an event function count, in the direction of integration.
type Crossing =
    | Rising
    | Falling
    | Either

/// A zero of g(t, y) to find while integrating, and what to do there.
type Event<'S> = {
    /// Name for reports.
    Name: string
    /// The event function; an event is a sign change. Must be finite on the trajectory.
    Condition: float -> 'S -> float
    /// Which sign changes count.
    Crossing: Crossing
    /// The state after the event (a jump); ValueNone leaves it, and then the event only marks the time.
    Apply: (float -> 'S -> 'S) voption
    /// Stop here, after Apply.
    Terminal: bool
    /// Ignore further occurrences after this many (Int32.MaxValue: no limit).
    MaxOccurrences: int
}

/// A change of the state at a known time (a dose, an impulse); the time is stepped to exactly.
type Scheduled<'S> = {
    /// When; inside the span.
    Time: float
    /// The state after the change, from the time and the state before it.
    Apply: float -> 'S -> 'S
}

/// An event that happened.
type Occurrence<'S> = {
    /// Index into the solve's list of events.
    Event: int
    /// Its time.
    Time: float
    /// The state just before Apply.
    Before: 'S
    /// The state just after Apply (the same value when nothing was applied).
    After: 'S
}

/// What a progress report says after an accepted step.
[<Struct>]
type StepReport = {
    /// Time reached.
    Time: float
    /// Length of the next step to try.
    Step: float
    /// Fraction of the span that is done, 0 to 1.
    Fraction: float
    /// Accepted steps so far.
    Accepted: int
    /// Rejected steps so far.
    Rejected: int
    /// Evaluations of the field so far.
    Evaluations: int
}

/// Everything a solve can be told beside the problem and the method.
type SolveOptions<'S> = {
    /// Fixed or adaptive steps.
    Control: StepControl
    /// What the error of a step is measured against.
    Tolerance: Tolerance<'S>
    /// Which values are kept.
    SaveAt: SaveAt
    /// Events to find; all are looked for in every step.
    Events: Event<'S>[]
    /// Changes of the state at known times.
    Scheduled: Scheduled<'S>[]
    /// Times where the field is discontinuous: a step ends one ulp before each and the next starts one ulp after it.
    Jumps: float[]
    /// First step length (> 0); ValueNone lets Hairer's rule choose.
    InitialStep: float voption
    /// Largest step length allowed.
    MaxStep: float
    /// Smallest step length before the solve fails; 0 means a few ulp of the time.
    MinStep: float
    /// Attempted steps allowed.
    MaxSteps: int
    /// Collect the error and stiffness heuristics (Pal et al., Opening the Blackbox).
    Heuristics: bool
    /// Called after every accepted step; null for none.
    Progress: Action<StepReport>
    /// Polled before every step.
    Cancellation: CancellationToken
}

// ----------------------------------------------------------------------------------------------------------- outcome

/// Why a solve ended.
type Status =
    /// The end of the span was reached.
    | Success = 0
    /// A terminal event ended it early.
    | Terminated = 1
    /// MaxSteps attempts did not suffice.
    | MaxStepsReached = 2
    /// The step size fell below its minimum: the tolerance cannot be met there (stiff, singular or discontinuous field).
    | StepTooSmall = 3
    /// The field or the state became NaN or infinite and smaller steps did not help.
    | NonFinite = 4
    /// The field, an event or a jump threw an exception.
    | FieldThrew = 5
    /// The cancellation token was signalled.
    | Cancelled = 6
    /// Events accumulate (a Zeno sequence): more than a thousand within the smallest resolvable time.
    | TooManyEvents = 7
    /// The matrix M - g J of an implicit step stayed singular however short the step: a singular mass matrix with a singular
    /// algebraic part (index above 1), or a Jacobian that is not finite.
    | SingularMatrix = 8
    /// The initial values do not satisfy the algebraic equations of M y' = f(t, y), and none near them was found that does.
    | InconsistentInitialValues = 9
    /// Newton's iteration for the stages failed however short the step.
    | NewtonDiverged = 10

/// What the implicit steps of a solve cost.
[<Struct>]
type ImplicitWork = {
    /// Jacobians formed.
    Jacobians: int
    /// Factorisations of M - g J.
    Factorisations: int
    /// Solves with a factorisation.
    Solves: int
    /// Iterations of Newton's method.
    NewtonIterations: int
    /// Attempted steps given up because Newton's method did not converge.
    NewtonFailures: int
} with

    /// No implicit work.
    static member Zero = Unchecked.defaultof<ImplicitWork>

    /// Work of two steppers together.
    static member (+)(a: ImplicitWork, b: ImplicitWork) = {
        Jacobians = a.Jacobians + b.Jacobians
        Factorisations = a.Factorisations + b.Factorisations
        Solves = a.Solves + b.Solves
        NewtonIterations = a.NewtonIterations + b.NewtonIterations
        NewtonFailures = a.NewtonFailures + b.NewtonFailures
    }

/// A method in use from a time on, and why.
type MethodChoice = {
    /// From this time on, in the direction of integration.
    Time: float
    /// Name of the method.
    Method: string
    /// One clause for people: "asked for", or what the automatic choice saw.
    Reason: string
}

/// What a solve cost, and the solver's own opinion of the problem.
type Statistics = {
    /// Evaluations of the field.
    Evaluations: int
    /// Accepted steps.
    Accepted: int
    /// Rejected steps.
    Rejected: int
    /// Shortest accepted step (NaN if none).
    SmallestStep: float
    /// Longest accepted step (NaN if none).
    LargestStep: float
    /// sum over accepted steps of |h| times the unscaled norm of the local error estimate; NaN unless Heuristics.
    /// Regulariser R_E of Pal et al. 2021.
    ErrorEstimate: float
    /// Sum over accepted steps of |k_i - k_j| / |g_i - g_j| for two stages at the step's end: an estimate of the field's
    /// Lipschitz constant; NaN unless Heuristics and the method has such a pair. Regulariser R_S of Pal et al. 2021.
    StiffnessEstimate: float
    /// Largest of the same ratio times |h| divided by the method's real stability interval: near or above 1 the step is
    /// limited by stability, that is, the problem is stiff for this method.
    LargestStabilityRatio: float
    /// What implicit steps cost beside evaluations; all zero for explicit methods.
    Implicit: ImplicitWork
}

/// Continuous output of a solve: a value at any time of the span.
type IDenseSolution<'S> =
    /// First and last time (in the direction of integration).
    abstract Start: float
    /// Last time covered.
    abstract End: float
    /// The solution at a time of the span, with the method's own interpolant.
    /// Throws ArgumentOutOfRangeException outside of the span.
    abstract At: t: float -> 'S

/// The result of a solve: complete when Status is Success or Terminated, else everything up to the failure.
type Solution<'S> = {
    /// How it ended.
    Status: Status
    /// One line for people: why, when and where it ended, and what to do; empty on success.
    Message: string
    /// Saved times.
    Times: float[]
    /// Saved states, one for each time.
    States: 'S[]
    /// Time reached.
    FinalTime: float
    /// State there.
    FinalState: 'S
    /// Events in the order of integration.
    Occurrences: Occurrence<'S>[]
    /// Present with SaveAt.DenseOutput.
    Dense: IDenseSolution<'S> voption
    /// What it cost.
    Statistics: Statistics
    /// The methods used, in order: one, unless the method was chosen automatically and changed on the way.
    Choices: MethodChoice[]
    /// Exception of Status.FieldThrew, else null.
    Exception: exn
}

/// A solve that did not reach its end; carries the partial solution.
type SolveError<'S> = {
    /// Why it ended.
    Status: Status
    /// Time reached.
    Time: float
    /// Last step length tried.
    Step: float
    /// Component that failed or drove the step down; empty where it does not apply.
    Component: string
    /// One line for people: what happened, where, and what to do.
    Message: string
    /// Everything up to the failure.
    Partial: Solution<'S>
}

// ----------------------------------------------------------------------------------------------------------- stepper

/// A one-step method on a current state: the loop's view of every method family. Calls come in the order
/// Start, then (Try, any number of Interpolate or Try again, Accept or Restart) repeated, then Dispose.
type IStepper<'S> =
    inherit IDisposable
    /// Exponent denominator of step control: one more than the order of the error estimate's formula pair minimum.
    abstract ErrorOrder: int
    /// Whether Try returns an error estimate.
    abstract IsAdaptive: bool
    /// Default feedback of the family.
    abstract DefaultFeedback: Feedback
    /// Puts the stepper on (t, y). Keeps its own copy.
    abstract Start: t: float * y: 'S -> unit
    /// Hairer's first step length for a span in this direction (+1 or -1).
    abstract InitialStep: direction: float * longest: float -> float
    /// Attempts a step of signed length h that ends at tEnd from the current state; the scaled error norm (0 without an estimate).
    abstract Try: h: float * tEnd: float -> float
    /// Makes the attempted step current.
    abstract Accept: unit -> unit
    /// Time of the current state.
    abstract Time: float
    /// Current state. Valid until the next Accept.
    abstract State: 'S
    /// Attempted state. Valid until Accept or the next Try.
    abstract Candidate: 'S
    /// Dense output of the attempted step at theta in [0, 1].
    abstract Interpolate: theta: float -> 'S
    /// Dense output of the attempted step as an object that outlives it.
    abstract DenseStep: unit -> IDenseSolution<'S>
    /// Evaluations of the field since the stepper was made.
    abstract Evaluations: int
    /// Unscaled norm of the attempted step's error estimate over |h|, and the stiffness ratio (NaN without a pair).
    abstract Heuristics: unit -> struct (float * float)
    /// Real stability interval of the method; NaN if unknown.
    abstract StabilityRadius: float
    /// Names the component that dominates the attempted step's error.
    abstract WorstComponent: unit -> string
    /// Factor from the last attempted step's length to the next one's, for a stepper that chooses its own (variable order);
    /// NaN leaves it to the loop's feedback. accepted says what the loop decided for the attempt; called before Accept.
    abstract Factor: accepted: bool * error: float -> float
    /// Why the last Try could not produce a candidate and returned an infinite error (matrix singular, Newton's method diverged);
    /// Status.Success where it could.
    abstract Difficulty: Status
    /// Implicit work since the stepper was made.
    abstract Work: ImplicitWork
    /// The methods used so far.
    abstract Choices: MethodChoice[]
