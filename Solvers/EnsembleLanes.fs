// One worker of an ensemble: eight trajectories in lanes, each with a clock, a step length and a controller of its own. A lane that
// ends takes the next trajectory at once, so easy ones do not wait for hard ones. The arithmetic of a step is that of RungeKuttaStepper
// and RealSpace operation by operation, so a lane walks the steps of a solve of its own.
namespace Continuum

#nowarn "9" "51" "3535" "3536"

open System
open System.Runtime.InteropServices
open System.Runtime.Intrinsics
open System.Threading
open Microsoft.FSharp.NativeInterop

/// The worker. Dispose frees its memory.
[<Sealed>]
type internal EnsembleLanes<'G when 'G: struct and 'G :> IGenericField>(field: 'G, task: LaneTask) =
    let field = field
    let tableau = task.Tableau
    let options = task.Options
    let solution = task.Solution
    let n = field.Size
    let m = field.ParameterCount
    let raw = tableau.Raw
    let stages = tableau.Stages
    let fsal = tableau.Fsal
    let total = stages + raw.Dense.ExtraC.Length
    // y, candidate, stage, parameters, slopes
    let memory = new LaneMemory(3 * n + m + total * n)
    let yAt, y1At, stageAt, pAt, kAt = 0, n, 2 * n, 3 * n, 3 * n + m
    let y = memory.At yAt
    let y1 = memory.At y1At
    let k = memory.At kAt
    let all (x: float) = Vector512.Create x
    let feedback = task.Feedback
    let floor = Math.Log 1e-4
    let rtol = task.Tolerance.Rtol
    let atol = task.Tolerance.Atol
    // per lane
    let mutable t = Vector512<float>.Zero
    let mutable tEnd = Vector512<float>.Zero
    let mutable t1 = Vector512<float>.Zero
    let mutable h = Vector512<float>.Zero
    let mutable step = Vector512<float>.Zero
    let mutable direction = all 1.0
    let mutable previous = Vector512<float>.Zero
    let mutable older = Vector512<float>.Zero
    let mutable justRejected = Vector512<float>.Zero
    let mutable active = Vector512<float>.Zero
    let mutable needSlope = Vector512<float>.Zero
    let mutable accepted = Vector512<float>.Zero
    let mutable rejected = Vector512<float>.Zero
    let mutable evaluations = Vector512<float>.Zero
    let mutable smallest = Vector512<float>.Zero
    let mutable largest = Vector512<float>.Zero
    let mutable nextSave = all infinity
    let trajectory: int[] = Array.create 8 -1
    // scalar scratch for starts
    let start: float[] = Array.zeroCreate n
    let slope: float[] = Array.zeroCreate n
    let trial: float[] = Array.zeroCreate n
    let trialSlope: float[] = Array.zeroCreate n

    member private _.Evaluate(time: Vector512<float>, stateAt: int, slopeAt: int) =
        field.Evaluate<Lanes>(Lanes time, memory.ReadOnly(stateAt, n), memory.ReadOnly(pAt, m), memory.Span(slopeAt, n))

    /// dest = y + step * sum_j w_j k_j.
    member private _.Combine(dest: nativeptr<Vector512<float>>, w: float[], count: int) =
        let length = step
        let mutable i = 0

        while i + 2 < n do
            let mutable s0 = Vector512<float>.Zero
            let mutable s1 = Vector512<float>.Zero
            let mutable s2 = Vector512<float>.Zero

            for j in 0 .. count - 1 do
                let wj = w[j]

                if wj <> 0.0 then
                    let wj = Vector512.Create wj
                    let kj = NativePtr.add k (j * n + i)
                    s0 <- s0 + wj * NativePtr.read kj
                    s1 <- s1 + wj * NativePtr.get kj 1
                    s2 <- s2 + wj * NativePtr.get kj 2

            NativePtr.set dest i (NativePtr.get y i + length * s0)
            NativePtr.set dest (i + 1) (NativePtr.get y (i + 1) + length * s1)
            NativePtr.set dest (i + 2) (NativePtr.get y (i + 2) + length * s2)
            i <- i + 3

        while i < n do
            let mutable s = Vector512<float>.Zero

            for j in 0 .. count - 1 do
                let wj = w[j]

                if wj <> 0.0 then
                    s <- s + Vector512.Create wj * NativePtr.get k (j * n + i)

            NativePtr.set dest i (NativePtr.get y i + length * s)
            i <- i + 1

    /// The scaled error of component i.
    member private _.Scaled(w: float[], i: int) =
        let mutable s = Vector512<float>.Zero

        for j in 0 .. stages - 1 do
            let wj = w[j]

            if wj <> 0.0 then
                s <- s + Vector512.Create wj * NativePtr.get k (j * n + i)

        let size = Vector512.Max(Vector512.Abs(NativePtr.get y i), Vector512.Abs(NativePtr.get y1 i))
        step * s / (Vector512.Create atol[i] + Vector512.Create rtol[i] * size)

    member private this.ErrorNorm(w: float[]) =
        let mutable sum = Vector512<float>.Zero
        let mutable i = 0

        if task.Tolerance.IsMaximum then
            while i < n do
                sum <- Vector512.Max(sum, Vector512.Abs(this.Scaled(w, i)))
                i <- i + 1

            sum
        else
            if task.Tolerance.IsUniform then
                while i + 2 < n do
                    let e0 = this.Scaled(w, i)
                    let e1 = this.Scaled(w, i + 1)
                    let e2 = this.Scaled(w, i + 2)
                    sum <- sum + (e0 * e0 + e1 * e1 + e2 * e2)
                    i <- i + 3

            while i < n do
                let e = this.Scaled(w, i)
                sum <- sum + e * e
                i <- i + 1

            Vector512.Sqrt(sum / all (float n))

    member private this.Stages() =
        let inner = if fsal then stages - 2 else stages - 1
        let stage = memory.At stageAt

        for s in 1..inner do
            this.Combine(stage, raw.A[s], s)
            this.Evaluate(t + all raw.C[s] * step, stageAt, kAt + s * n)

        if fsal then
            this.Combine(y1, raw.B, stages - 1)
            this.Evaluate(t + step, y1At, kAt + (stages - 1) * n)
        else
            this.Combine(y1, raw.B, stages)

    member private this.Error() =
        match raw.Error with
        | Embedded w -> this.ErrorNorm w
        | Dop853Pair(w5, w3) ->
            let e5 = this.ErrorNorm w5
            let e3 = this.ErrorNorm w3
            let value = e5 * e5 / Vector512.Sqrt(e5 * e5 + all 0.01 * e3 * e3)
            let zero = Vector512.Equals(e5, all 0.0) &&& Vector512.Equals(e3, all 0.0)
            Vector512.ConditionalSelect(zero, all 0.0, value)
        | NoEstimate -> all 0.0

    /// All bits in lanes where the candidate is finite.
    member private _.Finite() =
        let mutable sum = Vector512<float>.Zero

        for i in 0 .. n - 1 do
            sum <- sum + all 0.0 * NativePtr.get y1 i

        Vector512.Equals(sum, all 0.0)

    /// Scaled distance of two states in scalar form, as in RealSpace.
    member private _.Distance(a: float[], b: float[], at: float[]) =
        let mutable acc = 0.0

        for i in 0 .. n - 1 do
            let other = if isNull b then 0.0 else b[i]
            let scaled = (a[i] - other) / (atol[i] + rtol[i] * abs at[i])

            acc <-
                if task.Tolerance.IsMaximum then
                    Math.Max(acc, abs scaled)
                else
                    acc + scaled * scaled

        if task.Tolerance.IsMaximum then acc else sqrt (acc / float n)

    member private _.EvaluateOne(time: float, state: float[], p: float[], dest: float[]) =
        field.Evaluate<Real>(
            Real time,
            Real.Of(ReadOnlySpan<float> state),
            Real.Of(ReadOnlySpan<float> p),
            Real.Of(Span<float> dest)
        )

    /// Hairer's first step length, as in StepDefaults.firstStep without its allocations; the number of evaluations it cost beside.
    member private this.FirstStep(time: float, p: float[], direction: float, longest: float) : struct (float * int) =
        let d0 = this.Distance(start, null, start)
        let d1 = this.Distance(slope, null, start)

        if not (Double.IsFinite d0 && Double.IsFinite d1) then
            struct (Math.Min(1e-6, longest), 0)
        else
            let h0 = if d0 < 1e-5 || d1 < 1e-5 then 1e-6 else 0.01 * d0 / d1
            let h0 = Math.Min(h0, longest)

            for i in 0 .. n - 1 do
                trial[i] <- start[i] + direction * h0 * slope[i]

            this.EvaluateOne(time + direction * h0, trial, p, trialSlope)
            let d2 = this.Distance(trialSlope, slope, start) / h0
            let worst = Math.Max(d1, d2)

            let h1 =
                if not (Double.IsFinite d2) then h0 * 0.1
                elif worst <= 1e-15 then Math.Max(1e-6, h0 * 1e-3)
                else Math.Pow(0.01 / worst, 1.0 / float (max 1 tableau.ErrorOrder))

            struct (Math.Min(Math.Min(100.0 * h0, h1), longest), 1)

    /// Writes one lane of a vector.
    member private _.Put(vector: byref<Vector512<float>>, lane: int, value: float) =
        vector <- vector.WithElement(lane, value)

    member private _.PutState(at: int, lane: int, values: float[]) =
        for i in 0 .. values.Length - 1 do
            let cell = memory.At(at + i)
            NativePtr.write cell ((NativePtr.read cell).WithElement(lane, values[i]))

    member private this.Deactivate(lane: int) =
        trajectory[lane] <- -1
        this.Put(&active, lane, 0.0)
        this.Put(&needSlope, lane, 0.0)
        // a step of length zero from here on
        this.Put(&t, lane, 0.0)
        this.Put(&t1, lane, 0.0)
        this.Put(&nextSave, lane, infinity)
        this.Put(&direction, lane, 1.0)

    /// Puts trajectory i on a lane; false where it ends at its start.
    member private this.Load(lane: int, i: int) : bool =
        let problem = task.Problem
        let t0, finish = problem.Start i, problem.End i
        let p = problem.Values i
        problem.State(i).AsSpan().CopyTo(start.AsSpan())
        let sign = if finish > t0 then 1.0 else -1.0

        if solution.SaveTimes.Length > 0 && solution.SaveTimes[0] = t0 then
            start.AsSpan().CopyTo(solution.NextSaved i)

        if not (Array.forall Double.IsFinite start) then
            start.AsSpan().CopyTo(solution.FinalStateSpan i)
            solution.Finish(i, Status.NonFinite, $"The initial state is not finite; check the input at t = {t0}.", t0)
            false
        else
            // From here on the lane is this trajectory's, whatever the field does.
            trajectory[lane] <- i
            this.PutState(yAt, lane, start)
            this.PutState(pAt, lane, p)
            this.Put(&t, lane, t0)
            this.Put(&t1, lane, finish)
            this.Put(&direction, lane, sign)
            this.Put(&previous, lane, 0.0)
            this.Put(&older, lane, 0.0)
            this.Put(&justRejected, lane, 0.0)
            this.Put(&accepted, lane, 0.0)
            this.Put(&rejected, lane, 0.0)
            this.Put(&evaluations, lane, 0.0)
            this.Put(&smallest, lane, infinity)
            this.Put(&largest, lane, 0.0)
            this.EvaluateOne(t0, start, p, slope)
            let longest = Math.Min(options.MaxStep, abs (finish - t0))

            let struct (first, cost) =
                match options.InitialStep with
                | ValueSome step -> struct (Math.Min(step, longest), 0)
                | ValueNone -> this.FirstStep(t0, p, sign, longest)

            this.PutState(kAt, lane, slope)
            this.Put(&h, lane, first)
            this.Put(&evaluations, lane, float (1 + cost))
            this.Put(&active, lane, BitConverter.Int64BitsToDouble -1L)
            this.AimAtSave(lane, i, sign)
            true

    /// The next save time of a lane, or infinity in its direction.
    member private this.AimAtSave(lane: int, i: int, sign: float) =
        if solution.SaveTimes.Length > 0 then
            let next = solution.SavedCount i

            let time =
                if next < solution.SaveTimes.Length then
                    solution.SaveTimes[next]
                else
                    sign * infinity

            this.Put(&nextSave, lane, time)
        else
            this.Put(&nextSave, lane, sign * infinity)

    /// Puts the next trajectory on a lane, or none.
    member private this.Refill(lane: int) =
        this.Deactivate lane
        let mutable searching = true

        while searching do
            let i = task.Next.Invoke()

            if i < 0 then searching <- false
            elif this.Load(lane, i) then searching <- false
            else task.Ended.Invoke()

    /// Ends the trajectory on a lane.
    member private _.End(lane: int, status: Status, message: string) =
        let i = trajectory[lane]
        let final = solution.FinalStateSpan i

        for c in 0 .. n - 1 do
            final[c] <- (NativePtr.get y c).GetElement lane

        solution.Finish(i, status, message, t.GetElement lane)

        solution.CountWork(
            i,
            int (evaluations.GetElement lane),
            int (accepted.GetElement lane),
            int (rejected.GetElement lane),
            smallest.GetElement lane,
            largest.GetElement lane
        )

        task.Ended.Invoke()

    /// Saves what lies in the attempted step of a lane.
    member private this.Save(lane: int) =
        let i = trajectory[lane]
        let sign = direction.GetElement lane
        let finish = tEnd.GetElement lane
        let length = step.GetElement lane
        let times = solution.SaveTimes

        while solution.SavedCount i < times.Length && not (sign * (times[solution.SavedCount i] - finish) > 0.0) do
            let time = times[solution.SavedCount i]
            let dest = solution.NextSaved i

            if time = finish then
                for c in 0 .. n - 1 do
                    dest[c] <- (NativePtr.get y1 c).GetElement lane
            else
                this.Interpolate(lane, (time - t.GetElement lane) / length, length, dest)

        this.AimAtSave(lane, i, sign)

    member private _.Interpolate(lane: int, theta: float, length: float, dest: Span<float>) =
        for c in 0 .. n - 1 do
            dest[c] <- 0.0

        for j in 0 .. total - 1 do
            let row = raw.Dense.Weights[j]
            let mutable w = 0.0

            for p in row.Length - 1 .. -1 .. 0 do
                w <- theta * (row[p] + w)

            if w <> 0.0 then
                for c in 0 .. n - 1 do
                    dest[c] <- dest[c] + w * (NativePtr.get k (j * n + c)).GetElement lane

        for c in 0 .. n - 1 do
            dest[c] <- (NativePtr.get y c).GetElement lane + length * dest[c]

    member private this.SaveWithin(mask: Vector512<float>) =
        let stage = memory.At stageAt

        for e in 0 .. raw.Dense.ExtraC.Length - 1 do
            this.Combine(stage, raw.Dense.ExtraA[e], stages + e)
            this.Evaluate(t + all raw.Dense.ExtraC[e] * step, stageAt, kAt + (stages + e) * n)
            evaluations <- Vector512.ConditionalSelect(mask, evaluations + all 1.0, evaluations)

        let mutable bits = Vector512.ExtractMostSignificantBits mask

        while bits <> 0UL do
            let lane = Numerics.BitOperations.TrailingZeroCount bits
            bits <- bits &&& (bits - 1UL)
            this.Save lane

    /// The component whose scaled error is largest or not finite, in a lane.
    member private this.WorstComponent(lane: int) =
        let w =
            match raw.Error with
            | Embedded w
            | Dop853Pair(w, _) -> w
            | NoEstimate -> raw.B

        let mutable worst = 0
        let mutable size = -1.0

        for i in 0 .. n - 1 do
            let e = abs ((this.Scaled(w, i)).GetElement lane)
            let finite = Double.IsFinite e && Double.IsFinite((NativePtr.get y1 i).GetElement lane)

            if size < infinity && (not finite || e > size) then
                worst <- i
                size <- if finite then e else infinity

        $"component {worst}"

    /// Ends a rejected lane whose step is at its end.
    member private this.EndTooSmall(lane: int, least: float, error: float, finite: bool) =
        let time = t.GetElement lane
        let part = this.WorstComponent lane

        if Double.IsFinite error then
            this.End(
                lane,
                Status.StepTooSmall,
                $"The step size fell below {least:g3} at t = {time} ({part} dominates the error); the problem is stiff, singular or discontinuous there: take a stiff method such as Rodas5P, or loosen the tolerances."
            )
        elif finite && options.Tolerance.Atol = 0.0 then
            this.End(
                lane,
                Status.NonFinite,
                $"The scaled error is not finite at t = {time} ({part}) though the state is: where a component is zero an absolute tolerance of 0 allows no error; set atol > 0."
            )
        else
            this.End(
                lane,
                Status.NonFinite,
                $"The field or the state is not finite just after t = {time} ({part}); check the field there, or bound the span before the singularity."
            )

    member private this.FirstSlopes() =
        // The last slope of a method that is not FSAL is not the next one's first.
        this.Evaluate(t, yAt, stageAt)

        for i in 0 .. n - 1 do
            let cell = NativePtr.add k i
            let fresh = NativePtr.read (memory.At(stageAt + i))
            NativePtr.write cell (Vector512.ConditionalSelect(needSlope, fresh, NativePtr.read cell))

        evaluations <- Vector512.ConditionalSelect(needSlope, evaluations + all 1.0, evaluations)
        needSlope <- Vector512<float>.Zero

    /// Chooses the next step of every lane from the scaled errors.
    member private _.Control(error: Vector512<float>, taken: Vector512<float>) =
        let e = LaneFunctions.log (Vector512.Max(error, all 1e-10))

        let exponent = all feedback.Beta1 * e + all feedback.Beta2 * previous + all feedback.Beta3 * older

        let grown = all feedback.Safety * LaneFunctions.exp (-exponent)
        let most = Vector512.ConditionalSelect(justRejected, all 1.0, all feedback.MaxFactor)
        let grown = Vector512.Min(Vector512.Max(grown, all feedback.MinFactor), most)
        let length = Vector512.Abs step
        let next = length * grown
        // A step cut short by the end says little about the next one.
        let next = Vector512.ConditionalSelect(Vector512.LessThan(length, h), Vector512.Max(h, next), next)
        older <- Vector512.ConditionalSelect(taken, previous, older)
        previous <- Vector512.ConditionalSelect(taken, Vector512.Max(e, all floor), previous)
        let refused = Vector512.AndNot(active, taken)

        if Vector512.EqualsAll(refused.AsInt64(), Vector512<int64>.Zero) then
            h <- next
        else
            let shrunk = all feedback.Safety * LaneFunctions.exp (all -feedback.Beta1 * e)
            let shrunk = Vector512.Min(Vector512.Max(shrunk, all feedback.MinFactor), all feedback.Safety)
            let finite = Vector512.LessThan(Vector512.Abs error, all infinity)
            let shrunk = Vector512.ConditionalSelect(finite, shrunk, all feedback.MinFactor)
            h <- Vector512.ConditionalSelect(taken, next, length * shrunk)

        justRejected <- refused

    member private _.Advance(taken: Vector512<float>) =
        t <- Vector512.ConditionalSelect(taken, tEnd, t)
        let last = if fsal then NativePtr.add k ((stages - 1) * n) else k

        for i in 0 .. n - 1 do
            NativePtr.set y i (Vector512.ConditionalSelect(taken, NativePtr.get y1 i, NativePtr.get y i))

            if fsal then
                NativePtr.set k i (Vector512.ConditionalSelect(taken, NativePtr.get last i, NativePtr.get k i))

        if not fsal then
            needSlope <- taken

    /// One attempt on every lane.
    member private this.Attempt() =
        if not (Vector512.EqualsAll(needSlope.AsInt64(), Vector512<int64>.Zero)) then
            this.FirstSlopes()

        let remaining = t1 - t
        let length = Vector512.Min(h, all options.MaxStep)
        let last = Vector512.GreaterThanOrEqual(length * all (1.0 + 1e-10), Vector512.Abs remaining)
        step <- Vector512.ConditionalSelect(last, remaining, direction * length)
        tEnd <- Vector512.ConditionalSelect(last, t1, t + step)
        this.Stages()
        let error = this.Error()
        let finite = this.Finite()
        let taken = Vector512.LessThanOrEqual(error, all 1.0) &&& finite &&& active
        evaluations <- evaluations + all (float (stages - 1))
        let saving = taken &&& Vector512.LessThanOrEqual(direction * (nextSave - tEnd), all 0.0)

        if not (Vector512.EqualsAll(saving.AsInt64(), Vector512<int64>.Zero)) then
            this.SaveWithin saving

        accepted <- Vector512.ConditionalSelect(taken, accepted + all 1.0, accepted)
        rejected <- Vector512.ConditionalSelect(taken, rejected, rejected + all 1.0)
        let size = Vector512.Abs step
        smallest <- Vector512.ConditionalSelect(taken, Vector512.Min(smallest, size), smallest)
        largest <- Vector512.ConditionalSelect(taken, Vector512.Max(largest, size), largest)
        this.Control(error, taken)
        this.Advance taken
        this.EndLanes(error, finite, taken)

    /// Ends the lanes that are done or cannot go on.
    member private this.EndLanes(error: Vector512<float>, finite: Vector512<float>, taken: Vector512<float>) =
        let arrived = taken &&& Vector512.Equals(t, t1)
        let spent = Vector512.GreaterThanOrEqual(accepted + rejected, all (float options.MaxSteps))

        let mutable bits =
            Vector512.ExtractMostSignificantBits((arrived ||| spent ||| Vector512.AndNot(active, taken)) &&& active)

        while bits <> 0UL do
            let lane = Numerics.BitOperations.TrailingZeroCount bits
            bits <- bits &&& (bits - 1UL)
            let time = t.GetElement lane

            if (Vector512.ExtractMostSignificantBits arrived >>> lane) &&& 1UL <> 0UL then
                this.End(lane, Status.Success, "")
                this.Refill lane
            else
                let isTaken = (Vector512.ExtractMostSignificantBits taken >>> lane) &&& 1UL <> 0UL
                let least = Math.Max(options.MinStep, 4.0 * (Math.BitIncrement(abs time) - abs time))

                if not isTaken && h.GetElement lane < least then
                    let isFinite = (Vector512.ExtractMostSignificantBits finite >>> lane) &&& 1UL <> 0UL
                    this.EndTooSmall(lane, least, error.GetElement lane, isFinite)
                    this.Refill lane
                elif accepted.GetElement lane + rejected.GetElement lane >= float options.MaxSteps then
                    let target = t1.GetElement lane

                    this.End(
                        lane,
                        Status.MaxStepsReached,
                        $"{options.MaxSteps} steps did not reach the end: stopped at t = {time} before {target} with step {h.GetElement lane:g3}; raise MaxSteps, loosen the tolerances, or use a stiff method."
                    )

                    this.Refill lane

    /// Trajectories on the lanes.
    member _.Pending = trajectory |> Array.filter (fun i -> i >= 0)

    /// Ends the trajectories on the lanes as they are.
    member this.Abandon(status: Status, message: float -> string) =
        for lane in 0..7 do
            if trajectory[lane] >= 0 then
                this.End(lane, status, message (t.GetElement lane))
                this.Deactivate lane

    /// Solves trajectories until there are none left or the solve is cancelled. An exception of the field leaves those in Pending
    /// unfinished.
    member this.Run() =
        for lane in 0..7 do
            this.Refill lane

        while not (Vector512.EqualsAll(active.AsInt64(), Vector512<int64>.Zero)) do
            if options.Cancellation.IsCancellationRequested then
                this.Abandon(Status.Cancelled, (fun time -> $"Cancelled at t = {time}."))
            else
                this.Attempt()

    interface IDisposable with
        member _.Dispose() = (memory :> IDisposable).Dispose()
