// Series of the eigenfunctions of the Laplacian on one axis: Fourier, sine or cosine series by the axis's boundary condition.
namespace Continuum

open System
open TorchSharp

/// The orthonormal eigenfunctions of -d2/dx2 on an axis of length L, in the order of their number j from 0:
/// periodic 1, cos 1, sin 1, cos 2, sin 2, .. (of 2 pi k x / L); Dirichlet sin 1, sin 2, .. and Neumann 1, cos 1, cos 2, .. (of pi k x / L).
/// Coefficients are real, so that a box has the products of its axes' functions, whatever their conditions. Gradients flow through all of it.
[<RequireQualifiedAccess>]
module AxisSeries =

    let private bad (text: string) = raise (ArgumentException text)

    let private requireKnown (axis: Axis) =
        if axis.Boundary = Boundary.Open then
            bad $"The axis {axis} is open: a series needs a periodic, Dirichlet or Neumann condition."

    /// Number of eigenfunctions that uniform points hold: those that are orthonormal under the points' quadrature, without a highest mode
    /// that alternates from point to point. ArgumentException for irregular points and open axes.
    let count (points: AxisPoints) : int =
        requireKnown points.Axis
        let n = points.Count

        match points.Axis.Boundary, points.Layout with
        | _, PointLayout.Irregular -> bad $"A series needs uniform points; got {points}."
        | Boundary.Periodic, _ -> 2 * ((n - 1) / 2) + 1
        | Boundary.Dirichlet, PointLayout.Nodes -> max 0 (n - 2)
        | Boundary.Dirichlet, PointLayout.Interior -> n
        | Boundary.Dirichlet, _
        | _, PointLayout.Nodes -> n - 1
        | _ -> n

    /// The number k of the wave of the j-th function.
    let private wave (axis: Axis) (j: int) =
        match axis.Boundary with
        | Boundary.Periodic -> (j + 1) / 2
        | Boundary.Dirichlet -> j + 1
        | _ -> j

    let private baseWave (axis: Axis) = (if axis.Boundary = Boundary.Periodic then 2.0 else 1.0) * Math.PI / axis.Length

    /// Wavenumbers of the first functions: -phi_j'' = wavenumber_j^2 phi_j.
    let wavenumbers (axis: Axis) (count: int) : float[] =
        requireKnown axis
        Array.init count (fun j -> baseWave axis * float (wave axis j))

    /// The value of the j-th function at x.
    let value (axis: Axis) (j: int) (x: float) : float =
        requireKnown axis
        let k = wave axis j
        let angle = baseWave axis * float k * (x - axis.Start)

        if k = 0 then
            sqrt (1.0 / axis.Length)
        elif axis.Boundary = Boundary.Dirichlet || (axis.Boundary = Boundary.Periodic && j % 2 = 0) then
            sqrt (2.0 / axis.Length) * sin angle
        else
            sqrt (2.0 / axis.Length) * cos angle

    /// Length of the Fourier transform that has the points among its own, and the first point in units of their distance.
    let private embedding (points: AxisPoints) =
        let n = points.Count
        let twice = if points.Axis.Boundary = Boundary.Periodic then 1 else 2

        match points.Layout with
        | PointLayout.Nodes -> struct (twice * (n - 1), 0.0)
        | PointLayout.Interior -> struct (twice * (n + 1), 1.0)
        | PointLayout.Cells -> struct (twice * n, 0.5)
        | _ -> struct (n, 0.0)

    /// e^(i angle) / scale for waves 0 .. count - 1, wave 0 without the factor 1 / sqrt 2.
    let private phases (points: AxisPoints) (count: int) (dtype: torch.ScalarType) (device: torch.Device) : Tensor =
        let struct (length, first) = embedding points

        let size k =
            if k = 0 then
                sqrt (1.0 / points.Axis.Length)
            else
                sqrt (0.5 / points.Axis.Length)

        let angle k = 2.0 * Math.PI * float k * first / float length
        let part f = Tensors.ofArray (Array.init count (fun k -> size k * f (angle k))) [| int64 count |] dtype device
        torch.complex (part cos, part sin)

    let private basis (points: AxisPoints) (count: int) (dtype: torch.ScalarType) (device: torch.Device) : Tensor =
        let values = [|
            for j in 0 .. count - 1 do
                for x in points.X -> value points.Axis j x
        |]

        Tensors.ofArray values [| int64 count; int64 points.Count |] dtype device

    let private complexOf (x: Tensor) = torch.complex (x, torch.zeros_like x)
    let private width (x: Tensor) = int x.shape[x.shape.Length - 1]

    /// Amplitudes of waves 0, 1, .. from real coefficients along the last axis.
    let private toWaves (axis: Axis) (coefficients: Tensor) : Tensor =
        let m = int64 (width coefficients)
        let ahead = coefficients.shape[.. coefficients.shape.Length - 2]

        match axis.Boundary with
        | Boundary.Periodic ->
            let pairs = coefficients.narrow(-1L, 1L, m - 1L).reshape(Array.append ahead [| (m - 1L) / 2L; 2L |])
            let waves = torch.complex (pairs.select (-1L, 0L), pairs.select(-1L, 1L).neg())
            torch.cat ([| complexOf (coefficients.narrow (-1L, 0L, 1L)); waves |], -1L)
        | Boundary.Dirichlet ->
            let zero =
                torch.zeros (Array.append ahead [| 1L |], dtype = coefficients.dtype, device = coefficients.device)

            torch.complex (torch.zeros_like (coefficients), coefficients.neg ())
            |> fun waves -> torch.cat ([| complexOf zero; waves |], -1L)
        | _ -> complexOf coefficients

    /// The adjoint of toWaves, for m coefficients.
    let private ofWaves (axis: Axis) (m: int64) (waves: Tensor) : Tensor =
        match axis.Boundary with
        | Boundary.Periodic ->
            let higher = waves.narrow (-1L, 1L, (m - 1L) / 2L)
            let pairs = torch.stack ([| higher.real; higher.imag.neg () |], -1L)
            let ahead = waves.shape[.. waves.shape.Length - 2]
            let flat = pairs.reshape (Array.append ahead [| m - 1L |])
            torch.cat ([| waves.real.narrow (-1L, 0L, 1L); flat |], -1L)
        | Boundary.Dirichlet -> waves.imag.narrow(-1L, 1L, m).neg()
        | _ -> waves.real.narrow (-1L, 0L, m)

    let private waveCount (axis: Axis) (m: int) =
        match axis.Boundary with
        | Boundary.Periodic -> (m + 1) / 2
        | Boundary.Dirichlet -> m + 1
        | _ -> m

    let private checkCount (axis: Axis) (m: int) =
        if m < 1 || (axis.Boundary = Boundary.Periodic && m % 2 = 0) then
            bad $"A series on {axis} has {m} coefficients; give at least one, and an odd number on a periodic axis."

    /// Values at the points from coefficients, along axis dim of the tensor: as many coefficients as there are, of functions 0, 1, ..;
    /// an odd number on periodic axes. More than the points hold, or irregular points, cost a product of matrices.
    let synthesis (points: AxisPoints) (dim: int) (coefficients: Tensor) : Tensor =
        requireKnown points.Axis
        use _ = torch.NewDisposeScope()
        let c = coefficients.transpose (int64 dim, -1L)
        let m = width c
        checkCount points.Axis m

        let values =
            if points.Layout <> PointLayout.Irregular && m <= count points then
                let struct (length, _) = embedding points
                let waves = toWaves points.Axis c
                let turned = waves.mul (phases points (width waves) c.dtype c.device)
                let all = torch.fft.irfft (turned, int64 length, -1L, FFTNormType.Forward)
                all.narrow (-1L, 0L, int64 points.Count)
            else
                Tensors.matmul c (basis points m c.dtype c.device)

        values.transpose(int64 dim, -1L).contiguous().MoveToOuterDisposeScope()

    /// The first `m` coefficients (0: as many as the points hold) from values, along axis dim: inner products with the functions under the
    /// points' quadrature, so that the analysis of a synthesis is the identity.
    let analysis (points: AxisPoints) (m: int) (dim: int) (values: Tensor) : Tensor =
        let most = count points
        let m = if m = 0 then most else m
        checkCount points.Axis m

        if m > most then
            bad $"{points} hold {most} functions; {m} coefficients were asked for. Take more points."

        use _ = torch.NewDisposeScope()
        let v = values.transpose (int64 dim, -1L)
        let struct (length, _) = embedding points
        let weighted = v.mul (Tensors.ofArray points.W [| int64 points.Count |] v.dtype v.device)
        let kept = waveCount points.Axis m
        let waves = torch.fft.rfft(weighted, int64 length, -1L).narrow(-1L, 0L, int64 kept)
        // (f, phi_k) = sqrt(2 / L) Re or -Im: twice the factor of the synthesis, but for the constant.
        let twice =
            Tensors.ofArray (Array.init kept (fun k -> if k = 0 then 1.0 else 2.0)) [| int64 kept |] v.dtype v.device

        let turned = waves.mul (phases points kept v.dtype v.device |> fun p -> p.conj().mul twice)
        (ofWaves points.Axis (int64 m) turned).transpose(int64 dim, -1L).contiguous().MoveToOuterDisposeScope()

    // ------------------------------------------------------------------------------------------ boxes

    /// Values at a product of points, along the last axes of the coefficients' tensor.
    let synthesisBox (points: Discretisation) (coefficients: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let axes = points.Axes
        let first = coefficients.shape.Length - axes.Length
        let folder x i = synthesis axes[i] (first + i) x
        (Array.fold folder coefficients [| 0 .. axes.Length - 1 |]).MoveToOuterDisposeScope()

    /// Coefficients of values at a product of uniform points, along the last axes: all that the points hold.
    let analysisBox (points: Discretisation) (values: Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        let axes = points.Axes
        let first = values.shape.Length - axes.Length
        let folder x i = analysis axes[i] 0 (first + i) x
        (Array.fold folder values [| 0 .. axes.Length - 1 |]).MoveToOuterDisposeScope()

    /// The eigenvalues of -Laplace of the products of the axes' first functions, of shape counts.
    let eigenvalues (domain: Domain) (counts: int[]) (dtype: torch.ScalarType) (device: torch.Device) : Tensor =
        use _ = torch.NewDisposeScope()

        let along i =
            let shape = Array.create counts.Length 1L
            shape[i] <- int64 counts[i]
            let squares = wavenumbers domain[i] counts[i] |> Array.map (fun k -> k * k)
            Tensors.ofArray squares shape dtype device

        let sum = Array.init counts.Length along |> Array.reduce (fun a b -> a.add b)
        sum.contiguous().MoveToOuterDisposeScope()

    /// Multiplies the coefficients of a field by a function of the eigenvalue of -Laplace: f(-Laplace) u for uniform points.
    /// Parts that the points do not hold as a series (a mode that alternates from point to point) become zero.
    let apply (f: Tensor -> Tensor) (field: Field) : Field =
        use _ = torch.NewDisposeScope()
        let points = field.Discretisation

        if not points.IsUniform then
            bad $"A function of the Laplacian is applied on uniform points; got {points}."

        let counts = points.Axes |> Array.map count
        let factors = f (eigenvalues points.Domain counts field.Values.dtype field.Values.device)
        let values = synthesisBox points ((analysisBox points field.Values).mul factors)
        new Field(points, values.MoveToOuterDisposeScope())

    /// The Laplacian of a field at uniform points, by its series.
    let laplacian (field: Field) : Field = apply (fun eigenvalues -> eigenvalues.neg ()) field
