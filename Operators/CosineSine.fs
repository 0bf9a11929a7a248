// Series of the functions that an axis with conditions at its ends has: cosines where the slope is zero, sines where the value is.
namespace Continuum

open System
open TorchSharp

/// Discrete cosine and sine transforms along one axis of a tensor.
///
/// On a Neumann axis of length L, f = sum_k c_k cos(pi k (x - x0) / L): n points hold k = 0 .. n - 1, on Nodes (DCT-I) and on Cells (DCT-II).
/// On a Dirichlet axis, f = sum_k s_k sin(pi k (x - x0) / L): n Interior points (DST-I) and n Cells (DST-II) hold k = 1 .. n, n Nodes hold
/// k = 1 .. n - 2 and the value zero at both ends, whatever the values there. Each is a Fourier transform of the even or odd extension.
///
/// The highest function of a grid is sampled as any other, so a series is the same function on every grid that holds it, and a grid of
/// finer points holds every series of a coarser one.
[<RequireQualifiedAccess>]
module TrigonometricTransforms =

    let private bad (text: string) = raise (ArgumentException text)

    /// These numbers along one axis, in the dtype and on the device of x.
    let internal row (values: float[]) (dim: int64) (x: Tensor) =
        let shape = Array.create x.shape.Length 1L
        shape[int dim] <- values.LongLength
        Tensors.ofArray values shape x.dtype x.device

    /// exp(i angles) along one axis.
    let private turn (angles: float[]) (dim: int64) (x: Tensor) =
        torch.complex (row (Array.map cos angles) dim x, row (Array.map sin angles) dim x)

    let private zeros (count: int64) (dim: int64) (x: Tensor) =
        let shape = Array.copy x.shape
        shape[int dim] <- count
        torch.zeros (shape, dtype = x.dtype, device = x.device)

    /// The first `count` entries, with zeros for those that x lacks.
    let private fitted (count: int64) (dim: int64) (x: Tensor) =
        let have = x.shape[int dim]

        if have = count then x
        elif have > count then x.narrow (dim, 0L, count)
        else torch.cat ([| x; zeros (count - have) dim x |], dim)

    let private forward (dim: int64) (x: Tensor) = torch.fft.rfft (x, dim = dim, norm = FFTNormType.Forward)

    /// The first n of `size` values from the modes 0 .. size / 2.
    let private backward (dim: int64) (size: int64) (n: int64) (modes: Tensor) =
        (torch.fft.irfft (modes, size, dim, FFTNormType.Forward)).narrow(dim, 0L, n)

    /// pi k / (2 n) of k = 0 .. n: half a cell, in the angle of each mode.
    let private halfCell (n: int64) = Array.init (int n + 1) (fun k -> Math.PI * float k / (2.0 * float n))

    /// 2 for each of n modes, 1 for those in `single`.
    let private doubled (n: int64) (single: int64[]) =
        Array.init (int n) (fun k -> if Array.contains (int64 k) single then 1.0 else 2.0)

    /// Cosine coefficients k = 0 .. n - 1 of n values on nodes.
    let private cosineOfNodes (dim: int64) (x: Tensor) =
        let n = x.shape[int dim]
        let even = torch.cat ([| x; x.narrow(dim, 1L, n - 2L).flip [| dim |] |], dim)
        (forward dim even).real.mul(row (doubled n [| 0L; n - 1L |]) dim x)

    /// Cosine coefficients k = 0 .. n - 1 of n values on cells.
    let private cosineOfCells (dim: int64) (x: Tensor) =
        let n = x.shape[int dim]
        let even = torch.cat ([| x; x.flip [| dim |] |], dim)
        let modes = (forward dim even).mul(turn (halfCell n |> Array.map (~-)) dim x)
        modes.real.narrow(dim, 0L, n).mul(row (doubled n [| 0L |]) dim x)

    /// Sine coefficients k = 1 .. n of n values on interior points.
    let private sineOfInterior (dim: int64) (x: Tensor) =
        let n = x.shape[int dim]
        let zero = zeros 1L dim x
        let odd = torch.cat ([| zero; x; zero; x.neg().flip [| dim |] |], dim)
        (forward dim odd).imag.narrow(dim, 1L, n).mul -2.0

    /// Sine coefficients k = 1 .. n of n values on cells.
    let private sineOfCells (dim: int64) (x: Tensor) =
        let n = x.shape[int dim]
        let odd = torch.cat ([| x; x.neg().flip [| dim |] |], dim)
        let modes = (forward dim odd).mul(turn (halfCell n |> Array.map (~-)) dim x)
        modes.imag.narrow(dim, 1L, n).mul(row (doubled n [| n - 1L |] |> Array.map (~-)) dim x)

    let private nodesFromCosine (dim: int64) (n: int64) (c: Tensor) =
        let halves = doubled n [| 0L; n - 1L |] |> Array.map (fun v -> 1.0 / v)
        let modes = (fitted n dim c).mul(row halves dim c)
        backward dim (2L * (n - 1L)) n (torch.complex (modes, torch.zeros_like modes))

    let private cellsFromCosine (dim: int64) (n: int64) (c: Tensor) =
        let halves = doubled n [| 0L |] |> Array.map (fun v -> 1.0 / v)
        let modes = fitted (n + 1L) dim ((fitted n dim c).mul(row halves dim c))
        backward dim (2L * n) n (modes.mul (turn (halfCell n) dim c))

    let private interiorFromSine (dim: int64) (n: int64) (s: Tensor) =
        let zero = zeros 1L dim s
        let modes = torch.cat ([| zero; (fitted n dim s).mul -0.5; zero |], dim)
        (backward dim (2L * (n + 1L)) (n + 1L) (torch.complex (torch.zeros_like modes, modes))).narrow(dim, 1L, n)

    let private cellsFromSine (dim: int64) (n: int64) (s: Tensor) =
        let halves = doubled n [| n - 1L |] |> Array.map (fun v -> -1.0 / v)
        let modes = torch.cat ([| zeros 1L dim s; (fitted n dim s).mul(row halves dim s) |], dim)
        backward dim (2L * n) n (torch.complex(torch.zeros_like modes, modes).mul(turn (halfCell n) dim s))

    /// Values on n points of a layout of the cosine series c (k = 0, 1, ..).
    let private cosines (layout: PointLayout) (n: int64) (dim: int64) (c: Tensor) =
        match layout with
        | PointLayout.Cells -> cellsFromCosine dim n c
        | PointLayout.Interior -> (nodesFromCosine dim (n + 2L) c).narrow(dim, 1L, n)
        | _ -> nodesFromCosine dim n c

    /// Values on n points of a layout of the sine series s (k = 1, 2, ..).
    let private sines (layout: PointLayout) (n: int64) (dim: int64) (s: Tensor) =
        match layout with
        | PointLayout.Cells -> cellsFromSine dim n s
        | PointLayout.Interior -> interiorFromSine dim n s
        | _ ->
            let zero = zeros 1L dim s
            torch.cat ([| zero; interiorFromSine dim (n - 2L) s; zero |], dim)

    /// How many functions of a Neumann or Dirichlet axis uniform points on it hold.
    let count (points: AxisPoints) : int =
        ArgumentNullException.ThrowIfNull(points, nameof points)

        if points.Axis.Boundary = Boundary.Dirichlet && points.Layout = PointLayout.Nodes then
            points.Count - 2
        else
            points.Count

    /// Whether the functions at these points have such a series: uniform points on a Neumann or Dirichlet axis that hold one function or more
    /// (two nodes on a Dirichlet axis, its ends, hold none).
    let has (points: AxisPoints) : bool =
        ArgumentNullException.ThrowIfNull(points, nameof points)

        points.Layout <> PointLayout.Irregular
        && (points.Axis.Boundary = Boundary.Neumann || points.Axis.Boundary = Boundary.Dirichlet)
        && count points > 0

    let private isCosine (points: AxisPoints) = points.Axis.Boundary = Boundary.Neumann

    /// pi k / L of the first functions of an axis.
    let internal wavenumbers (axis: Axis) (count: int) =
        let first = if axis.Boundary = Boundary.Neumann then 0 else 1
        Array.init count (fun i -> Math.PI * float (first + i) / axis.Length)

    let private check (points: AxisPoints) (dim: int) (x: Tensor) (size: int64) =
        ArgumentNullException.ThrowIfNull(points, nameof points)
        ArgumentNullException.ThrowIfNull(x, nameof x)
        NativeLibraries.ensure ()

        if not (has points) then
            bad
                $"{points} have neither cosine nor sine series; take uniform points on a Neumann or Dirichlet axis, not its ends alone."

        if x.dtype <> torch.float32 && x.dtype <> torch.float64 then
            bad $"The values must be float32 or float64; their dtype is {x.dtype}."

        if dim < 0 || dim >= x.shape.Length then
            bad $"There is no axis {dim} of values of shape {Tensors.shapeText x}."

        if size >= 0L && x.shape[dim] <> size then
            bad $"The values have shape {Tensors.shapeText x}; axis {dim} must have the size {size} of {points}."

    let private moved (make: unit -> Tensor) : Tensor =
        use _ = torch.NewDisposeScope()
        (make ()).MoveToOuterDisposeScope()

    /// The coefficients of the values x at these points, along one axis of x: c_0, c_1, .. on Neumann axes, s_1, s_2, .. on Dirichlet axes.
    /// The axis gets the size `count points`. float32 and float64; gradients flow. ArgumentException for points without a series, for
    /// another dtype, for an axis that x does not have and for one of another size than the points.
    let coefficients (points: AxisPoints) (dim: int) (x: Tensor) : Tensor =
        check points dim x (int64 points.Count)
        let d = int64 dim

        moved (fun () ->
            match isCosine points, points.Layout with
            | true, PointLayout.Cells -> cosineOfCells d x
            | true, _ -> cosineOfNodes d x
            | false, PointLayout.Cells -> sineOfCells d x
            | false, PointLayout.Interior -> sineOfInterior d x
            | false, _ -> sineOfInterior d (x.narrow (d, 1L, x.shape[dim] - 2L)))

    /// The values at these points of the series with these coefficients along one axis, of any number: more than the points hold are left
    /// out, fewer are followed by zeros. ArgumentException as `coefficients`.
    let values (points: AxisPoints) (dim: int) (series: Tensor) : Tensor =
        check points dim series -1L
        let make = if isCosine points then cosines else sines
        moved (fun () -> make points.Layout (int64 points.Count) (int64 dim) series)

    /// The values at these points of the derivative of the series: sines of a cosine series, cosines of a sine series.
    let slopes (points: AxisPoints) (dim: int) (series: Tensor) : Tensor =
        check points dim series -1L

        moved (fun () ->
            let d, n = int64 dim, int64 points.Count
            let held = fitted (int64 (count points)) d series
            let k = wavenumbers points.Axis (count points)

            if isCosine points then
                let s = held.mul (row (k |> Array.map (~-)) d series)
                sines points.Layout n d (s.narrow (d, 1L, s.shape[dim] - 1L))
            else
                let c = torch.cat ([| zeros 1L d held; held.mul (row k d series) |], d)
                cosines points.Layout n d c)

    /// The functions of an axis at any coordinates: row-major (coordinates, count).
    let internal basis (axis: Axis) (count: int) (coordinates: float[]) : float[] =
        let f = if axis.Boundary = Boundary.Neumann then cos else sin
        let k = wavenumbers axis count

        [|
            for x in coordinates do
                for k in k -> f (k * (x - axis.Start))
        |]

    /// The function with the values x at the points `source`, at the points `target` of the same axis. Exact for series that both hold;
    /// finer and back is the identity. ArgumentException as `coefficients`, and for points of unlike axes.
    let resample (source: AxisPoints) (target: AxisPoints) (dim: int) (x: Tensor) : Tensor =
        check source dim x (int64 source.Count)
        check target dim x -1L

        if not (source.Axis.Equals target.Axis) then
            bad $"The points lie on {source.Axis} and on {target.Axis}; they must lie on the same axis."

        moved (fun () -> values target dim (coefficients source dim x))
