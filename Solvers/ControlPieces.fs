// The pieces of a path between neighbouring knots, as polynomials: straight lines, cubics with backward differences, natural splines.
// Everything is computed for all series and channels at once by operations that autograd records.
namespace Continuum

open TorchSharp

/// x(t_k + u) = A + B u + C u^2 + D u^3 on each piece. C and D are null where all pieces are straight.
[<Struct>]
type internal CubicPieces = { A: Tensor; B: Tensor; C: Tensor; D: Tensor }

/// Tridiagonal systems, one for each of many right-hand sides.
[<RequireQualifiedAccess>]
module internal Tridiagonal =

    /// The row at a distance along dimension 1; rows outside hold this value.
    let private shifted (x: Tensor) (distance: int64) (outside: float) : Tensor =
        let n = x.shape[1]
        let count = min n (abs distance)
        let edge = (x.narrow (1L, 0L, count)).full_like outside

        if count = n then
            edge
        elif distance > 0L then
            torch.cat ([| x.narrow (1L, count, n - count); edge |], 1L)
        else
            torch.cat ([| edge; x.narrow (1L, 0L, n - count) |], 1L)

    /// lower_i x_(i-1) + diagonal_i x_i + upper_i x_(i+1) = right_i along dimension 1, by parallel cyclic reduction (Hockney and
    /// Jesshope 1981): log2 n sweeps, in each of which every row removes its neighbours at distance 1, 2, 4, ... . The matrix
    /// must be diagonally dominant; the outer entries of lower and upper must be zero.
    let solve (lower: Tensor) (diagonal: Tensor) (upper: Tensor) (right: Tensor) : Tensor =
        let mutable a = lower
        let mutable b = diagonal
        let mutable c = upper
        let mutable r = right
        let mutable distance = 1L

        while distance < right.shape[1] do
            let before = a.div(shifted b -distance 1.0).neg()
            let after = c.div(shifted b distance 1.0).neg()
            b <- b.add(before.mul (shifted c -distance 0.0)).add(after.mul (shifted a distance 0.0))
            r <- r.add(before.mul (shifted r -distance 0.0)).add(after.mul (shifted r distance 0.0))
            a <- before.mul (shifted a -distance 0.0)
            c <- after.mul (shifted c distance 0.0)
            distance <- 2L * distance

        r.div b

/// Pieces over knots that may stand still: a piece of no length is constant. t: (1 or series, knots, 1 or channels), float64;
/// x: (series, knots, channels); one piece less than knots.
[<RequireQualifiedAccess>]
module internal CubicPieces =

    let private early (x: Tensor) = x.narrow (1L, 0L, x.shape[1] - 1L)
    let private late (x: Tensor) = x.narrow (1L, 1L, x.shape[1] - 1L)

    /// Lengths of the pieces, 1 for those without (so that nothing is divided by zero), and whether each has one.
    let private lengths (t: Tensor) (x: Tensor) : struct (Tensor * Tensor) =
        let raw = ((late t).sub(early t)).``to`` x.dtype
        let live = raw.gt 0.0
        struct (torch.where (live, raw, torch.ones_like raw), live)

    /// x where the pieces have a length, else 0.
    let private onlyLive (live: Tensor) (x: Tensor) : Tensor = torch.where (live, x, torch.zeros_like x)

    /// Straight lines.
    let linear (t: Tensor) (x: Tensor) : CubicPieces =
        let struct (h, live) = lengths t x
        let slopes = onlyLive live ((late x).sub(early x).div h)
        { A = early x; B = slopes; C = null; D = null }

    /// Cubics with backward differences: m_i = D_(i-1), m_0 = firstSlope or D_0. firstSlope: (1 or series, 1, channels), NaN for D_0, or null.
    let hermite (firstSlope: Tensor) (t: Tensor) (x: Tensor) : CubicPieces =
        let struct (h, live) = lengths t x
        let slopes = onlyLive live ((late x).sub(early x).div h)
        let own = slopes.narrow (1L, 0L, 1L)

        let start =
            if isNull firstSlope then
                own
            else
                torch.where (firstSlope.isnan (), own, firstSlope)

        let m = onlyLive live (torch.cat ([| start; early slopes |], 1L))
        let bend = slopes.sub(m).div h
        { A = early x; B = m; C = bend.mul 2.0; D = bend.div(h).neg() }

    /// The natural cubic spline. With second derivatives M_i at the knots, M = 0 at both ends:
    /// h_(i-1) M_(i-1) + 2 (h_(i-1) + h_i) M_i + h_i M_(i+1) = 6 (D_i - D_(i-1)). de Boor 1978, chapter IV.
    let naturalCubic (t: Tensor) (x: Tensor) : CubicPieces =
        let struct (h, live) = lengths t x
        let slopes = onlyLive live ((late x).sub(early x).div h)

        let second =
            if h.shape[1] < 2L then
                torch.zeros_like x
            else
                // A knot between two pieces with a length has an equation; at all others M is zero.
                let inner = (early live).logical_and(late live)
                let zero = torch.zeros_like (early h)
                let lower = torch.where (inner, early h, zero)
                let upper = torch.where (inner, late h, zero)
                let diagonal = torch.where (inner, (early h).add(late h).mul(2.0), torch.ones_like zero)
                let right = onlyLive inner ((late slopes).sub(early slopes).mul(6.0))

                // The neighbours of the outer equations are the ends, where M = 0.
                let cut (side: Tensor) (at: int64) =
                    let keep = torch.ones ([| 1L; side.shape[1]; 1L |], dtype = side.dtype, device = side.device)
                    keep.[0L, at, 0L] <- torch.zeros ([||], dtype = side.dtype, device = side.device)
                    side.mul keep

                let found = Tridiagonal.solve (cut lower 0L) diagonal (cut upper (upper.shape[1] - 1L)) right
                let ends = torch.zeros_like (found.narrow (1L, 0L, 1L))
                torch.cat ([| ends; found; ends |], 1L)

        let left = early second
        let rise = (late second).sub left
        let mean = left.mul(2.0).add(late second)

        {
            A = early x
            B = onlyLive live (slopes.sub (h.mul(mean).div(6.0)))
            C = onlyLive live (left.div 2.0)
            D = onlyLive live (rise.div(h).div(6.0))
        }

    /// Pieces over the observations of each channel, expanded anew about every row of the grid that has a successor: the same function,
    /// cut at all rows. Constant before the first observation and after the last. times: (1 or series, length, 1), float64.
    let regrid (compacted: Compacted) (times: Tensor) (pieces: CubicPieces) : CubicPieces =
        let rows = times.shape[1] - 1L
        // Slot 0: before the first observation; slot n: after the n-th.
        let slot = compacted.Count.narrow (1L, 0L, rows)

        let ofPieces (x: Tensor) =
            let edge = torch.zeros_like (x.narrow (1L, 0L, 1L))
            torch.cat([| edge; x; edge |], 1L).gather(1L, slot)

        let values =
            let x = compacted.Values
            torch.cat([| x.narrow (1L, 0L, 1L); x |], 1L).gather(1L, slot)

        let knots = compacted.Times
        let starts = torch.cat([| knots.narrow (1L, 0L, 1L); knots |], 1L).gather(1L, slot)
        let s = ((times.narrow (1L, 0L, rows)).sub starts).``to`` values.dtype
        let b = ofPieces pieces.B

        if isNull pieces.C then
            { A = values.add (s.mul b); B = b; C = null; D = null }
        else
            let c = ofPieces pieces.C
            let d = ofPieces pieces.D
            let ds = d.mul s

            {
                A = values.add (s.mul (b.add (s.mul (c.add ds))))
                B = b.add (s.mul (c.mul(2.0).add(ds.mul 3.0)))
                C = c.add (ds.mul 3.0)
                D = d
            }

    /// The same function of a clock that runs at constant speed through each piece: scale is time by clock, (1 or series, pieces, 1).
    let rescale (scale: Tensor) (pieces: CubicPieces) : CubicPieces =
        if isNull pieces.C then
            { pieces with B = pieces.B.mul scale }
        else
            let square = scale.mul scale

            {
                A = pieces.A
                B = pieces.B.mul scale
                C = pieces.C.mul square
                D = pieces.D.mul (square.mul scale)
            }

    /// Channels of two side by side.
    let beside (one: CubicPieces) (two: CubicPieces) : CubicPieces =
        let join (x: Tensor) (y: Tensor) = torch.cat ([| x; y |], 2L)
        let orZero (x: Tensor) (like: Tensor) = if isNull x then torch.zeros_like like else x

        if isNull one.C && isNull two.C then
            { A = join one.A two.A; B = join one.B two.B; C = null; D = null }
        else
            {
                A = join one.A two.A
                B = join one.B two.B
                C = join (orZero one.C one.A) (orZero two.C two.A)
                D = join (orZero one.D one.A) (orZero two.D two.A)
            }
