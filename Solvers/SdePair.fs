// The states of reversible stochastic methods, and what a sweep back over their steps does.
namespace Continuum

open System
open TorchSharp

/// A state of a reversible method: y and its companion z, and for reversible Heun the slopes at z (null before the first step).
[<Sealed; AllowNullLiteral>]
type internal SdePair(y: Tensor, z: Tensor, f: Tensor, g: Tensor) =
    /// The solution.
    member _.Y = y
    /// The second state.
    member _.Z = z
    /// f at z, or null.
    member _.F = f
    /// g at z, or null.
    member _.G = g

    /// Where every solve starts.
    static member Of(y: Tensor) = SdePair(y, y, null, null)

    /// The same with a function of each tensor.
    member _.Map(change: Tensor -> Tensor) =
        let on (x: Tensor) = if isNull x then null else change x
        SdePair(on y, on z, on f, on g)

    /// A pair whose y alone is set.
    static member Alone(y: Tensor) = SdePair(y, null, null, null)

    /// Frees all of it.
    member _.Free() =
        for x in [| y; z; f; g |] do
            if not (isNull x) then
                x.Dispose()

/// Pairs as a space for the loop: sums and norms are those of y.
[<Struct>]
type internal SdePairSpace(inner: TensorSpace) =
    static let y (pair: SdePair) = pair.Y
    member private _.Inner = inner :> INormedSpace<Tensor>

    interface INormedSpace<SdePair> with
        member _.Allocate pair = pair

        member this.Combine(_, pair, h, w, k, count) =
            SdePair.Alone(this.Inner.Combine(pair.Y, pair.Y, h, w, Array.map y k, count))

        member _.Advance(t, h, c) = t + c * h
        member this.ErrorNorm(y0, y1, h, w, k, count) = this.Inner.ErrorNorm(y0.Y, y1.Y, h, w, Array.map y k, count)
        member this.ScaledDistance(a, b, pair) = this.Inner.ScaledDistance(a.Y, b.Y, pair.Y)
        member this.Distance(a, b) = this.Inner.Distance(a.Y, b.Y)
        member this.Size pair = this.Inner.Size pair.Y
        member this.IsFinite pair = this.Inner.IsFinite pair.Y

        member this.WorstComponent(y0, y1, h, w, k, count) =
            this.Inner.WorstComponent(y0.Y, y1.Y, h, w, Array.map y k, count)

        member _.Copy pair = pair.Map _.alias()
        member this.OpenScope() = this.Inner.OpenScope()

        // y and z are the kernel's own; f and g may be tensors of the equation (a parameter), which are not ours to move or dispose.
        member this.Keep pair =
            let space = this.Inner
            let own (x: Tensor) = if isNull x then null else x.MoveToOuterDisposeScope()
            let shared (x: Tensor) = if isNull x then null else space.Keep x
            SdePair(own pair.Y, own pair.Z, shared pair.F, shared pair.G)

        member _.Free pair = pair.Free()

/// What came out of a loop over pairs.
[<RequireQualifiedAccess>]
module internal SdePairs =
    /// Dense output of y.
    type private FirstOf(dense: IDenseSolution<SdePair>) =
        interface IHoldsStates<Tensor> with
            member _.ForEach visit =
                match dense with
                | :? IHoldsStates<SdePair> as holder ->
                    holder.ForEach(fun pair ->
                        pair.Map(fun x ->
                            visit x
                            x)
                        |> ignore)
                | _ -> ()

        interface IDenseSolution<Tensor> with
            member _.Start = dense.Start
            member _.End = dense.End

            member _.At t =
                use _ = torch.NewDisposeScope()
                dense.At(t).Y.MoveToOuterDisposeScope()

    /// The outcome in terms of y.
    let solution (raw: Solution<SdePair>) : Solution<Tensor> = {
        Status = raw.Status
        Message = raw.Message
        Times = raw.Times
        States = raw.States |> Array.map _.Y
        FinalTime = raw.FinalTime
        FinalState = raw.FinalState.Y
        Occurrences = [||]
        Dense = raw.Dense |> ValueOption.map (fun dense -> FirstOf dense)
        Statistics = raw.Statistics
        Choices = raw.Choices
        Exception = raw.Exception
    }

/// The cotangents that a sweep carries between steps. Tensors may be null.
[<Sealed>]
type internal SdeBars(tensors: Tensor[], later: float) =
    /// In the order of the sweep that made them.
    member _.Tensors = tensors
    /// Length of the step that came after.
    member _.Later = later

    /// Handles of its own.
    static member Copy(tensors: Tensor[], later: float) =
        SdeBars(tensors |> Array.map (fun x -> if isNull x then null else x.alias ()), later)

    /// Frees the handles.
    member _.Free() =
        for x in tensors do
            if not (isNull x) then
                x.Dispose()

/// Walks back over the steps of a reversible method: values by the inverse step, cotangents by the exact adjoint.
[<AbstractClass>]
type internal SdeReverseSweep() =
    /// The reconstructed solution where the sweep stands.
    abstract Y: Tensor
    /// The reconstructed second state.
    abstract Z: Tensor
    /// Puts the sweep on values at a time (where solutions were stored); cotangents stay.
    abstract Place: t: float * y: Tensor * z: Tensor -> unit
    /// Adds the cotangent of a saved value of y here.
    abstract Receive: cotangent: Tensor -> unit
    /// Undoes a step; sides are the saved values inside it. The parameters' part goes to the accumulator.
    abstract Pull: step: SdeStep * sides: SideCotangent[] * gradients: GradientAccumulator -> unit
    /// The cotangent of the initial state where z = y.
    abstract Finish: gradients: GradientAccumulator -> Tensor
    /// The cotangents, for Restore. The caller frees it.
    abstract Snapshot: unit -> SdeBars
    /// Puts the cotangents back.
    abstract Restore: bars: SdeBars -> unit
    /// Cotangent (0-d) of the sum of |h| times the norm of the error estimate; null for none.
    member val ErrorBar: Tensor = null with get, set
    /// Cotangent (0-d) of the sum of the stiffness estimates; null for none.
    member val StiffnessBar: Tensor = null with get, set
