// Rosenbrock steps made again over numbers with derivatives. One factorisation, of values, serves the step, all its tangents and its
// transpose: the staggered reuse of Jacobian and factorisation.
namespace Continuum

#nowarn "3535" "3536"

open System

/// The matrix W = M - g J of an implicit step: values factored once, solves for numbers that carry derivatives, whose coefficients J
/// carry derivatives too.
[<Sealed>]
type internal ReplayMatrix<'B when 'B: struct and 'B :> IReal<'B>>(calculus: IFieldCalculus<'B>, mass: Mass) =
    let n = calculus.Size
    let width = NumberRows.width<'B>
    let degree = Nilpotency.degree<'B>
    let lu = DenseLu n
    let jacobian: float[] = Array.zeroCreate (n * n)
    let right: 'B[] = Array.zeroCreate n
    let along: 'B[] = Array.zeroCreate n
    let massTimes: 'B[] = Array.zeroCreate n
    let mutable g = 0.0

    let massAt i j =
        match mass with
        | Mass.Identity -> if i = j then 1.0 else 0.0
        | Mass.Diagonal d -> if i = j then d[i] else 0.0
        | Mass.Full m -> m[i * n + j]

    /// dest <- dest + s M v, or s M^T v.
    static member AddProduct(mass: Mass, s: float, v: 'B[], dest: 'B[], transposed: bool) =
        let n = v.Length
        let width = NumberRows.width<'B>
        let source = NumberRows.doubles v
        let target = NumberRows.doubles dest

        match mass with
        | Mass.Identity -> NumberRows.add s source target
        | Mass.Diagonal d ->
            for i in 0 .. n - 1 do
                NumberRows.add (s * d[i]) (source.Slice(i * width, width)) (target.Slice(i * width, width))
        | Mass.Full m ->
            for i in 0 .. n - 1 do
                for j in 0 .. n - 1 do
                    let entry = if transposed then m[j * n + i] else m[i * n + j]
                    NumberRows.add (s * entry) (source.Slice(j * width, width)) (target.Slice(i * width, width))

    /// AddProduct with this matrix's mass.
    member _.AddMassTimes(s: float, v: 'B[], dest: 'B[], transposed: bool) =
        ReplayMatrix<'B>.AddProduct(mass, s, v, dest, transposed)

    /// x <- (values of W)^-1 x.
    member _.SolveReal(x: Real[]) = lu.SolveRows(NumberRows.doubles x, 1)

    /// Values of J, row-major, for Factorise.
    member _.Jacobian = jacobian

    /// Factors M - g J with the values of J. A matrix that was regular in the forward solve is regular here.
    member _.Factorise(t: float, factor: float) =
        g <- factor
        let values = lu.Values

        for i in 0 .. n - 1 do
            for j in 0 .. n - 1 do
                values[i * n + j] <- massAt i j - g * jacobian[i * n + j]

        if not (lu.Factorise()) then
            raise (
                ArithmeticException
                    $"The matrix M - g J of the step at t = {t} is singular while it is differentiated, though it was not in the solve; check the field there."
            )

    /// Factors M - g J with J at (t, y).
    member this.Factorise(t: float, y: 'B[], factor: float) =
        calculus.Jacobian(t, y, Span<float> jacobian)
        this.Factorise(t, factor)

    /// x <- (values of W)^-1 x, for values and derivatives alike.
    member _.SolveValues(x: 'B[]) = lu.SolveRows(NumberRows.doubles x, width)
    /// x <- (values of W)^-T x.
    member _.SolveValuesTransposed(x: 'B[]) = lu.SolveRowsTransposed(NumberRows.doubles x, width)

    /// x <- W^-1 x with W's own derivatives, at the (t, y) of the factorisation. The part of W that carries derivatives is nilpotent, so
    /// that as many corrections as it has orders are exact.
    member this.Solve(t: float, y: 'B[], x: 'B[]) =
        Array.blit x 0 right 0 n
        this.SolveValues x

        for _ in 1..degree do
            calculus.Along(t, y, 0.0, x, along)
            this.Correct(x, false)

    /// The same for W^T.
    member this.SolveTransposed(t: float, y: 'B[], x: 'B[]) =
        Array.blit x 0 right 0 n
        this.SolveValuesTransposed x

        for _ in 1..degree do
            Array.Clear along
            calculus.Pull(t, y, x, along, false)
            this.Correct(x, true)

    /// x <- x + W0^-1 (right - (M x - g along)).
    member private this.Correct(x: 'B[], transposed: bool) =
        Array.blit right 0 massTimes 0 n
        this.AddMassTimes(-1.0, x, massTimes, transposed)
        NumberRows.add g (NumberRows.doubles along) (NumberRows.doubles massTimes)

        if transposed then
            this.SolveValuesTransposed massTimes
        else
            this.SolveValues massTimes

        NumberRows.add 1.0 (NumberRows.doubles massTimes) (NumberRows.doubles x)

/// The steps of a Rosenbrock method: W k_i = gamma (f(t + c_i h, g_i) + h d_i df/dt) + gamma M sum C_ij k_j.
[<Sealed>]
type internal RosenbrockReplay<'B when 'B: struct and 'B :> IReal<'B>>
    (tableau: RosenbrockTableau, mass: Mass, calculus: IFieldCalculus<'B>) =
    let n = calculus.Size
    let stages = tableau.Stages
    let a = tableau.A
    let b = tableau.B
    let c = tableau.C
    let gamma = tableau.Gamma
    let matrix = ReplayMatrix<'B>(calculus, mass)
    let zeros () : 'B[] = Array.zeroCreate n
    let k = Array.init stages (fun _ -> zeros ())
    let g = Array.init stages (fun _ -> zeros ())
    let kBar = Array.init stages (fun _ -> zeros ())
    let timeSlope = zeros ()
    let slope = zeros ()
    let scaled = zeros ()
    let yBar = zeros ()
    let gBar = zeros ()
    let mutable record = Unchecked.defaultof<StepRecord>
    let mutable start: 'B[] = null

    let weightsAt theta =
        tableau.Dense
        |> Array.map (fun row -> Array.foldBack (fun coefficient s -> theta * (coefficient + s)) row 0.0)

    let add (s: float) (x: 'B[]) (dest: 'B[]) = NumberRows.add s (NumberRows.doubles x) (NumberRows.doubles dest)

    let stage (i: int) =
        let t, h = record.Time, record.Length
        NumberRows.combine start h a[i] k i g[i]
        calculus.Slope(t + c[i] * h, g[i], slope)
        let right = k[i]
        Array.Clear right

        for j in 0 .. i - 1 do
            matrix.AddMassTimes(gamma * tableau.Coupling[i][j], k[j], right, false)

        add gamma slope right
        add (gamma * h * tableau.D[i]) timeSlope right
        matrix.Solve(t, start, right)

    interface IStepReplay<'B> with
        member _.StateLength = n
        member _.Begin(_, _) = ()
        member _.PullBegin(_, _, _) = ()

        member _.Step(step, state, dest) =
            record <- step
            start <- state
            matrix.Factorise(step.Time, state, step.Length * gamma)
            calculus.Along(step.Time, state, 1.0, null, timeSlope)

            for i in 0 .. stages - 1 do
                stage i

            NumberRows.combine state step.Length b k stages dest

        member _.Interpolate(theta, dest) = NumberRows.combine start record.Length (weightsAt theta) k stages dest

        member _.PullInterpolated(theta, cotangent) =
            let weights = weightsAt theta
            add 1.0 cotangent yBar

            for i in 0 .. stages - 1 do
                add (record.Length * weights[i]) cotangent kBar[i]

        member _.Pull adjoint =
            let t, h = record.Time, record.Length
            add 1.0 adjoint yBar

            for i in 0 .. stages - 1 do
                add (h * b[i]) adjoint kBar[i]

            for i in stages - 1 .. -1 .. 0 do
                let mu = kBar[i]
                matrix.SolveTransposed(t, start, mu)
                // The right-hand side.
                Array.Clear scaled
                add gamma mu scaled
                Array.Clear gBar
                calculus.Pull(t + c[i] * h, g[i], scaled, gBar, true)
                add 1.0 gBar yBar

                for j in 0 .. i - 1 do
                    add (h * a[i][j]) gBar kBar[j]
                    matrix.AddMassTimes(gamma * tableau.Coupling[i][j], mu, kBar[j], true)

                // J and df/dt as functions of y and p.
                Array.Clear scaled
                add (h * gamma) k[i] scaled
                calculus.PullAlong(t, start, gamma * h * tableau.D[i], scaled, mu, yBar)
                Array.Clear mu

            yBar.CopyTo(adjoint, 0)
            Array.Clear yBar
