// The normals of NormalDraws on any device: the same integer arithmetic and the same roundings, operation by operation.
namespace Continuum

open System
open TorchSharp

/// Philox and AS 241 in operations of libtorch, bit for bit those of Philox and NormalQuantile. Nothing here divides by a scalar or adds
/// a multiple, and square roots are corrected: devices differ in how they round those.
[<RequireQualifiedAccess>]
module internal TensorNormals =

    let private word (x: uint32) (device: torch.Device) = torch.tensor (int64 x, device = device)

    /// 128 random bits for each counter: int64 tensors of words below 2^32 that broadcast; the result's words too.
    let private philox (key: uint64) (c0: Tensor) (c1: Tensor) (c2: Tensor) (c3: Tensor) =
        let device = c0.device
        let m0 = word Philox.M0 device
        let m1 = word Philox.M1 device
        let low = word 0xFFFFFFFFu device
        let bits = word 32u device
        let upper (p: Tensor) = p.bitwise_right_shift(bits).bitwise_and low
        let mutable x0 = c0
        let mutable x1 = c1
        let mutable x2 = c2
        let mutable x3 = c3
        let mutable k0 = uint32 key
        let mutable k1 = uint32 (key >>> 32)

        for _ in 1..10 do
            let p0 = x0.mul m0
            let p1 = x2.mul m1
            x0 <- (upper p1).bitwise_xor(x1).bitwise_xor(word k0 device)
            x1 <- p1.bitwise_and low
            x2 <- (upper p0).bitwise_xor(x3).bitwise_xor(word k1 device)
            x3 <- p0.bitwise_and low
            k0 <- k0 + Philox.W0
            k1 <- k1 + Philox.W1

        struct (x0, x1, x2, x3)

    /// u - 1/2 for the uniform number of two words.
    let private centred (low: Tensor) (high: Tensor) =
        let device = low.device
        let k = high.bitwise_left_shift(word 20u device).add(low.bitwise_right_shift (word 12u device))

        k.``to`` (torch.float64)
        |> TensorNumbers.times 2.220446049250313e-16
        |> TensorNumbers.plusInPlace 1.1102230246251565e-16
        |> TensorNumbers.plusInPlace -0.5

    let private polynomial (c: float[]) (r: Tensor) =
        let result = TensorNumbers.times c[0] r

        for i in 1 .. c.Length - 2 do
            (TensorNumbers.plusInPlace c[i] result).mul_ r |> ignore

        TensorNumbers.plusInPlace c[c.Length - 1] result

    let private ratio top bottom (r: Tensor) = (polynomial top r).div(polynomial bottom r)

    /// The square root of positive numbers, correctly rounded. libtorch's own may be off by an ulp (MKL's is, in 1.3 % of cases); the
    /// residual is exact by Dekker's product, and one Newton step from a neighbour of the root rounds to it.
    let squareRoot (x: Tensor) =
        let s = x.sqrt ()
        let wide = TensorNumbers.times 134217729.0 s
        let high = wide.sub (wide.sub s)
        let low = s.sub high
        let square = s.mul s
        let rest = high.mul(high).sub(square).add(high.add(high).mul low).add(low.mul low)
        let residual = x.sub(square).sub rest
        s.add (residual.div (s.add s))

    /// Natural logarithm, as NormalQuantile.logarithm.
    let private logarithm (x: Tensor) =
        let struct (fraction, exponent) = x.frexp ()
        let root = BitConverter.Int64BitsToDouble NormalQuantile.RootHalf
        let isLow = TensorNumbers.isBelow root fraction
        let m = torch.where (isLow, fraction.add fraction, fraction)
        let e = exponent.``to``(torch.float64).sub(isLow.``to`` torch.float64)
        let f = TensorNumbers.plus -1.0 m
        let s = f.div (TensorNumbers.plus 2.0 f)
        let z = s.mul s
        let p = polynomial NormalQuantile.LogSeries z
        let small = s.mul(z).mul(p).add(TensorNumbers.times NormalQuantile.Ln2Rest e)
        (TensorNumbers.times NormalQuantile.Ln2Short e).add((TensorNumbers.times 2.0 s).add small)

    /// The standard normal quantile at 1/2 + q.
    let private quantile (q: Tensor) =
        let size = q.abs ()
        let r = TensorNumbers.plus 0.180625 (q.mul(q).neg())
        let central = q.mul (ratio NormalQuantile.CentreTop NormalQuantile.CentreBottom r)
        let r = squareRoot ((logarithm (TensorNumbers.plus 0.5 (size.neg ()))).neg())
        let near = ratio NormalQuantile.TailTop NormalQuantile.TailBottom (TensorNumbers.plus -1.6 r)
        let far = ratio NormalQuantile.FarTop NormalQuantile.FarBottom (TensorNumbers.plus -5.0 r)
        let tail = torch.where (TensorNumbers.isAbove 5.0 r, far, near)
        let signed = torch.where (TensorNumbers.isBelow 0.0 q, tail.neg (), tail)
        torch.where (TensorNumbers.isAbove NormalQuantile.Centre size, signed, central)

    /// Path numbers as a tensor (1, paths).
    let paths (numbers: PathNumbers) (device: torch.Device) : Tensor =
        use _ = torch.NewDisposeScope()
        let values = Array.init numbers.Count (fun b -> int64 numbers[b])
        torch.tensor(values).clone().``to``(device).reshape(1L, int64 numbers.Count).MoveToOuterDisposeScope()

    /// Standard normals, shape (count, paths), float64: element (j, b) is the number that NormalDraws.fill puts at j * paths + b.
    let draw (key: uint64) (paths: Tensor) (address: DrawAddress) (skip: int) (count: int) : Tensor =
        use _ = torch.NewDisposeScope()
        let device = paths.device
        let calls = (count + skip + 1) / 2
        let k = torch.arange(int64 calls, dtype = torch.int64, device = device).reshape(int64 calls, 1L)

        let struct (c1, c2, c3) =
            if address.Stream then
                let start = int64 (uint64 address.C1 ||| (uint64 address.C2 <<< 32))
                let at = TensorNumbers.plusInteger start k
                let low = at.bitwise_and (word 0xFFFFFFFFu device)
                struct (low, at.bitwise_right_shift (word 32u device), word 0u device)
            else
                struct (word address.C1 device, word address.C2 device, TensorNumbers.plusInteger (int64 address.C3) k)

        let struct (x0, x1, x2, x3) = philox key paths c1 c2 c3
        let q = torch.stack ([| centred x0 x1; centred x2 x3 |], 1L)
        let rows = q.reshape (2L * int64 calls, paths.shape[1])
        (quantile (rows.narrow (0L, int64 skip, int64 count))).MoveToOuterDisposeScope()
