// The series in which kernels act, axis by axis, as matrices between values at points and coefficients.
namespace Continuum

open System
open System.Collections.Concurrent

/// The series of one axis.
type internal SeriesKind =
    /// exp(2 pi i k x / period), |k| < modes, from the most negative k on.
    | Fourier = 0
    /// The same with k = 0 .. modes - 1: enough for real functions on one of the axes.
    | HalfFourier = 1
    /// cos(pi k x / length), k = 0 .. modes - 1.
    | Cosine = 2
    /// sin(pi k x / length), k = 1 .. modes.
    | Sine = 3

/// The series of one axis and how many modes of it are kept. Period is that of Fourier series, the axis's length of others.
[<Struct; CustomEquality; NoComparison>]
type internal AxisBasis = {
    Series: SeriesKind
    Modes: int
    Period: float
} with

    /// Number of coefficients.
    member b.Count = if b.Series = SeriesKind.Fourier then 2 * b.Modes - 1 else b.Modes
    /// Whether coefficients are complex.
    member b.IsComplex = b.Series = SeriesKind.Fourier || b.Series = SeriesKind.HalfFourier

    /// The wave numbers of the coefficients, in their order.
    member b.WaveNumbers: int[] =
        let modes = b.Modes

        match b.Series with
        | SeriesKind.Fourier -> Array.init (2 * modes - 1) (fun i -> i - modes + 1)
        | SeriesKind.Sine -> Array.init modes (fun i -> i + 1)
        | _ -> Array.init modes id

    override b.Equals(other: obj) =
        match other with
        | :? AxisBasis as o -> o.Series = b.Series && o.Modes = b.Modes && o.Period = b.Period
        | _ -> false

    override b.GetHashCode() = HashCode.Combine(b.Series, b.Modes, b.Period)

/// Series of domains and their matrices.
[<RequireQualifiedAccess>]
module internal SpectralBasis =

    let private bad (text: string) = raise (ArgumentException text)

    /// The series of each axis of a domain: Fourier, cosine and sine as its conditions say; on open axes Fourier with a period of (1 + padding)
    /// lengths. The last of the Fourier axes takes half of its modes.
    let ofDomain (domain: Domain) (padding: float) (modes: int[]) : AxisBasis[] =
        if modes.Length <> domain.Dimension then
            bad $"The domain {domain} needs modes for each of its {domain.Dimension} axes; got {modes.Length}."

        modes
        |> Array.iteri (fun i m ->
            if m < 1 then
                bad $"Axis {i} keeps {m} modes; keep at least 1.")

        let isFourier (axis: Axis) = axis.Boundary = Boundary.Periodic || axis.Boundary = Boundary.Open

        let half = Array.tryFindIndexBack isFourier domain.Axes

        Array.init modes.Length (fun i ->
            let axis = domain[i]

            let series =
                match axis.Boundary with
                | Boundary.Dirichlet -> SeriesKind.Sine
                | Boundary.Neumann -> SeriesKind.Cosine
                | _ -> if Some i = half then SeriesKind.HalfFourier else SeriesKind.Fourier

            let period =
                if axis.Boundary = Boundary.Open then
                    axis.Length * (1.0 + padding)
                else
                    axis.Length

            { Series = series; Modes = modes[i]; Period = period })

    /// The most modes that these points hold apart from each other.
    let mostModes (basis: AxisBasis) (points: AxisPoints) : int =
        let n = points.Count

        match basis.Series, points.Layout with
        | SeriesKind.Cosine, PointLayout.Nodes -> n - 1
        | SeriesKind.Cosine, _ -> n
        | SeriesKind.Sine, PointLayout.Nodes -> n - 2
        | SeriesKind.Sine, PointLayout.Interior -> n
        | SeriesKind.Sine, _ -> n - 1
        | _, layout ->
            // Highest wave number k with 2 k h < period.
            let span = if layout = PointLayout.Nodes then float (n - 1) else float n
            let held = span * basis.Period / points.Axis.Length
            int (ceil (0.5 * held * (1.0 - 1e-12)))

    /// Throws ArgumentException, naming the axis and the sizes, where points do not hold the modes.
    let demand (axis: int) (basis: AxisBasis) (points: AxisPoints) =
        let most = mostModes basis points

        if basis.Modes > most then
            let fewest =
                Seq.initInfinite (fun n -> n + 2)
                |> Seq.find (fun n ->
                    let layout =
                        if points.Layout = PointLayout.Irregular then
                            AxisPoints.UsualLayout points.Axis
                        else
                            points.Layout

                    mostModes basis (AxisPoints.Uniform(points.Axis, n, layout)) >= basis.Modes)

            bad
                $"Axis {axis} keeps {basis.Modes} modes and its {points.Count} points hold {most} at most; keep at most {most} modes, or take {fewest} points or more."

    /// Real and imaginary parts of the series' functions at coordinates, count x points; imaginary parts are empty for real series.
    let private functions (basis: AxisBasis) (start: float) (x: float[]) : struct (float[] * float[]) =
        let k = basis.WaveNumbers
        let n = x.Length
        let re = Array.zeroCreate (k.Length * n)
        let im = if basis.IsComplex then Array.zeroCreate re.Length else [||]

        let turn = if basis.IsComplex then 2.0 * Math.PI / basis.Period else Math.PI / basis.Period

        for i in 0 .. k.Length - 1 do
            for j in 0 .. n - 1 do
                let angle = turn * float k[i] * (x[j] - start)

                if basis.IsComplex then
                    let struct (s, c) = Math.SinCos angle
                    re[i * n + j] <- c
                    im[i * n + j] <- s
                else
                    re[i * n + j] <- if basis.Series = SeriesKind.Cosine then cos angle else sin angle

        struct (re, im)

    /// The factor that makes a coefficient from an integral over the axis.
    let private scale (basis: AxisBasis) (k: int) =
        if basis.IsComplex || (basis.Series = SeriesKind.Cosine && k = 0) then
            1.0 / basis.Period
        else
            2.0 / basis.Period

    /// Integrals against the functions: coefficient i is the sum over j of (re, im)[i, j] value_j. Conjugate, times weights, normalised.
    let private analysisOf (basis: AxisBasis, start: float, x: float[], w: float[]) : struct (float[] * float[]) =
        let struct (re, im) = functions basis start x
        let k = basis.WaveNumbers
        let n = x.Length

        for i in 0 .. k.Length - 1 do
            let factor = scale basis k[i]

            for j in 0 .. n - 1 do
                re[i * n + j] <- factor * w[j] * re[i * n + j]

                if im.Length > 0 then
                    im[i * n + j] <- -factor * w[j] * im[i * n + j]

        struct (re, im)

    /// Values from coefficients: value j is the sum over i of the coefficients times (re, im)[i, j]; the real part of it for half series, whose
    /// positive modes count twice.
    let private synthesisOf (basis: AxisBasis, start: float, x: float[]) : struct (float[] * float[]) =
        let struct (re, im) = functions basis start x

        if basis.Series = SeriesKind.HalfFourier then
            let n = x.Length

            for i in n .. re.Length - 1 do
                re[i] <- 2.0 * re[i]
                im[i] <- 2.0 * im[i]

        struct (re, im)

    // Matrices of uniform points, by what determines them. They are plain arrays: no native memory is kept.
    let private known =
        ConcurrentDictionary<struct (bool * AxisBasis * AxisPoints), struct (float[] * float[])>()

    let private remembered (isAnalysis: bool) (basis: AxisBasis) (points: AxisPoints) make =
        if points.Layout = PointLayout.Irregular then
            make ()
        else
            if known.Count > 256 then
                known.Clear()

            known.GetOrAdd(struct (isAnalysis, basis, points), (fun _ -> make ()))

    /// Coefficients from values at these points, count x points.
    let analysis (basis: AxisBasis) (points: AxisPoints) =
        remembered true basis points (fun () -> analysisOf (basis, points.Axis.Start, points.X, points.W))

    /// Values at these points from coefficients, count x points.
    let synthesis (basis: AxisBasis) (points: AxisPoints) =
        remembered false basis points (fun () -> synthesisOf (basis, points.Axis.Start, points.X))

    /// The functions at any coordinates on an axis.
    let at (basis: AxisBasis) (axis: Axis) (x: float[]) = functions basis axis.Start x

    /// The factor of coefficient i in integrals (analysis), and of half series in values (synthesis).
    let factors (basis: AxisBasis) : struct (float[] * float[]) =
        let k = basis.WaveNumbers

        struct (Array.map (scale basis) k,
                Array.map (fun k -> if basis.Series = SeriesKind.HalfFourier && k > 0 then 2.0 else 1.0) k)
