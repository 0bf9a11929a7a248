// The sums of a reversible Heun step on small tensors in host memory: one pass where libtorch would take four calls.
namespace Continuum

open System
open System.Numerics
open System.Runtime.InteropServices
open TorchSharp

/// Arithmetic on the memory of tensors. Nothing here is recorded by autograd.
module internal HostHeun =
    let private elements<'N when 'N: struct and 'N: (new: unit -> 'N) and 'N :> ValueType> (x: Tensor) : Span<'N> =
        MemoryMarshal.Cast<byte, 'N>(x.bytes)

    /// target = a y + b z + c f + d g w; the last two spans are those of g and w.
    let private sum32
        (target: Span<float32>)
        (factors: Vector4)
        (y: Span<float32>)
        (z: Span<float32>)
        (f: Span<float32>)
        (g: Span<float32>)
        (w: Span<float32>)
        =
        let lanes = Vector<float32>.Count
        let a = Vector<float32> factors.X
        let b = Vector<float32> factors.Y
        let c = Vector<float32> factors.Z
        let d = Vector<float32> factors.W
        let mutable i = 0

        while i <= target.Length - lanes do
            let states = a * Vector<float32>(y.Slice(i, lanes)) + b * Vector<float32>(z.Slice(i, lanes))
            let noise = d * Vector<float32>(g.Slice(i, lanes)) * Vector<float32>(w.Slice(i, lanes))
            (states + c * Vector<float32>(f.Slice(i, lanes)) + noise).CopyTo(target.Slice(i, lanes))
            i <- i + lanes

        while i < target.Length do
            target[i] <- factors.X * y[i] + factors.Y * z[i] + factors.Z * f[i] + factors.W * g[i] * w[i]
            i <- i + 1

    let private sum64
        (target: Span<float>)
        (factors: struct (float * float * float * float))
        (y: Span<float>)
        (z: Span<float>)
        (f: Span<float>)
        (g: Span<float>)
        (w: Span<float>)
        =
        let struct (a1, b1, c1, d1) = factors
        let lanes = Vector<float>.Count
        let a = Vector<float> a1
        let b = Vector<float> b1
        let c = Vector<float> c1
        let d = Vector<float> d1
        let mutable i = 0

        while i <= target.Length - lanes do
            let states = a * Vector<float>(y.Slice(i, lanes)) + b * Vector<float>(z.Slice(i, lanes))
            let noise = d * Vector<float>(g.Slice(i, lanes)) * Vector<float>(w.Slice(i, lanes))
            (states + c * Vector<float>(f.Slice(i, lanes)) + noise).CopyTo(target.Slice(i, lanes))
            i <- i + lanes

        while i < target.Length do
            target[i] <- a1 * y[i] + b1 * z[i] + c1 * f[i] + d1 * g[i] * w[i]
            i <- i + 1

    /// Whether the sum below can be taken here.
    let suits (y: Tensor) (z: Tensor) (f: Tensor) (g: Tensor) (w: Tensor) =
        HostTensors.suits y
        && HostTensors.matches y z
        && HostTensors.matches y f
        && HostTensors.matches y g
        && HostTensors.matches y w

    /// a y + b z + c f + d g w componentwise, fresh. All must suit.
    let sum
        (a: float)
        (y: Tensor)
        (b: float)
        (z: Tensor)
        (c: float)
        (f: Tensor)
        (d: float)
        (g: Tensor)
        (w: Tensor)
        : Tensor =
        let result = torch.empty_like (y, requires_grad = false)

        if y.dtype = torch.float32 then
            sum32
                (elements<float32> result)
                (Vector4(float32 a, float32 b, float32 c, float32 d))
                (elements<float32> y)
                (elements<float32> z)
                (elements<float32> f)
                (elements<float32> g)
                (elements<float32> w)
        else
            sum64
                (elements<float> result)
                (struct (a, b, c, d))
                (elements<float> y)
                (elements<float> z)
                (elements<float> f)
                (elements<float> g)
                (elements<float> w)

        result
