// One step of a method on tensors whose clock is a tensor: what the loop over batches, its replay and the backward sweeps need of a
// method, whatever its family.
namespace Continuum

open System
open TorchSharp

/// Tensors with one number for each sample.
[<RequireQualifiedAccess>]
module internal BatchTensors =
    /// (batch, 1, ..., 1) with as many dimensions as y.
    let shape (y: Tensor) = Array.init (int (y.dim ())) (fun d -> if d = 0 then y.shape[0] else 1L)

    /// One number for each sample, in y's dtype; a single number stands for all of them.
    let column (values: float[]) (y: Tensor) : Tensor =
        let shape = Array.init (int (y.dim ())) (fun d -> if d = 0 then values.LongLength else 1L)
        Tensors.ofArray values shape y.dtype y.device

    /// One truth value for each sample.
    let mask (bits: bool[]) (y: Tensor) : Tensor =
        use plain = torch.tensor bits
        use copy = plain.clone ()
        use there = copy.``to`` y.device
        there.reshape (shape y)

    /// Some samples.
    let rows (samples: int[]) (y: Tensor) : Tensor =
        if samples.Length = int y.shape[0] then
            y // the samples are distinct and in order
        else
            use plain = torch.tensor (samples |> Array.map int64)
            use copy = plain.clone ()
            y.index_select (0L, copy.``to`` y.device)

    /// Truth values that are set for some samples.
    let bits (batch: int) (samples: int[]) =
        let bits = Array.zeroCreate<bool> batch

        for i in samples do
            bits[i] <- true

        bits

    /// (batch, rest).
    let perSample (x: Tensor) : Tensor = x.reshape [| x.shape[0]; -1L |]

    /// Zero for each sample whose values are all finite, else NaN; float64.
    let blemish (x: Tensor) : Tensor = (perSample (x.mul 0.0)).sum(1L).``to`` torch.float64

    /// The value of polynomials in theta that vanish at 0: entry p of a row multiplies theta^(p + 1).
    let weights (rows: float[][]) (theta: float) =
        rows
        |> Array.map (fun row -> Array.foldBack (fun coefficient s -> theta * (coefficient + s)) row 0.0)

    /// y + h sum_j w_j(theta) k_j at one theta for each sample, or one for all.
    let interpolate (rows: float[][]) (k: Tensor[]) (h: Tensor) (y: Tensor) (theta: float[]) : Tensor =
        let all = theta |> Array.map (weights rows)
        let mutable sum: Tensor = null

        for j in 0 .. rows.Length - 1 do
            let w = all |> Array.map (fun row -> row[j])

            if Array.exists (fun x -> x <> 0.0) w then
                let term = k[j].mul(column w y)
                sum <- if isNull sum then term else sum.add term

        if isNull sum then y.alias () else y.add (h.mul sum)

    /// sum_j w_j k_j over fresh storage, not recorded; null where every weight is zero.
    let plainSum (w: float[]) (k: Tensor[]) : Tensor =
        let mutable sum: Tensor = null

        for j in 0 .. w.Length - 1 do
            if w[j] <> 0.0 then
                use scalar = w[j].ToScalar()
                sum <- if isNull sum then k[j].mul scalar else sum.add_ (k[j], scalar)

        sum

/// The arithmetic of one step from (t, y). Times and lengths are 0-d, or of shape (batch, 1, ..., 1) with a number for each sample;
/// t is null for an autonomous field. A step is a function of (t, h, y) alone, so that it can be taken again later; where gradients are
/// enabled it is recorded. A sample with h = 0 stays where it is, and nothing of it but its own rows can become non-finite.
type internal ITensorKernel =
    inherit IDisposable
    /// Name of the method.
    abstract Name: string
    /// As in IStepper.
    abstract ErrorOrder: int
    /// As in IStepper.
    abstract IsAdaptive: bool
    /// As in IStepper.
    abstract DefaultFeedback: Feedback
    /// Real stability interval of the method; NaN if unknown.
    abstract StabilityRadius: float
    /// f(t, y).
    abstract Slope: t: Tensor * y: Tensor -> Tensor
    /// The attempted state, slope being f(t, y).
    abstract Step: t: Tensor * h: Tensor * y: Tensor * slope: Tensor -> Tensor
    /// f at the end of the attempted step where the step computed it, else null.
    abstract EndSlope: Tensor
    /// The error estimates of the attempted step, not scaled: none, one, or the two of DOP853. Not recorded.
    abstract Errors: h: Tensor -> Tensor[]
    /// Why the last step of a sample gave no candidate; null where all did. A single entry stands for all samples.
    abstract Troubles: Status[]
    /// Evaluates, in the present dispose scope, what dense output of the attempted step needs beside its stages.
    abstract EnsureExtras: t: Tensor * h: Tensor * y: Tensor -> unit
    /// Slopes of the attempted step that dense output is a sum of; those of extra stages only after EnsureExtras.
    abstract Slopes: Tensor[]
    /// Their weights: Weights.[i].[p] multiplies theta^(p + 1).
    abstract Dense: float[][]
    /// Evaluations of the field so far.
    abstract Evaluations: int
    /// Implicit work so far.
    abstract Work: ImplicitWork

/// Explicit tableaus.
[<Sealed>]
type internal ExplicitKernel(tableau: Tableau, field: TensorField, like: Tensor) =
    let kernel =
        RungeKuttaKernel<Tensor, Tensor, TensorClock, TensorClockField>(
            tableau,
            TensorClock(),
            TensorClockField field,
            like
        )

    let k = kernel.K
    let mutable extras = false

    interface ITensorKernel with
        member _.Name = tableau.Name
        member _.ErrorOrder = tableau.ErrorOrder
        member _.IsAdaptive = tableau.IsAdaptive
        member _.DefaultFeedback = StepDefaults.feedback tableau
        member _.StabilityRadius = tableau.StabilityRadius
        member _.Slope(t, y) = kernel.Slope(t, y, y)

        member _.Step(t, h, y, slope) =
            extras <- false
            k[0] <- slope
            kernel.Step(t, h, y, y)

        member _.EndSlope = if tableau.Fsal then k[tableau.Stages - 1] else null

        member _.Errors h =
            match tableau.Raw.Error with
            | NoEstimate -> [||]
            | Embedded w -> [| (BatchTensors.plainSum w k).mul_ h |]
            | Dop853Pair(w5, w3) -> [| (BatchTensors.plainSum w5 k).mul_ h; (BatchTensors.plainSum w3 k).mul_ h |]

        member _.Troubles = null

        member _.EnsureExtras(t, h, y) =
            if not extras then
                kernel.ExtraStages(t, h, y)
                extras <- true

        member _.Slopes = k
        member _.Dense = tableau.Raw.Dense.Weights
        member _.Evaluations = kernel.Evaluations
        member _.Work = ImplicitWork.Zero
        member _.Dispose() = ()
