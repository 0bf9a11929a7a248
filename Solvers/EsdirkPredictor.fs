namespace Continuum

open System

/// Start values for the slopes of ESDIRK stages: the polynomial through the slopes nearest in time, of earlier stages of this
/// step and of the step before it. Weights sum to 1, so a constant slope is predicted exactly; a zero start would lose the
/// iteration for stiff components.
[<Sealed>]
type internal EsdirkPredictor<'S>(nodes: float[], width: int, points: int) =
    let stages = nodes.Length
    // closer slopes than this share of a step carry the same information and would cancel
    let separation = 0.02
    // chosen.[s].[p]: index of the slope, negative numbers -1 - j for stage j of the step before
    let chosen = Array.init stages (fun _ -> Array.zeroCreate<int> points)
    let counts = Array.zeroCreate<int> stages
    let weights = Array.init stages (fun _ -> Array.zeroCreate<float> points)
    let slopes: 'S[] = Array.zeroCreate points
    let times = Array.zeroCreate<float> points
    let mutable known = infinity

    /// Time of a candidate in units of this step, with ratio = this step's length over the last one's.
    let timeOf (ratio: float) (candidate: int) =
        if candidate >= 0 then
            nodes[candidate]
        else
            (nodes[-1 - candidate] - 1.0) / ratio

    /// The nearest candidate not yet taken and apart from those taken; Int32.MinValue when there is none.
    let nearest (s: int) (taken: int) (ratio: float) =
        let mutable best = Int32.MinValue
        let mutable distance = infinity
        // without history only this step; the last stage of the step before is the first of this one
        let first = if Double.IsNaN ratio then 0 else -(stages - 1)

        for candidate in first .. s - 1 do
            let time = timeOf ratio candidate
            let mutable apart = true

            for p in 0 .. taken - 1 do
                if abs (times[p] - time) < separation then
                    apart <- false

            let d = abs (time - nodes[s])

            // on a tie the slope of this step
            if apart && d <= distance then
                best <- candidate
                distance <- d

        best

    let choose (s: int) (ratio: float) =
        let mutable taken = 0
        let mutable found = true

        while found && taken < points do
            let candidate = nearest s taken ratio

            if candidate = Int32.MinValue then
                found <- false
            else
                chosen[s][taken] <- candidate
                times[taken] <- timeOf ratio candidate
                taken <- taken + 1

        counts[s] <- taken

        for p in 0 .. taken - 1 do
            let mutable w = 1.0

            for q in 0 .. taken - 1 do
                if q <> p then
                    w <- w * (nodes[s] - times[q]) / (times[p] - times[q])

            weights[s][p] <- if p = 0 then w - 1.0 else w

    /// Prepares a step with this length ratio to the step before; NaN where there is none.
    member _.Prepare(ratio: float) =
        if ratio <> known && not (Double.IsNaN ratio && Double.IsNaN known) then
            known <- ratio

            for s in 1 .. stages - 1 do
                choose s ratio

    /// Collects the slopes that predict stage s, from this step's k and the last step's.
    member _.Gather(s: int, k: 'S[], previous: 'S[]) =
        for p in 0 .. counts[s] - 1 do
            let candidate = chosen[s][p]

            slopes[p] <-
                if candidate >= 0 then
                    k[candidate * width]
                else
                    previous[(-1 - candidate) * width]

        counts[s]

    /// The slopes gathered last.
    member _.Slopes = slopes

    /// Their weights for stage s, beside the first of them taken whole.
    member _.Weights(s: int) = weights[s]
