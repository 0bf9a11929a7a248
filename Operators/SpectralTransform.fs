// From fields to coefficients of a few modes and back, on any discretisation, by products with small matrices.
namespace Continuum

open System
open TorchSharp

/// The transform between values at the points of a discretisation and the coefficients of the kept modes: integrals over the domain by
/// quadrature, and sums of the series at the points. Few modes are kept, so products with dense matrices take less time than fast
/// transforms, serve every point set and have no favourite sizes.
///
/// Coefficients have shape (batch, channels, count of each axis); they are complex where an axis is a Fourier series.
/// It holds tensors: dispose of it.
[<Sealed>]
type internal SpectralTransform
    (discretisation: Discretisation, bases: AxisBasis[], dtype: torch.ScalarType, device: torch.Device) =

    let counts = bases |> Array.map (fun b -> int64 b.Count)
    let isComplex = bases |> Array.exists _.IsComplex
    let half = bases |> Array.tryFindIndex (fun b -> b.Series = SeriesKind.HalfFourier)

    let complex =
        if dtype = torch.float64 then
            torch.ScalarType.ComplexFloat64
        else
            torch.ScalarType.ComplexFloat32

    /// Integrals need points that tell the modes apart; sums of the series do not.
    let demand () =
        if discretisation.IsProduct then
            Array.iteri2 SpectralBasis.demand bases discretisation.Axes
        else
            let unknowns = bases |> Array.fold (fun n b -> n * (if b.IsComplex then 2 * b.Modes - 1 else b.Modes)) 1
            let fewest = Array.min discretisation.Counts

            if fewest < unknowns then
                raise (
                    ArgumentException
                        $"A cloud of {fewest} points does not hold the {unknowns} real coefficients of the kept modes; keep fewer modes, or take more points."
                )

    let mutable demanded = false

    /// re and im, rows x columns, as a complex matrix or (rows, 2 columns) real ones.
    let pairs (rows: int64) (struct (re: float[], im: float[])) : Tensor =
        use _ = torch.NewDisposeScope()
        let shape = [| rows; int64 re.Length / rows |]
        let re = Tensors.ofArray re shape dtype device
        let im = Tensors.ofArray im shape dtype device
        (torch.stack ([| re; im |], -1L)).MoveToOuterDisposeScope()

    /// The matrix of one axis as it is used: real of (count, points); of a half series (2 count, points) with rows re, im alternating; complex.
    let matrix (basis: AxisBasis) (sign: float) (struct (re: float[], im: float[])) : Tensor =
        use _ = torch.NewDisposeScope()
        let rows = int64 basis.Count

        let result =
            match basis.Series with
            | SeriesKind.Fourier -> torch.view_as_complex (pairs rows (struct (re, im)))
            | SeriesKind.HalfFourier ->
                let both = pairs rows (struct (re, Array.map (fun v -> sign * v) im))
                both.transpose(1L, 2L).reshape([| 2L * rows; -1L |])
            | _ -> Tensors.ofArray re [| rows; int64 re.Length / rows |] dtype device

        result.MoveToOuterDisposeScope()

    let free (tensors: Tensor[]) =
        for tensor in tensors do
            tensor.Dispose()

    let detached (tensors: Tensor[]) =
        for tensor in tensors do
            tensor.DetachFromDisposeScope() |> ignore

        tensors

    // Products: one matrix for each axis. Clouds: one for all axes, (clouds, points, real columns).
    let cloudMatrices () : Tensor[] =
        use _ = torch.NewDisposeScope()
        let n = int discretisation.Shape[0]
        let clouds = discretisation.CloudCount
        let d = bases.Length
        let x = Tensors.toArray (discretisation.Coordinates(torch.float64, torch.CPU))

        let axisFunctions (i: int) =
            let own = Array.init (clouds * n) (fun s -> x[((s / n) * d + i) * n + s % n])
            let struct (re, im) = SpectralBasis.at bases[i] discretisation.Domain[i] own
            let im = if im.Length = 0 then Array.zeroCreate re.Length else im
            let values = torch.view_as_complex (pairs counts[i] (struct (re, im)))
            values.reshape([| counts[i]; int64 clouds; int64 n |]).permute(1L, 2L, 0L)

        let combined (pick: int -> float[]) (functions: Tensor[]) =
            // exact products in double precision would need complex128 throughout; dtype is enough for what it multiplies
            let scaled =
                functions
                |> Array.mapi (fun i f -> f.mul (Tensors.ofArray (pick i) [| 1L; 1L; counts[i] |] dtype device))

            scaled
            |> Array.reduce (fun product f ->
                (product.unsqueeze(-1L).mul(f.unsqueeze -2L)).reshape([| int64 clouds; int64 n; -1L |]))

        let functions = Array.init d axisFunctions
        let weights = (discretisation.Weights(dtype, device)).unsqueeze -1L

        let analysisFactor i =
            let struct (factors, _) = SpectralBasis.factors bases[i]
            factors

        let synthesisFactor i =
            let struct (_, factors) = SpectralBasis.factors bases[i]
            factors

        let real (z: Tensor) (conjugate: bool) =
            if isComplex then
                let parts = torch.view_as_real (if conjugate then z.conj().resolve_conj() else z.resolve_conj ())
                parts.reshape ([| int64 clouds; int64 n; -1L |])
            else
                torch.real(z).contiguous()

        // Analysis: (clouds, points, columns); synthesis the real part of coefficients times functions, so conjugate pairs (re, -im).
        let analysis = (real (combined analysisFactor functions) true).mul weights
        let synthesis = real (combined synthesisFactor functions) true

        [|
            analysis.MoveToOuterDisposeScope()
            synthesis.transpose(1L, 2L).contiguous().MoveToOuterDisposeScope()
        |]

    let onClouds = if discretisation.IsProduct then [||] else detached (cloudMatrices ())

    let mutable analyses: Tensor[] = [||]
    let mutable syntheses: Tensor[] = [||]

    let make (sign: float) (build: AxisBasis -> AxisPoints -> struct (float[] * float[])) =
        Array.map2 (fun basis points -> matrix basis sign (build basis points)) bases discretisation.Axes
        |> detached

    /// matrix (rows, n) times the axis `axis` of x, of length n: (.., rows, ..).
    let along (x: Tensor) (axis: int) (matrix: Tensor) : Tensor =
        let shape = x.shape

        if axis = shape.Length - 1 then
            torch.matmul (x, matrix.transpose (0L, 1L))
        else
            let rest = Array.fold (*) 1L shape[axis + 1 ..]
            let product = torch.matmul (matrix, x.reshape ([| -1L; shape[axis]; rest |]))
            product.reshape (Array.concat [ shape[.. axis - 1]; [| matrix.shape[0] |]; shape[axis + 1 ..] ])

    let ofType (like: Tensor) (matrix: Tensor) =
        if like.is_complex () && not (matrix.is_complex ()) then
            matrix.``to`` complex
        else
            matrix

    /// re, im alternating along an axis to complex numbers, and back.
    let joined (axis: int) (x: Tensor) =
        let shape = x.shape

        if axis = shape.Length - 1 then
            torch.view_as_complex (x.reshape (Array.concat [ shape[.. axis - 1]; [| shape[axis] / 2L; 2L |] ]))
        else
            let apart =
                x.reshape (Array.concat [ shape[.. axis - 1]; [| shape[axis] / 2L; 2L |]; shape[axis + 1 ..] ])

            // not view_as_complex: axes of size 1 may have odd strides
            torch.complex (apart.select (int64 axis + 1L, 0L), apart.select (int64 axis + 1L, 1L))

    let split (axis: int) (z: Tensor) =
        let real = torch.view_as_real (z.contiguous ())
        let shape = z.shape
        let double = Array.concat [ shape[.. axis - 1]; [| 2L * shape[axis] |]; shape[axis + 1 ..] ]

        if axis = shape.Length - 1 then
            real.reshape double
        else
            real.movedim([| -1L |], [| int64 axis + 1L |]).reshape double

    let check (field: Tensor) =
        let shape = field.shape
        let points = discretisation.Shape

        if shape.Length <> points.Length + 2 || Array.exists2 (<>) shape[2..] points then
            raise (ArgumentException $"Values of shape {Tensors.shapeText field} do not lie on {discretisation}.")

    /// Numbers of coefficients on the axes.
    member _.Counts = counts
    /// Whether coefficients are complex.
    member _.IsComplex = isComplex

    /// Coefficients (batch, channels, counts) of values (batch, channels, points).
    member _.Forward(values: Tensor) : Tensor =
        check values

        if not demanded then
            demand ()
            demanded <- true

        let shape = values.shape

        if discretisation.IsProduct then
            if analyses.Length = 0 then
                // A half series gives re and im of (conjugated) integrals.
                analyses <- make 1.0 SpectralBasis.analysis

            let mutable x = values

            for i in bases.Length - 1 .. -1 .. 0 do
                x <- along x (i + 2) (ofType x analyses[i])

                if Some i = half then
                    x <- joined (i + 2) x

            x
        else
            let product = torch.matmul (values, onClouds[0])
            let coefficients = Array.append shape[..1] counts

            if isComplex then
                torch.view_as_complex (product.reshape (Array.append coefficients [| 2L |]))
            else
                product.reshape coefficients

    /// Values (batch, channels, points) of coefficients (batch, channels, counts).
    member _.Inverse(coefficients: Tensor) : Tensor =
        let shape = coefficients.shape

        if discretisation.IsProduct then
            if syntheses.Length = 0 then
                // Re (c e) = re c re e - im c im e.
                syntheses <-
                    make -1.0 SpectralBasis.synthesis
                    |> Array.map (fun m ->
                        use own = m
                        own.transpose(0L, 1L).contiguous().DetachFromDisposeScope())

            let mutable x = coefficients

            for i in 0 .. bases.Length - 1 do
                if Some i = half then
                    x <- split (i + 2) x

                x <- along x (i + 2) (ofType x syntheses[i])

            x
        else
            let flat =
                if isComplex then
                    (torch.view_as_real (coefficients.contiguous ())).reshape(Array.append shape[..1] [| -1L |])
                else
                    coefficients.reshape (Array.append shape[..1] [| -1L |])

            torch.matmul (flat, onClouds[1])

    interface IDisposable with
        member _.Dispose() =
            free analyses
            free syntheses
            free onClouds
            analyses <- [||]
            syntheses <- [||]
