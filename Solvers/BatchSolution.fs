// Batches whose samples each have a clock of their own: what such a solve is told and what it returns.
namespace Continuum

open System
open System.Threading
open TorchSharp

/// What a progress report says after a round (one attempted step of every sample that still runs).
[<Struct>]
type BatchReport = {
    /// Rounds so far.
    Round: int
    /// Samples that still run.
    Running: int
    /// Mean over the samples of the fraction of the span that is done; samples that ended early count as done.
    Fraction: float
    /// Accepted steps of all samples.
    Accepted: int
    /// Rejected steps of all samples.
    Rejected: int
    /// Evaluations of the field on the whole batch.
    Evaluations: int
}

/// Everything a solve with a clock per sample can be told.
type BatchOptions = {
    /// The method.
    Method: Method
    /// Fixed steps of one length for all samples, or adaptive steps of each sample's own.
    Control: StepControl
    /// Relative tolerance.
    Rtol: float
    /// Absolute tolerance, in units of the state.
    Atol: float
    /// Start time of each sample.
    T0: float[]
    /// End time of each sample: on either side of its start, or equal to it (the sample is then done at once).
    T1: float[]
    /// For each sample the times to save, strictly monotone in its direction and inside its span; samples may have
    /// different numbers of them. Values come from the method's own dense output. ValueNone saves the end only.
    SaveTimes: float[][] voption
    /// Differentiable events; conditions get t of shape (batch, 1, ..., 1) and the state, and return shape (batch).
    /// Times, jumps and terminations are per sample. Non-finite conditions fail the sample.
    Events: TensorEvent[]
    /// First step length (> 0); ValueNone lets Hairer's rule choose for each sample.
    InitialStep: float voption
    /// Largest step length allowed.
    MaxStep: float
    /// Smallest step length before a sample fails; 0 means a few ulp of the time.
    MinStep: float
    /// Attempted steps allowed for each sample.
    MaxSteps: int
    /// None, Recorded or Discrete (which keeps the state of every round, so MaxCheckpoints must be 0).
    Differentiation: Differentiation
    /// Check once per field that every tracked tensor it reads is among its Parameters (Discrete; costs one evaluation).
    CheckTracking: bool
    /// Called after every round; null for none.
    Progress: Action<BatchReport>
    /// Polled before every round.
    Cancellation: CancellationToken
}

/// Default options and checks.
[<RequireQualifiedAccess>]
module BatchOptions =
    /// Tsit5, adaptive, discrete gradients, end states only, no events, over [t0[i], t1[i]] for each sample i.
    let create (rtol: float) (atol: float) (t0: float[]) (t1: float[]) : BatchOptions = {
        Method = RungeKutta Methods.Tsit5
        Control = Adaptive ValueNone
        Rtol = rtol
        Atol = atol
        T0 = t0
        T1 = t1
        SaveTimes = ValueNone
        Events = [||]
        InitialStep = ValueNone
        MaxStep = infinity
        MinStep = 0.0
        MaxSteps = 100_000
        Differentiation = Differentiation.DiscreteDefault
        CheckTracking = true
        Progress = null
        Cancellation = CancellationToken.None
    }

    let private bad (text: string) = raise (ArgumentException text)

    /// The arithmetic of a step of these options' method.
    let internal kernel (options: BatchOptions) (field: TensorField) (like: Tensor) : ITensorKernel =
        TensorKernels.create options.Method field false (Tolerance.create options.Rtol options.Atol) like

    /// Throws ArgumentException, naming the sample, the value and the remedy, where options contradict each other or the batch.
    let check (options: BatchOptions) (batch: int) =
        let sized (name: string) (length: int) =
            if length <> batch then
                bad $"{name} has {length} entries for a batch of {batch}; give one for each sample (dimension 0 of y0)."

        ArgumentNullException.ThrowIfNull(options.T0, nameof options.T0)
        ArgumentNullException.ThrowIfNull(options.T1, nameof options.T1)
        ArgumentNullException.ThrowIfNull(options.Events, nameof options.Events)
        sized "T0" options.T0.Length
        sized "T1" options.T1.Length
        let some: SolveOptions<float[]> = SolveOptions.create options.Rtol options.Atol

        // The scalar options' own checks, on a span of some length.
        SolveOptions.check
            {
                some with
                    Control = options.Control
                    InitialStep = options.InitialStep
                    MaxStep = options.MaxStep
                    MinStep = options.MinStep
                    MaxSteps = options.MaxSteps
            }
            0.0
            1.0

        match options.Control, options.Method with
        | Adaptive _, RungeKutta tableau when not tableau.IsAdaptive ->
            bad
                $"{tableau.Name} has no error estimate, so its steps cannot be adaptive; choose Fixed, or a method with an embedded pair such as Tsit5 or Dopri5."
        | _ -> ()

        for i in 0 .. batch - 1 do
            if not (Double.IsFinite options.T0[i] && Double.IsFinite options.T1[i]) then
                bad $"The span of sample {i} must be finite; got [{options.T0[i]}, {options.T1[i]}]."

        match options.SaveTimes with
        | ValueNone -> ()
        | ValueSome all ->
            sized "SaveTimes" all.Length

            if all |> Array.forall Array.isEmpty then
                bad "SaveTimes is empty for every sample; use ValueNone to save the end states only."

            for i in 0 .. batch - 1 do
                let t0, t1, times = options.T0[i], options.T1[i], all[i]
                let direction = if t1 >= t0 then 1.0 else -1.0

                for j in 0 .. times.Length - 1 do
                    if not (direction * (times[j] - t0) >= 0.0 && direction * (t1 - times[j]) >= 0.0) then
                        bad $"Save time {times[j]} of sample {i} (index {j}) lies outside of its span [{t0}, {t1}]."

                    if j > 0 && not (direction * (times[j] - times[j - 1]) > 0.0) then
                        bad
                            $"Save times of sample {i} must be strictly monotone in the direction of its span; index {j} ({times[j]}) follows {times[j - 1]}."

/// The result of a solve with a clock per sample. Owns its tensors: dispose it, or let the enclosing dispose scope do so.
[<Sealed>]
type BatchSolution
    internal
    (
        statuses: Status[],
        messages: string[],
        times: float[][],
        states: Tensor,
        finalTimes: float[],
        final: Tensor,
        occurrences: TensorOccurrence[][],
        accepted: int[],
        rejected: int[],
        evaluations: int,
        error: exn
    ) =
    /// How each sample ended.
    member _.Status = statuses
    /// One line for people for each sample; empty on success.
    member _.Messages = messages
    /// For each sample the save times that it reached.
    member _.Times = times
    /// Saved states, shape (save slots, batch, ...): slot j of sample i holds the state at Times[i][j]; NaN where the sample
    /// has no such slot or did not reach it. With end states only, one slot equal to Final.
    member _.States = states
    /// Time that each sample reached.
    member _.FinalTimes = finalTimes
    /// State there, shape (batch, ...): for a failed sample its last good state.
    member _.Final = final
    /// Events of each sample, in order; states without the batch dimension.
    member _.Occurrences = occurrences
    /// Accepted steps of each sample.
    member _.Accepted = accepted
    /// Rejected steps of each sample.
    member _.Rejected = rejected
    /// Evaluations of the field on the whole batch (the replay of Recorded and the backward sweep not counted).
    member _.Evaluations = evaluations
    /// Exception behind Status.FieldThrew, or null.
    member _.Exception = error

    /// Throws SolveFailedException, for the first sample that failed, unless all ended well.
    member this.EnsureSuccess() =
        for i in 0 .. statuses.Length - 1 do
            match statuses[i] with
            | Status.Success
            | Status.Terminated -> ()
            | status -> raise (SolveFailedException(status, finalTimes[i], messages[i], error))

        this

    member private _.Tensors =
        seq {
            yield states
            yield final

            for sample in occurrences do
                for occurrence in sample do
                    yield occurrence.TimeTensor
                    yield occurrence.Before
                    yield occurrence.After
        }

    /// Hands the results to the enclosing dispose scope.
    member internal this.MoveToOuterScope() =
        for tensor in this.Tensors do
            tensor.MoveToOuterDisposeScope() |> ignore

        this

    interface IDisposable with
        member this.Dispose() =
            for tensor in this.Tensors do
                tensor.Dispose()
