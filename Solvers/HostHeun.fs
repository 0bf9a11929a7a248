// The sums of a reversible Heun step and of its adjoint on small tensors in host memory: one pass where libtorch would take several calls.
namespace Continuum

open System
open System.Numerics
open System.Runtime.InteropServices
open TorchSharp

/// Arithmetic on the memory of tensors. Nothing here is recorded by autograd.
module internal HostHeun =
    let private elements<'N when 'N: struct and 'N: (new: unit -> 'N) and 'N :> ValueType> (x: Tensor) : Span<'N> =
        MemoryMarshal.Cast<byte, 'N>(x.bytes)

    let inline private at (x: Span<'N>) (i: int) : Vector<'N> = Vector<'N>(x.Slice(i, Vector<'N>.Count))

    let inline private put (x: Span<'N>) (i: int) (v: Vector<'N>) = v.CopyTo(x.Slice(i, Vector<'N>.Count))

    /// How many elements whole vectors cover.
    let inline private covered (x: Span<'N>) = x.Length - x.Length % Vector<'N>.Count

    /// target = a y + b z + c f + d g w.
    let inline private combine
        (target: Span<'N>)
        (struct (a: 'N, b: 'N, c: 'N, d: 'N))
        (y: Span<'N>)
        (z: Span<'N>)
        (f: Span<'N>)
        (g: Span<'N>)
        (w: Span<'N>)
        =
        let n = covered target
        let mutable i = 0

        while i < n do
            let states = Vector<'N> a * at y i + Vector<'N> b * at z i
            put target i (states + Vector<'N> c * at f i + Vector<'N> d * at g i * at w i)
            i <- i + Vector<'N>.Count

        while i < target.Length do
            target[i] <- a * y[i] + b * z[i] + c * f[i] + d * g[i] * w[i]
            i <- i + 1

    /// drift = c a, noise = (v + w) a.
    let inline private spread (drift: Span<'N>) (noise: Span<'N>) (c: 'N) (a: Span<'N>) (v: Span<'N>) (w: Span<'N>) =
        let n = covered drift
        let mutable i = 0

        while i < n do
            let x = at a i
            put drift i (Vector<'N> c * x)
            put noise i ((at v i + at w i) * x)
            i <- i + Vector<'N>.Count

        while i < drift.Length do
            drift[i] <- c * a[i]
            noise[i] <- (v[i] + w[i]) * a[i]
            i <- i + 1

    /// first = x - s, second = a + first.
    let inline private advance (first: Span<'N>) (second: Span<'N>) (x: Span<'N>) (s: Span<'N>) (a: Span<'N>) =
        let n = covered first
        let mutable i = 0

        while i < n do
            let next = at x i - at s i
            put first i next
            put second i (at a i + next)
            i <- i + Vector<'N>.Count

        while i < first.Length do
            first[i] <- x[i] - s[i]
            second[i] <- a[i] + first[i]
            i <- i + 1

    let private fresh (like: Tensor) = torch.empty_like (like, requires_grad = false)

    /// Whether both lie in host memory in one form.
    let pair (y: Tensor) (z: Tensor) = HostTensors.suits y && HostTensors.matches y z

    /// Whether all three do.
    let triple (x: Tensor) (y: Tensor) (z: Tensor) = pair x y && HostTensors.matches x z

    /// Whether `sum` can be taken here.
    let suits (y: Tensor) (z: Tensor) (f: Tensor) (g: Tensor) (w: Tensor) =
        triple y z f && HostTensors.matches y g && HostTensors.matches y w

    /// a y + b z + c f + d g w componentwise, fresh. All must suit.
    let sum (a: float) (y: Tensor) (b: float) (z: Tensor) (c: float) (f: Tensor) (d: float) (g: Tensor) (w: Tensor) =
        let result = fresh y

        if y.dtype = torch.float32 then
            combine
                (elements<float32> result)
                (struct (float32 a, float32 b, float32 c, float32 d))
                (elements<float32> y)
                (elements<float32> z)
                (elements<float32> f)
                (elements<float32> g)
                (elements<float32> w)
        else
            combine
                (elements<float> result)
                (struct (a, b, c, d))
                (elements<float> y)
                (elements<float> z)
                (elements<float> f)
                (elements<float> g)
                (elements<float> w)

        result

    /// c a and (v + w) a componentwise, fresh. All must be of one form.
    let bars (c: float) (a: Tensor) (v: Tensor) (w: Tensor) : struct (Tensor * Tensor) =
        let drift = fresh a
        let noise = fresh a

        if a.dtype = torch.float32 then
            spread
                (elements<float32> drift)
                (elements<float32> noise)
                (float32 c)
                (elements<float32> a)
                (elements<float32> v)
                (elements<float32> w)
        else
            spread
                (elements<float> drift)
                (elements<float> noise)
                c
                (elements<float> a)
                (elements<float> v)
                (elements<float> w)

        struct (drift, noise)

    /// x - s, and a plus that, fresh. All must be of one form.
    let next (x: Tensor) (s: Tensor) (a: Tensor) : struct (Tensor * Tensor) =
        let first = fresh a
        let second = fresh a

        if a.dtype = torch.float32 then
            advance
                (elements<float32> first)
                (elements<float32> second)
                (elements<float32> x)
                (elements<float32> s)
                (elements<float32> a)
        else
            advance
                (elements<float> first)
                (elements<float> second)
                (elements<float> x)
                (elements<float> s)
                (elements<float> a)

        struct (first, second)
