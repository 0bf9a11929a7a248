// Networks of conductances on a rectangular grid: the linear systems of five-point diffusion with rough coefficients.
namespace Continuum

open System

/// One grid of the hierarchy: (n0, n1) nodes, the outermost held at zero; conductances of the edges to the next node along each axis.
/// Coarser grids keep every second node and the last one; the conductance of a coarse edge is that of the fine edges in series, and of
/// neighbouring rows in parallel, so that layers and jumps keep their resistance. Interpolation conserves the current between nodes.
/// Source: Alcouffe, Brandt, Dendy and Painter 1981, "The multi-grid method for the diffusion equation with strongly discontinuous coefficients".
[<Sealed>]
type internal NetworkLevel(n0: int, n1: int, along0: float[], along1: float[]) =
    let m0, m1 = n0 - 1, n1 - 1

    let diagonal =
        let d = Array.zeroCreate (n0 * n1)

        for i in 1 .. m0 - 1 do
            for j in 1 .. m1 - 1 do
                let p = i * n1 + j
                d[p] <- along0[p] + along0[p - n1] + along1[p] + along1[p - 1]

        d

    let guess = Array.zeroCreate<float>(n0 * n1)
    let load = Array.zeroCreate<float>(n0 * n1)
    let work = Array.zeroCreate<float>(n0 * n1)

    member _.N0 = n0
    member _.N1 = n1
    member _.Along0 = along0
    member _.Along1 = along1
    member _.Diagonal = diagonal
    /// Scratch of the cycle: the correction, its load, the residual.
    member _.Guess = guess
    member _.Load = load
    member _.Work = work

    /// dest = A x at the inner nodes, zero at the outer ones.
    member _.Apply(x: float[], dest: float[]) =
        for i in 1 .. m0 - 1 do
            for p in i * n1 + 1 .. i * n1 + m1 - 1 do
                dest[p] <-
                    diagonal[p] * x[p]
                    - along0[p] * x[p + n1]
                    - along0[p - n1] * x[p - n1]
                    - along1[p] * x[p + 1]
                    - along1[p - 1] * x[p - 1]

    /// One half sweep of Gauss and Seidel over the nodes of one colour.
    member _.Relax(colour: int, x: float[], b: float[]) =
        for i in 1 .. m0 - 1 do
            let mutable p = i * n1 + 1 + ((i + 1 + colour) &&& 1)
            let last = i * n1 + m1 - 1

            while p <= last do
                x[p] <-
                    (b[p]
                     + along0[p] * x[p + n1]
                     + along0[p - n1] * x[p - n1]
                     + along1[p] * x[p + 1]
                     + along1[p - 1] * x[p - 1])
                    / diagonal[p]

                p <- p + 2

/// The hierarchy of grids and the preconditioned conjugate gradients on it.
[<RequireQualifiedAccess>]
module internal ConductanceNetwork =

    /// Number of intervals of the next coarser grid; few stay as they are.
    let private coarser (m: int) = if m > 4 then (m + 1) / 2 else m

    /// The fine node of a coarse one.
    let inline private fineOf (m: int) (mc: int) (i: int) = if m = mc then i else min (2 * i) m

    /// Conductance of fine edges in series, from node a up to node b of a line.
    let private series (edge: int -> float) (a: int) (b: int) =
        if b = a + 1 then
            edge a
        else
            let x, y = edge a, edge (a + 1)
            if x + y > 0.0 then x * y / (x + y) else 0.0

    /// Fine rows that a coarse row stands for, with their shares.
    let private shares (m: int) (mc: int) : struct (int * float)[][] =
        Array.init (mc + 1) (fun j ->
            let own = fineOf m mc j

            [|
                struct (own, 1.0)
                if j > 0 && fineOf m mc (j - 1) = own - 2 then
                    struct (own - 1, 0.5)
                if j < mc && fineOf m mc (j + 1) = own + 2 then
                    struct (own + 1, 0.5)
            |])

    let private coarsen (fine: NetworkLevel) : NetworkLevel =
        let m0, m1 = fine.N0 - 1, fine.N1 - 1
        let c0, c1 = coarser m0, coarser m1
        let n1 = c1 + 1
        let along0 = Array.zeroCreate ((c0 + 1) * n1)
        let along1 = Array.zeroCreate ((c0 + 1) * n1)
        let rows0, rows1 = shares m0 c0, shares m1 c1

        for i in 0..c0 do
            for j in 0..c1 do
                if i < c0 then
                    for struct (row, share) in rows1[j] do
                        let edge k = fine.Along0[k * fine.N1 + row]

                        along0[i * n1 + j] <-
                            along0[i * n1 + j] + share * series edge (fineOf m0 c0 i) (fineOf m0 c0 (i + 1))

                if j < c1 then
                    for struct (row, share) in rows0[i] do
                        let edge k = fine.Along1[row * fine.N1 + k]

                        along1[i * n1 + j] <-
                            along1[i * n1 + j] + share * series edge (fineOf m1 c1 j) (fineOf m1 c1 (j + 1))

        NetworkLevel(c0 + 1, n1, along0, along1)

    /// Which fine nodes of an axis are coarse ones: their number there, else -1.
    let private numbers (m: int) (mc: int) =
        let places = Array.create (m + 1) -1

        for i in 0..mc do
            places[fineOf m mc i] <- i

        places

    /// A grid with its coarser ones and the factor of the coarsest.
    [<Sealed>]
    type Hierarchy(finest: NetworkLevel) =
        let levels =
            finest
            |> Array.unfold (fun level ->
                if isNull (box level) then
                    None
                elif level.N0 - 1 = coarser (level.N0 - 1) && level.N1 - 1 = coarser (level.N1 - 1) then
                    Some(level, Unchecked.defaultof<NetworkLevel>)
                else
                    Some(level, coarsen level))

        let places =
            Array.pairwise levels
            |> Array.map (fun (fine, coarse) ->
                struct (numbers (fine.N0 - 1) (coarse.N0 - 1), numbers (fine.N1 - 1) (coarse.N1 - 1)))

        let bottom = levels[levels.Length - 1]

        /// The Cholesky factor of the coarsest grid's matrix, dense, of at most 9 inner nodes.
        let factor =
            let k0, k1 = bottom.N0 - 2, bottom.N1 - 2
            let a = MathNet.Numerics.LinearAlgebra.Double.DenseMatrix(max 1 (k0 * k1))

            for i in 0 .. k0 - 1 do
                for j in 0 .. k1 - 1 do
                    let p = (i + 1) * bottom.N1 + j + 1
                    let row = i * k1 + j
                    a[row, row] <- bottom.Diagonal[p]

                    if i + 1 < k0 then
                        a[row, row + k1] <- -bottom.Along0[p]
                        a[row + k1, row] <- -bottom.Along0[p]

                    if j + 1 < k1 then
                        a[row, row + 1] <- -bottom.Along1[p]
                        a[row + 1, row] <- -bottom.Along1[p]

            a.Cholesky()

        let solveBottom () =
            let k0, k1 = bottom.N0 - 2, bottom.N1 - 2
            let at row = (row / k1 + 1) * bottom.N1 + row % k1 + 1

            let b =
                MathNet.Numerics.LinearAlgebra.Double.DenseVector(Array.init (k0 * k1) (fun row -> bottom.Load[at row]))

            let x = factor.Solve b

            for row in 0 .. k0 * k1 - 1 do
                bottom.Guess[at row] <- x[row]

        /// Weights of interpolation at a fine node that is no coarse one, as four conductances over their sum.
        let weights (level: NetworkLevel) (c0: int) (c1: int) (p: int) =
            let n1 = level.N1
            let up0 = if c0 < 0 || c1 >= 0 then level.Along0[p] else 0.0
            let down0 = if c0 < 0 || c1 >= 0 then level.Along0[p - n1] else 0.0
            let up1 = if c1 < 0 || c0 >= 0 then level.Along1[p] else 0.0
            let down1 = if c1 < 0 || c0 >= 0 then level.Along1[p - 1] else 0.0
            // A node on a coarse line is interpolated along that line alone.
            let up0, down0 = if c0 >= 0 then 0.0, 0.0 else up0, down0
            let up1, down1 = if c1 >= 0 then 0.0, 0.0 else up1, down1
            let total = up0 + down0 + up1 + down1
            struct (up0 / total, down0 / total, up1 / total, down1 / total)

        /// Adds the interpolated correction of the next coarser grid; Work holds it by itself.
        let prolong (l: int) =
            let fine, coarse = levels[l], levels[l + 1]
            let struct (places0, places1) = places[l]
            let n1 = fine.N1
            let e = fine.Work
            Array.Clear e

            for i in 1 .. fine.N0 - 2 do
                for j in 1 .. n1 - 2 do
                    if places0[i] >= 0 && places1[j] >= 0 then
                        e[i * n1 + j] <- coarse.Guess[places0[i] * coarse.N1 + places1[j]]

            // First along the coarse lines, then at the nodes between them.
            for between in [| false; true |] do
                for i in 1 .. fine.N0 - 2 do
                    for j in 1 .. n1 - 2 do
                        let c0, c1 = places0[i], places1[j]

                        if (c0 < 0 || c1 < 0) && between = (c0 < 0 && c1 < 0) then
                            let p = i * n1 + j
                            let struct (up0, down0, up1, down1) = weights fine c0 c1 p
                            e[p] <- up0 * e[p + n1] + down0 * e[p - n1] + up1 * e[p + 1] + down1 * e[p - 1]

            for p in 0 .. e.Length - 1 do
                fine.Guess[p] <- fine.Guess[p] + e[p]

        /// The transpose of prolong, of the residual in Work, to the load of the next coarser grid.
        let restrict (l: int) =
            let fine, coarse = levels[l], levels[l + 1]
            let struct (places0, places1) = places[l]
            let n1 = fine.N1
            let r = fine.Work

            for between in [| true; false |] do
                for i in 1 .. fine.N0 - 2 do
                    for j in 1 .. n1 - 2 do
                        let c0, c1 = places0[i], places1[j]

                        if (c0 < 0 || c1 < 0) && between = (c0 < 0 && c1 < 0) then
                            let p = i * n1 + j
                            let struct (up0, down0, up1, down1) = weights fine c0 c1 p
                            r[p + n1] <- r[p + n1] + up0 * r[p]
                            r[p - n1] <- r[p - n1] + down0 * r[p]
                            r[p + 1] <- r[p + 1] + up1 * r[p]
                            r[p - 1] <- r[p - 1] + down1 * r[p]

            Array.Clear coarse.Load

            for i in 1 .. coarse.N0 - 2 do
                for j in 1 .. coarse.N1 - 2 do
                    let p = fineOf (fine.N0 - 1) (coarse.N0 - 1) i * n1 + fineOf (fine.N1 - 1) (coarse.N1 - 1) j
                    coarse.Load[i * coarse.N1 + j] <- r[p]

        let rec cycle (l: int) =
            let level = levels[l]
            Array.Clear level.Guess

            if l = levels.Length - 1 then
                solveBottom ()
            else
                level.Relax(0, level.Guess, level.Load)
                level.Relax(1, level.Guess, level.Load)
                Array.Clear level.Work
                level.Apply(level.Guess, level.Work)

                for p in 0 .. level.Work.Length - 1 do
                    level.Work[p] <- level.Load[p] - level.Work[p]

                restrict l
                cycle (l + 1)
                prolong l
                level.Relax(1, level.Guess, level.Load)
                level.Relax(0, level.Guess, level.Load)

        /// dest = one symmetric V-cycle applied to r.
        member _.Precondition(r: float[], dest: float[]) =
            Array.blit r 0 finest.Load 0 r.Length
            cycle 0
            Array.blit finest.Guess 0 dest 0 dest.Length

    let private dot (a: float[]) (b: float[]) =
        let mutable sum = 0.0

        for p in 0 .. a.Length - 1 do
            sum <- sum + a[p] * b[p]

        sum

    /// Potentials with A x = b at the inner nodes and zero at the outer ones: conjugate gradients to a residual below
    /// `tolerance` |b|. ArithmeticException where 500 iterations do not suffice.
    let solve (level: NetworkLevel) (load: float[]) (tolerance: float) : float[] =
        let hierarchy = Hierarchy level
        let n = load.Length
        let x = Array.zeroCreate n
        let r = Array.zeroCreate n
        let z = Array.zeroCreate n
        let q = Array.zeroCreate n

        for i in 1 .. level.N0 - 2 do
            Array.blit load (i * level.N1 + 1) r (i * level.N1 + 1) (level.N1 - 2)

        let target = tolerance * sqrt (dot r r)
        hierarchy.Precondition(r, z)
        let p = Array.copy z
        let mutable rz = dot r z
        let mutable iteration = 0

        while sqrt (dot r r) > target do
            if iteration = 500 || not (Double.IsFinite rz) then
                raise (
                    ArithmeticException
                        $"The linear system of {level.N0} x {level.N1} nodes was not solved in {iteration} iterations; the coefficient may vary by too many orders of magnitude."
                )

            level.Apply(p, q)
            let step = rz / dot p q

            for i in 0 .. n - 1 do
                x[i] <- x[i] + step * p[i]
                r[i] <- r[i] - step * q[i]

            hierarchy.Precondition(r, z)
            let next = dot r z
            let ratio = next / rz
            rz <- next

            for i in 0 .. n - 1 do
                p[i] <- z[i] + ratio * p[i]

            iteration <- iteration + 1

        x
