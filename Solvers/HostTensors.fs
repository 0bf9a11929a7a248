// Linear combinations and norms of small tensors in host memory. A call into libtorch costs a microsecond or two, whatever it does;
// a Runge-Kutta step makes dozens on states of a few hundred numbers. Here such a state costs one call, or none.
namespace Continuum

open System
open System.Buffers
open System.Numerics
open System.Runtime.InteropServices
open TorchSharp

/// Arithmetic on the memory of tensors. Nothing here is recorded by autograd.
module internal HostTensors =

    // Above this libtorch's threads and cache blocking earn what its calls cost.
    let private largest = 131072L

    /// Whether y lies in host memory in a form that the functions below read.
    let suits (y: Tensor) =
        y.device_type = DeviceType.CPU
        && (match y.dtype with
            | torch.ScalarType.Float32
            | torch.ScalarType.Float64 -> true
            | _ -> false)
        && y.numel () <= largest
        && y.is_contiguous ()

    /// Whether x has y's layout, so that their elements correspond one to one. y suits.
    let matches (y: Tensor) (x: Tensor) =
        let dimensions = y.dim ()

        let rec sameFrom (d: int64) = d = dimensions || (y.size (int d) = x.size (int d) && sameFrom (d + 1L))

        x.dtype = y.dtype
        && x.dim () = dimensions
        && sameFrom 0L
        && x.device_type = DeviceType.CPU
        && x.is_contiguous ()

    let allMatch (y: Tensor) (w: float[]) (k: Tensor[]) (count: int) =
        let mutable same = true

        for j in 0 .. count - 1 do
            if same && w[j] <> 0.0 then
                same <- matches y k[j]

        same

    let private elements<'N when 'N: struct and 'N: (new: unit -> 'N) and 'N :> ValueType> (x: Tensor) : Span<'N> =
        MemoryMarshal.Cast<byte, 'N>(x.bytes)

    /// target += factor * source, fused as libtorch's own add with a factor is: a recorded step and this one then give the same bits.
    let private accumulate32 (target: Span<float32>) (factor: float) (source: ReadOnlySpan<float32>) =
        let factor = float32 factor
        let lanes = Vector<float32>.Count
        let wide = Vector<float32> factor
        let mutable i = 0

        while i <= target.Length - lanes do
            let place = target.Slice(i, lanes)
            Vector.FusedMultiplyAdd(wide, Vector<float32>(source.Slice(i, lanes)), Vector<float32>(place)).CopyTo place
            i <- i + lanes

        while i < target.Length do
            target[i] <- MathF.FusedMultiplyAdd(factor, source[i], target[i])
            i <- i + 1

    /// target += factor * source.
    let private accumulate64 (target: Span<float>) (factor: float) (source: ReadOnlySpan<float>) =
        let lanes = Vector<float>.Count
        let wide = Vector<float> factor
        let mutable i = 0

        while i <= target.Length - lanes do
            let place = target.Slice(i, lanes)
            Vector.FusedMultiplyAdd(wide, Vector<float>(source.Slice(i, lanes)), Vector<float>(place)).CopyTo place
            i <- i + lanes

        while i < target.Length do
            target[i] <- Math.FusedMultiplyAdd(factor, source[i], target[i])
            i <- i + 1

    /// y + h sum_j w_j k_j as a fresh tensor. y suits, and all match.
    let combine (y: Tensor) (h: float) (w: float[]) (k: Tensor[]) (count: int) : Tensor =
        let result = y.clone ()

        for j in 0 .. count - 1 do
            if w[j] <> 0.0 then
                if y.dtype = torch.float32 then
                    accumulate32 (elements<float32> result) (h * w[j]) (Span.op_Implicit (elements<float32> k[j]))
                else
                    accumulate64 (elements<float> result) (h * w[j]) (Span.op_Implicit (elements<float> k[j]))

        result

    /// Norm of h sum_j w_j k_j scaled by atol + rtol max(|y0|, |y1|), summed in float64. y0 suits, and y1 and all slopes match.
    let errorNorm
        maximum
        (rtol: float)
        (atol: float)
        (y0: Tensor)
        (y1: Tensor)
        (h: float)
        (w: float[])
        (k: Tensor[])
        (count: int)
        =
        let n = int (y0.numel ())
        let mutable worst = 0.0
        let mutable sum = 0.0

        if y0.dtype = torch.float32 then
            let rented = ArrayPool<float32>.Shared.Rent n
            let error = Span<float32>(rented, 0, n)
            error.Clear()

            for j in 0 .. count - 1 do
                if w[j] <> 0.0 then
                    accumulate32 error (h * w[j]) (Span.op_Implicit (elements<float32> k[j]))

            let before = elements<float32> y0
            let after = elements<float32> y1

            for i in 0 .. n - 1 do
                let e = float error[i] / (atol + rtol * float (Math.Max(abs before[i], abs after[i])))
                sum <- sum + e * e
                worst <- Math.Max(worst, abs e)

            ArrayPool<float32>.Shared.Return rented
        else
            let rented = ArrayPool<float>.Shared.Rent n
            let error = Span<float>(rented, 0, n)
            error.Clear()

            for j in 0 .. count - 1 do
                if w[j] <> 0.0 then
                    accumulate64 error (h * w[j]) (Span.op_Implicit (elements<float> k[j]))

            let before = elements<float> y0
            let after = elements<float> y1

            for i in 0 .. n - 1 do
                let e = error[i] / (atol + rtol * Math.Max(abs before[i], abs after[i]))
                sum <- sum + e * e
                worst <- Math.Max(worst, abs e)

            ArrayPool<float>.Shared.Return rented

        if maximum then worst else sqrt (sum / float n)

    /// Whether every element is finite. y suits.
    let isFinite (y: Tensor) =
        let mutable sum = 0.0

        if y.dtype = torch.float32 then
            for x in elements<float32> y do
                sum <- sum + float (0.0f * x)
        else
            for x in elements<float> y do
                sum <- sum + 0.0 * x

        sum = 0.0
