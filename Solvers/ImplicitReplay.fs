// Steps of diagonally implicit Runge-Kutta methods and of backward differentiation formulas made again over numbers with derivatives.
// Newton's method converges to rounding in values; then the implicit function theorem: as many rounds over the numbers as they carry
// orders, with the factors of the converged matrix, make the derivatives exact.
namespace Continuum

#nowarn "3535" "3536"

open System

/// Solves M u + c = g f(t, base + u) for u, and its transpose, with the matrix W = M - g J at base + u.
[<Sealed>]
type internal ReplayedStage<'B when 'B: struct and 'B :> IReal<'B>>
    (calculus: IFieldCalculus<'B>, values: IFieldCalculus<Real>, mass: Mass) =
    let n = calculus.Size
    let degree = Nilpotency.degree<'B>
    let matrix = ReplayMatrix<'B>(calculus, mass)
    let point: Real[] = Array.zeroCreate n
    let slope: Real[] = Array.zeroCreate n
    let residual: Real[] = Array.zeroCreate n
    let unknown: Real[] = Array.zeroCreate n
    let origin: float[] = Array.zeroCreate n
    let constant: float[] = Array.zeroCreate n
    let pointB: 'B[] = Array.zeroCreate n
    let slopeB: 'B[] = Array.zeroCreate n
    let residualB: 'B[] = Array.zeroCreate n
    let gBar: 'B[] = Array.zeroCreate n
    let scaled: 'B[] = Array.zeroCreate n

    let add (s: float) (x: 'X[]) (dest: 'X[]) = NumberRows.add s (NumberRows.doubles x) (NumberRows.doubles dest)

    /// Size of the residual's solution relative to the point, component by component.
    let relative () =
        let mutable most = 0.0
        let mutable scale = 0.0

        for i in 0 .. n - 1 do
            scale <- Math.Max(scale, abs point[i].Value)

        for i in 0 .. n - 1 do
            most <- Math.Max(most, abs residual[i].Value / (abs point[i].Value + 1e-6 * scale + 1e-300))

        most

    /// residual <- W^-1 (g f - M u - c) at the unknown, with the factors last made; the point is left at base + u.
    let correction (t: float) (g: float) (fresh: bool) =
        for i in 0 .. n - 1 do
            point[i] <- Real(origin[i] + unknown[i].Value)
            residual[i] <- Real -constant[i]

        if fresh then
            values.Jacobian(t, point, Span<float> matrix.Jacobian)
            matrix.Factorise(t, g)

        values.Slope(t, point, slope)
        add g slope residual
        ReplayMatrix<Real>.AddProduct(mass, -1.0, unknown, residual, false)
        matrix.SolveReal residual

    /// Newton's method on values with a fresh Jacobian in every round: quadratic from the forward solve's own solution.
    let converge (t: float) (g: float) =
        let mutable round = 0
        let mutable last = infinity
        let mutable go = true

        while go do
            correction t g true
            add 1.0 residual unknown
            let size = relative ()
            round <- round + 1

            if not (Double.IsFinite size) || round > 30 && size > 1e-6 then
                raise (
                    ArithmeticException
                        $"Newton's method for the step to t = {t} does not converge while the step is differentiated, though it did in the solve to its tolerance; tighten the tolerances."
                )

            go <- size > 1e-13 && (size < 0.5 * last || size > 1e-9) && round <= 30
            last <- size

        // The factors of the point itself.
        correction t g true
        add 1.0 residual unknown

    /// Writes the solution into u, which holds a guess of its values.
    member _.Solve(t: float, origin': 'B[], c: 'B[], g: float, u: 'B[]) =
        NumberRows.values origin' origin

        for i in 0 .. n - 1 do
            constant[i] <- NumberRows.value c i
            unknown[i] <- Real(NumberRows.value u i)

        converge t g

        for i in 0 .. n - 1 do
            u[i] <- 'B.Of unknown[i].Value

        for _ in 1..degree do
            Array.blit origin' 0 pointB 0 n
            add 1.0 u pointB
            calculus.Slope(t, pointB, slopeB)
            Array.Clear residualB
            add g slopeB residualB
            add -1.0 c residualB
            matrix.AddMassTimes(-1.0, u, residualB, false)
            matrix.SolveValues residualB
            add 1.0 residualB u

    /// For the stage solved at (t, origin, c, g) with solution u: replaces uBar by W^-T uBar, adds the cotangent of the origin to
    /// originBar, and the parameters' to the field's. The cotangent of c is minus the new uBar.
    member _.Pull(t: float, origin': 'B[], g: float, u: 'B[], uBar: 'B[], originBar: 'B[]) =
        Array.blit origin' 0 pointB 0 n
        add 1.0 u pointB
        matrix.SolveTransposed(t, pointB, uBar)
        Array.Clear scaled
        add g uBar scaled
        Array.Clear gBar
        calculus.Pull(t, pointB, scaled, gBar, true)
        add 1.0 gBar originBar

    /// dest <- dest + s M v, or s M^T v.
    member _.AddMassTimes(s: float, v: 'B[], dest: 'B[], transposed: bool) = matrix.AddMassTimes(s, v, dest, transposed)

/// The steps of an ESDIRK method with the identity as mass: k_0 = f(t, y); then u_i = h gamma k_i with
/// u_i = h gamma f(t + c_i h, y + h sum a_ij k_j + u_i); stiffly accurate, so the last stage is the new state.
[<Sealed>]
type internal EsdirkReplay<'B when 'B: struct and 'B :> IReal<'B>>
    (tableau: EsdirkTableau, calculus: IFieldCalculus<'B>, values: IFieldCalculus<Real>, found: int -> float[]) =
    let n = calculus.Size
    let raw = tableau.Raw
    let stages = tableau.Stages

    let solvers =
        Array.init stages (fun i ->
            if i = 0 then
                Unchecked.defaultof<_>
            else
                ReplayedStage<'B>(calculus, values, Mass.Identity))

    let zeros () : 'B[] = Array.zeroCreate n
    let k = Array.init stages (fun _ -> zeros ())
    let u = Array.init stages (fun _ -> zeros ())
    let origin = Array.init stages (fun _ -> zeros ())
    let kBar = Array.init stages (fun _ -> zeros ())
    let none = zeros ()
    let yBar = zeros ()
    let uBar = zeros ()
    let originBar = zeros ()
    let mutable record = Unchecked.defaultof<StepRecord>
    let mutable start: 'B[] = null

    let add (s: float) (x: 'B[]) (dest: 'B[]) = NumberRows.add s (NumberRows.doubles x) (NumberRows.doubles dest)

    let weightsAt theta =
        raw.Dense
        |> Array.map (fun row -> Array.foldBack (fun coefficient s -> theta * (coefficient + s)) row 0.0)

    let stage (i: int) =
        let t, h = record.Time, record.Length
        let g = h * raw.Gamma
        NumberRows.combine start h raw.A[i] k i origin[i]
        let guess = found record.Index

        for j in 0 .. n - 1 do
            u[i][j] <- 'B.Of(g * guess[i * n + j])

        solvers[i].Solve(t + raw.C[i] * h, origin[i], none, g, u[i])
        Array.Clear k[i]
        add (1.0 / g) u[i] k[i]

    interface IStepReplay<'B> with
        member _.StateLength = n
        member _.Begin(_, _) = ()
        member _.PullBegin(_, _, _) = ()

        member _.Step(step, state, dest) =
            record <- step
            start <- state
            calculus.Slope(step.Time, state, k[0])

            for i in 1 .. stages - 1 do
                stage i

            NumberRows.combine state step.Length raw.B k stages dest

        member _.Interpolate(theta, dest) = NumberRows.combine start record.Length (weightsAt theta) k stages dest

        member _.PullInterpolated(theta, cotangent) =
            let weights = weightsAt theta
            add 1.0 cotangent yBar

            for i in 0 .. stages - 1 do
                add (record.Length * weights[i]) cotangent kBar[i]

        member _.Pull adjoint =
            let t, h = record.Time, record.Length
            let g = h * raw.Gamma
            add 1.0 adjoint yBar

            for i in 0 .. stages - 1 do
                add (h * raw.B[i]) adjoint kBar[i]

            for i in stages - 1 .. -1 .. 1 do
                Array.Clear uBar
                add (1.0 / g) kBar[i] uBar
                Array.Clear originBar
                solvers[i].Pull(t + raw.C[i] * h, origin[i], g, u[i], uBar, originBar)
                add 1.0 originBar yBar

                for j in 0 .. i - 1 do
                    add (h * raw.A[i][j]) originBar kBar[j]

                Array.Clear kBar[i]

            Array.Clear originBar
            calculus.Pull(t, start, kBar[0], originBar, true)
            add 1.0 originBar yBar
            Array.Clear kBar[0]
            yBar.CopyTo(adjoint, 0)
            Array.Clear yBar

/// What the past of a multistep solve looks like before each of its steps; numbers without derivatives, since step lengths are held.
[<Struct>]
type internal BdfPast = {
    /// Lengths of the intervals of the increments, newest first.
    Gaps: float[]
    /// Whether the step starts with a piece of the tangent as its only increment.
    IsTangent: bool
    /// Whether its increment joins the newest one instead of pushing it on.
    Merges: bool
}

/// The pasts of all steps of a record: the bookkeeping of BdfHistory.
[<RequireQualifiedAccess>]
module internal BdfPast =
    let ofEntries (entries: SolveEntry[]) : BdfPast[] =
        let most = BdfFormula.maxOrder
        let mutable gaps: float[] = Array.zeroCreate (most + 1)
        let mutable tangent = true
        let mutable last = -1

        entries
        |> Array.map (fun entry ->
            match entry with
            | Stepped step ->
                if step.Method <> last then
                    tangent <- true
                    gaps <- Array.zeroCreate (most + 1)

                last <- step.Method

                if tangent then
                    gaps[0] <- 1e-3 * step.Length

                let merges = not tangent && abs step.Length < 0.01 * abs gaps[0]
                let past = { Gaps = Array.copy gaps; IsTangent = tangent; Merges = merges }

                if merges then
                    gaps[0] <- gaps[0] + step.Length
                else
                    Array.Copy(gaps, 0, gaps, 1, most)
                    gaps[0] <- step.Length

                tangent <- false
                past
            | ChangedBy _ ->
                last <- -1
                { Gaps = [||]; IsTangent = false; Merges = false })

/// The steps of backward differentiation formulas with the identity as mass. The state is y, then the increments of the past.
[<Sealed>]
type internal BdfReplay<'B when 'B: struct and 'B :> IReal<'B>>
    (pasts: BdfPast[], calculus: IFieldCalculus<'B>, values: IFieldCalculus<Real>, found: int -> float[]) =
    let n = calculus.Size
    let most = BdfFormula.maxOrder
    let solver = ReplayedStage<'B>(calculus, values, Mass.Identity)
    let distances: float[] = Array.zeroCreate (most + 2)
    let basis: float[] = Array.zeroCreate (most + 2)
    let slopes: float[] = Array.zeroCreate (most + 1)
    let weights: float[] = Array.zeroCreate (most + 1)
    let zeros () : 'B[] = Array.zeroCreate n
    let y = zeros ()
    let increments = Array.init (most + 1) (fun _ -> zeros ())
    let u = zeros ()
    let candidate = zeros ()
    let constant = zeros ()
    let slope = zeros ()
    let yBar = zeros ()
    let uBar = zeros ()
    let candidateBar = zeros ()
    let incrementBars = Array.init (most + 1) (fun _ -> zeros ())
    let mutable record = Unchecked.defaultof<StepRecord>
    let mutable lead = 0.0

    let add (s: float) (x: 'B[]) (dest: 'B[]) = NumberRows.add s (NumberRows.doubles x) (NumberRows.doubles dest)

    /// Distances, leading coefficient and weights of the known part, as the stepper has them.
    let measure (step: StepRecord) =
        let past = pasts[step.Index]
        distances[0] <- step.Length

        for j in 0..most do
            distances[j + 1] <- distances[j] + past.Gaps[j]

        lead <- BdfFormula.leading distances step.Order step.Length
        BdfFormula.basis distances step.Order basis
        BdfFormula.slopes distances basis step.Order step.Length lead slopes

    /// Weights of the step's increment and the earlier ones in the output at theta.
    let outputWeights theta =
        let h = record.Length
        let order = record.Order

        let nodes =
            Array.init (order + 1) (fun j -> if j = 0 then (theta - 1.0) * h else theta * h + distances[j - 1] - h)

        BdfFormula.basis nodes order basis
        BdfFormula.values basis order weights

    interface IStepReplay<'B> with
        member _.StateLength = n * (most + 2)

        member _.Begin(step, state) =
            Array.Clear(state, n, state.Length - n)
            calculus.Slope(step.Time, state, slope)
            let tangent: 'B[] = zeros ()
            add (1e-3 * step.Length) slope tangent
            Array.blit tangent 0 state n n

        member _.PullBegin(step, state, adjoint) =
            Array.Clear uBar

            for i in 0 .. n - 1 do
                slope[i] <- adjoint[n + i]

            add (1e-3 * step.Length) slope uBar
            Array.Clear yBar
            let start = Array.sub state 0 n
            calculus.Pull(step.Time, start, uBar, yBar, true)
            let target = (NumberRows.doubles adjoint).Slice(0, n * NumberRows.width<'B>)
            NumberRows.add 1.0 (NumberRows.doubles yBar) target
            Array.Clear yBar
            Array.Clear uBar
            Array.Clear(adjoint, n, adjoint.Length - n)

        member _.Step(step, state, dest) =
            record <- step
            measure step
            Array.blit state 0 y 0 n

            for j in 0..most do
                Array.blit state ((j + 1) * n) increments[j] 0 n

            // u + known / lead = (h / lead) f(tEnd, y + u)
            Array.Clear constant

            for j in 0 .. step.Order - 1 do
                add (slopes[j] / lead) increments[j] constant

            let guess = found step.Index

            for i in 0 .. n - 1 do
                u[i] <- 'B.Of guess[i]

            solver.Solve(step.Time + step.Length, y, constant, step.Length / lead, u)
            Array.blit y 0 candidate 0 n
            add 1.0 u candidate
            Array.blit candidate 0 dest 0 n

            if pasts[step.Index].Merges then
                for j in 0..most do
                    Array.blit increments[j] 0 dest ((j + 1) * n) n

                let merged = Array.copy increments[0]
                add 1.0 u merged
                Array.blit merged 0 dest n n
            else
                Array.blit u 0 dest n n

                for j in 1..most do
                    Array.blit increments[j - 1] 0 dest ((j + 1) * n) n

        member _.Interpolate(theta, dest) =
            outputWeights theta
            Array.blit candidate 0 dest 0 n
            add weights[0] u dest

            for j in 1 .. record.Order - 1 do
                add weights[j] increments[j - 1] dest

        member _.PullInterpolated(theta, cotangent) =
            outputWeights theta
            add 1.0 cotangent candidateBar
            add weights[0] cotangent uBar

            for j in 1 .. record.Order - 1 do
                add weights[j] cotangent incrementBars[j - 1]

        member _.Pull adjoint =
            let part (j: int) = Array.sub adjoint (j * n) n
            add 1.0 (part 0) candidateBar

            if pasts[record.Index].Merges then
                add 1.0 (part 1) uBar

                for j in 0..most do
                    add 1.0 (part (j + 1)) incrementBars[j]
            else
                add 1.0 (part 1) uBar

                for j in 1..most do
                    add 1.0 (part (j + 1)) incrementBars[j - 1]

            add 1.0 candidateBar yBar
            add 1.0 candidateBar uBar
            solver.Pull(record.Time + record.Length, y, record.Length / lead, u, uBar, yBar)

            for j in 0 .. record.Order - 1 do
                add (-slopes[j] / lead) uBar incrementBars[j]

            Array.blit yBar 0 adjoint 0 n

            for j in 0..most do
                Array.blit incrementBars[j] 0 adjoint ((j + 1) * n) n
                Array.Clear incrementBars[j]

            Array.Clear yBar
            Array.Clear uBar
            Array.Clear candidateBar
