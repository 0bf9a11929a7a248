// Consistent initial values of M y' = f(t, y) with a singular M: the algebraic equations must hold at the start.
namespace Continuum

open System

/// What a solve does about the algebraic equations of a singular mass matrix at its start.
type StartValues =
    /// Moves the algebraic variables, with M y kept, until the equations hold (Newton's method). The default.
    | Solve = 0
    /// Refuses a start where the equations do not hold to the tolerances.
    | Check = 1
    /// Takes the start as it is.
    | Trust = 2

/// The start does not satisfy the algebraic equations, or cannot be made to.
type internal InconsistentException(status: Status, message: string) =
    inherit Exception(message)
    member _.Status = status

/// The kernels of M: rows Left combine the equations to algebraic ones, columns Right span the algebraic variables.
type internal AlgebraicPart = {
    /// Left null vectors of M, each of length n.
    Left: float[][]
    /// Right null vectors of M, as many.
    Right: float[][]
}

module internal AlgebraicPart =

    let private unit n i = Array.init n (fun j -> if j = i then 1.0 else 0.0)

    /// Null vectors by Gaussian elimination with complete pivoting: P M Q = L U with the last rows of U zero.
    let private reduce (n: int) (entries: float[]) =
        let u = Array.copy entries
        let rows = Array.init n id
        let columns = Array.init n id
        let largest = entries |> Array.fold (fun m x -> max m (abs x)) 0.0
        // a pivot below this is rounding of zero
        let tiny = largest * float n * 1e-14
        let at i j = rows[i] * n + columns[j]

        let swap (list: int[]) a b =
            let kept = list[a]
            list[a] <- list[b]
            list[b] <- kept

        let mutable rank = 0
        let mutable going = true

        while going && rank < n do
            let mutable bi = rank
            let mutable bj = rank

            for i in rank .. n - 1 do
                for j in rank .. n - 1 do
                    if abs u[at i j] > abs u[at bi bj] then
                        bi <- i
                        bj <- j

            if abs u[at bi bj] <= tiny then
                going <- false
            else
                swap rows rank bi
                swap columns rank bj

                for i in rank + 1 .. n - 1 do
                    let m = u[at i rank] / u[at rank rank]
                    // the multiplier is kept in the place that it clears
                    u[at i rank] <- m

                    for j in rank + 1 .. n - 1 do
                        u[at i j] <- u[at i j] - m * u[at rank j]

                rank <- rank + 1

        // z L = 0 on the first rank entries, 1 at one of the last rows.
        let left =
            Array.init (n - rank) (fun k ->
                let z = Array.zeroCreate n
                z[rows[rank + k]] <- 1.0

                for j = rank - 1 downto 0 do
                    let mutable s = u[at (rank + k) j]

                    for i in j + 1 .. rank - 1 do
                        s <- s + z[rows[i]] * u[at i j]

                    z[rows[j]] <- -s

                z)

        let right =
            Array.init (n - rank) (fun k ->
                let x = Array.zeroCreate n
                x[columns[rank + k]] <- 1.0

                for i = rank - 1 downto 0 do
                    let mutable s = u[at i (rank + k)]

                    for j in i + 1 .. rank - 1 do
                        s <- s + u[at i j] * x[columns[j]]

                    x[columns[i]] <- -s / u[at i i]

                x)

        { Left = left; Right = right }

    /// The kernels of M; empty for a regular one.
    let ofMass (n: int) (mass: Mass) : AlgebraicPart =
        match mass with
        | Mass.Identity -> { Left = [||]; Right = [||] }
        | Mass.Diagonal d ->
            let zeros = [|
                for i in 0 .. n - 1 do
                    if d[i] = 0.0 then
                        unit n i
            |]

            { Left = zeros; Right = zeros }
        | Mass.Full entries -> reduce n entries

/// Newton's method on the algebraic equations.
[<RequireQualifiedAccess>]
module internal StartValues =

    let private fail status text = raise (InconsistentException(status, text))

    let private dot (a: float[]) (b: float[]) =
        let mutable s = 0.0

        for i in 0 .. a.Length - 1 do
            // a zero of a null vector leaves out an equation that may not be finite
            if a[i] <> 0.0 then
                s <- s + a[i] * b[i]

        s

    /// The equation in which a left null vector is largest.
    let private equation (z: float[]) = z |> Array.mapi (fun i x -> abs x, i) |> Array.max |> snd

    let private describe (part: AlgebraicPart) (residuals: float[]) =
        let worst =
            residuals
            |> Array.mapi (fun k r -> (if Double.IsNaN r then infinity else abs r), k)
            |> Array.max
            |> snd

        struct (equation part.Left[worst], residuals[worst])

    /// The state near y0 with the algebraic equations satisfied and M y unchanged; y0 itself where they hold already.
    /// InconsistentException where there is none, naming the equation.
    let make
        (part: AlgebraicPart)
        (treatment: StartValues)
        (tolerance: Tolerance<float[]>)
        (linear: ArrayLinearSystem)
        (field: float -> float[] -> float[] -> unit)
        (t: float)
        (y0: float[])
        : float[] =
        let m = part.Left.Length
        let n = y0.Length
        let space: INormedSpace<float[]> = RealSpace tolerance
        let slope = Array.zeroCreate n
        let lu = DenseLu m
        let shape = linear.Shape

        let residual (y: float[]) =
            Array.Clear slope
            field t y slope
            part.Left |> Array.map (fun z -> dot z slope)

        // (Z J N)_kl = sum_ij z_k[i] J[i, j] x_l[j]
        let factorise (y: float[]) =
            linear.Linearise(t, y, slope)

            for k in 0 .. m - 1 do
                for l in 0 .. m - 1 do
                    let mutable s = 0.0

                    for i in 0 .. n - 1 do
                        if part.Left[k][i] <> 0.0 then
                            for j in 0 .. n - 1 do
                                if part.Right[l][j] <> 0.0 && shape.Contains(i, j) then
                                    s <-
                                        s
                                        + part.Left[k][i]
                                          * linear.Jacobian[i * shape.Stride + j + shape.Offset]
                                          * part.Right[l][j]

                    lu.Values[k * m + l] <- s

            lu.Factorise()

        let undetermined (y: float[]) : float[] =
            let struct (row, _) = describe part (residual y)

            fail
                Status.SingularMatrix
                $"The algebraic equations of the mass matrix do not determine the algebraic variables at t = {t} (equation {row} among them): their Jacobian is singular or not finite, so the system has an index above 1 or starts at a singular point; differentiate a constraint that lacks the algebraic variables, or change the initial values."

        let update (r: float[]) =
            let change = Array.copy r
            lu.Solve change
            change

        let moved (y: float[]) (change: float[]) (damping: float) =
            let result = Array.copy y

            for l in 0 .. m - 1 do
                for j in 0 .. n - 1 do
                    if part.Right[l][j] <> 0.0 then
                        result[j] <- result[j] - damping * change[l] * part.Right[l][j]

            result

        let size (y: float[]) (change: float[]) = space.ScaledDistance(moved y change 1.0, y, y)

        let rec iterate (y: float[]) (r: float[]) (count: int) : float[] =
            if not (factorise y) then
                // On the way it is the equation that has no solution near, at the start the system that is not of index 1.
                if count > 0 then giveUp r else undetermined y
            else
                correct y r count

        and correct (y: float[]) (r: float[]) (count: int) : float[] =
            let change = update r
            let step = size y change
            let negligible = moved y change 1.0 = y || step <= 1e-8

            if negligible then
                y
            elif treatment = StartValues.Check then
                if step <= 1.0 then
                    y
                else
                    let struct (row, value) = describe part r

                    fail
                        Status.InconsistentInitialValues
                        $"The initial values do not satisfy the algebraic equation {row} at t = {t}: its residual is {value:g3}, and the algebraic variables are {step:g3} tolerances away from a solution; correct them, or let the solver find them (StartValues.Solve)."
            else
                // Damped until the next correction, with the same matrix, is shorter (Deuflhard's natural test).
                let rec search damping =
                    let next = moved y change damping
                    let r1 = residual next
                    let remaining = size y (update r1)

                    if remaining <= (1.0 - 0.25 * damping) * step then
                        ValueSome(struct (next, r1, remaining))
                    elif damping < 1e-4 then
                        ValueNone
                    else
                        search (0.5 * damping)

                match search 1.0 with
                | ValueSome(struct (next, r1, remaining)) ->
                    // The last correction, by the old matrix, is within what it can resolve.
                    if remaining <= 1e-10 then next
                    elif count < 50 then iterate next r1 (count + 1)
                    else giveUp r1
                | ValueNone -> giveUp r

        and giveUp (r: float[]) : float[] =
            let struct (row, value) = describe part r

            fail
                Status.InconsistentInitialValues
                $"No values of the algebraic variables near the initial ones satisfy the algebraic equation {row} at t = {t}: its residual stays at {value:g3} (Newton's method does not converge from there); give better initial values for the algebraic variables, and check that the equation has a solution."

        if m = 0 || treatment = StartValues.Trust then
            y0
        else
            let r = residual y0

            if not (Array.forall Double.IsFinite r) then
                let struct (row, _) = describe part r

                fail
                    Status.InconsistentInitialValues
                    $"The algebraic equation {row} is not finite at the initial values (t = {t}); give initial values where the field is defined."

            iterate y0 r 0
