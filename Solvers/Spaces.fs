// The state spaces: arrays of numbers, tensors, pairs and arrays of spaces. Structs, so that the tableau loop specialises.
namespace Continuum

open System
open System.Numerics
open TorchSharp

/// Checked construction of tolerances.
[<RequireQualifiedAccess>]
module Tolerance =
    /// Scalar tolerances with the root-mean-square norm. ArgumentException unless both are finite, >= 0 and one is > 0.
    let create<'S> (rtol: float) (atol: float) : Tolerance<'S> =
        if not (Double.IsFinite rtol && Double.IsFinite atol) || rtol < 0.0 || atol < 0.0 || rtol + atol <= 0.0 then
            raise (
                ArgumentException(
                    $"Tolerances must be finite, not negative and not both zero; got rtol = {rtol}, atol = {atol}. Typical values are 1e-3 to 1e-9."
                )
            )

        {
            Rtol = rtol
            Atol = atol
            RtolPer = ValueNone
            AtolPer = ValueNone
            Norm = Rms
        }

    /// The same with another norm.
    let withNorm norm (tolerance: Tolerance<'S>) = { tolerance with Norm = norm }

/// float[] with double arithmetic and no allocation per step.
[<Struct>]
type RealSpace(tolerance: Tolerance<float[]>) =

    member inline private _.Scale(i: int, magnitude: float) =
        let r =
            match tolerance.RtolPer with
            | ValueSome per -> per[i]
            | ValueNone -> tolerance.Rtol

        let a =
            match tolerance.AtolPer with
            | ValueSome per -> per[i]
            | ValueNone -> tolerance.Atol

        a + r * magnitude

    /// sum_j w_j k_j[i].
    static member inline private Sum(w: float[], k: float[][], count: int, i: int) =
        let mutable s = 0.0

        for j in 0 .. count - 1 do
            let wj = w[j]

            if wj <> 0.0 then
                s <- s + wj * k[j][i]

        s

    /// The same for components i, i + 1 and i + 2: three chains of additions at once.
    static member inline private Sum3(w: float[], k: float[][], count: int, i: int) =
        let mutable s0 = 0.0
        let mutable s1 = 0.0
        let mutable s2 = 0.0

        for j in 0 .. count - 1 do
            let wj = w[j]

            if wj <> 0.0 then
                let kj = k[j]
                s2 <- s2 + wj * kj[i + 2]
                s1 <- s1 + wj * kj[i + 1]
                s0 <- s0 + wj * kj[i]

        struct (s0, s1, s2)

    member inline private this.Scaled(e: float, i: int, y0: float[], y1: float[]) =
        e / this.Scale(i, Math.Max(abs y0[i], abs y1[i]))

    interface INormedSpace<float[]> with
        member _.Allocate y = Array.zeroCreate y.Length

        member _.Combine(dest, y, h, w, k, count) =
            let n = y.Length
            let mutable i = 0

            if n >= 8 && Vector.IsHardwareAccelerated then
                // Long states: whole SIMD registers, one pass per slope kept in register.
                let lanes = Vector<float>.Count
                let last = n - n % lanes

                while i < last do
                    let mutable s = Vector<float>.Zero

                    for j in 0 .. count - 1 do
                        let wj = w[j]

                        if wj <> 0.0 then
                            s <- s + Vector<float>(wj) * Vector<float>(k[j], i)

                    (Vector<float>(y, i) + Vector<float>(h) * s).CopyTo(dest, i)
                    i <- i + lanes

            while i + 2 < n do
                let struct (s0, s1, s2) = RealSpace.Sum3(w, k, count, i)
                dest[i + 2] <- y[i + 2] + h * s2
                dest[i + 1] <- y[i + 1] + h * s1
                dest[i] <- y[i] + h * s0
                i <- i + 3

            while i < n do
                dest[i] <- y[i] + h * RealSpace.Sum(w, k, count, i)
                i <- i + 1

            dest

        member _.Advance(t, h, c) = t + c * h

        member this.ErrorNorm(y0, y1, h, w, k, count) =
            let n = y0.Length
            let mutable acc = 0.0

            match tolerance.Norm with
            | Maximum ->
                for i in 0 .. n - 1 do
                    acc <- Math.Max(acc, abs (this.Scaled(h * RealSpace.Sum(w, k, count, i), i, y0, y1)))

                acc
            | _ ->
                let mutable i = 0

                if tolerance.RtolPer.IsNone && tolerance.AtolPer.IsNone then
                    let rtol = tolerance.Rtol
                    let atol = tolerance.Atol

                    while i + 2 < n do
                        let struct (s0, s1, s2) = RealSpace.Sum3(w, k, count, i)
                        let e2 = h * s2 / (atol + rtol * Math.Max(abs y0[i + 2], abs y1[i + 2]))
                        let e1 = h * s1 / (atol + rtol * Math.Max(abs y0[i + 1], abs y1[i + 1]))
                        let e0 = h * s0 / (atol + rtol * Math.Max(abs y0[i], abs y1[i]))
                        acc <- acc + (e0 * e0 + e1 * e1 + e2 * e2)
                        i <- i + 3

                while i < n do
                    let e = this.Scaled(h * RealSpace.Sum(w, k, count, i), i, y0, y1)
                    acc <- acc + e * e
                    i <- i + 1

                sqrt (acc / float (max 1 n))

        member this.ScaledDistance(a, b, y) =
            let mutable acc = 0.0

            for i in 0 .. y.Length - 1 do
                let scaled = (a[i] - b[i]) / this.Scale(i, abs y[i])

                acc <-
                    if tolerance.Norm.IsMaximum then
                        Math.Max(acc, abs scaled)
                    else
                        acc + scaled * scaled

            if tolerance.Norm.IsMaximum then acc else sqrt (acc / float (max 1 y.Length))

        member _.Distance(a, b) =
            let mutable acc = 0.0

            for i in 0 .. a.Length - 1 do
                let d = a[i] - b[i]
                acc <- acc + d * d

            sqrt acc

        member _.Size y = y.Length

        member _.IsFinite y =
            let mutable s = 0.0

            for i in 0 .. y.Length - 1 do
                s <- s + 0.0 * y[i]

            s = 0.0

        member this.WorstComponent(y0, y1, h, w, k, count) =
            let mutable worst = 0
            let mutable size = -1.0

            for i in 0 .. y0.Length - 1 do
                let e = abs (this.Scaled(h * RealSpace.Sum(w, k, count, i), i, y0, y1))

                if size < infinity && (not (Double.IsFinite e) || not (Double.IsFinite y1[i]) || e > size) then
                    worst <- i
                    size <- if Double.IsFinite e && Double.IsFinite y1[i] then e else infinity

            $"component {worst}"

        member _.Copy y = Array.copy y
        member _.OpenScope() = null
        member _.Keep y = y
        member _.Free _ = ()

/// Tensors of one dtype and device under a scalar clock. Recording = false lets intermediate sums be written in place.
[<Struct>]
type TensorSpace(tolerance: Tolerance<Tensor>, recording: bool) =

    /// h * sum_j w_j k_j as a fresh tensor, not recorded.
    static member internal WeightedSum(h: float, w: float[], k: Tensor[], count: int) : Tensor =
        let mutable sum: Tensor = null

        for j in 0 .. count - 1 do
            if w[j] <> 0.0 then
                use scalar = (h * w[j]).ToScalar()
                sum <- if isNull sum then k[j].mul scalar else sum.add_ (k[j], scalar)

        if isNull sum then k[0].mul(0.0) else sum

    member private _.Scale(magnitude: Tensor) =
        let scaled =
            match tolerance.RtolPer with
            | ValueSome per -> magnitude.mul per
            | ValueNone -> magnitude.mul tolerance.Rtol

        match tolerance.AtolPer with
        | ValueSome per -> scaled.add per
        | ValueNone -> scaled.add_ tolerance.Atol

    member private _.Reduce(scaled: Tensor) =
        // float64 accumulation: float32 sums of many squares would make step counts depend on the layout.
        if tolerance.Norm.IsMaximum then
            scaled.abs().max().ToDouble()
        else
            sqrt (scaled.pow(2.0).mean([||], ``type`` = Nullable torch.float64).ToDouble())

    interface INormedSpace<Tensor> with
        member _.Allocate y = y

        member _.Combine(_, y, h, w, k, count) =
            if not recording && HostTensors.suits y && HostTensors.allMatch y w k count then
                HostTensors.combine y h w k count
            else
                let mutable sum = y
                let mutable fresh = false

                for j in 0 .. count - 1 do
                    if w[j] <> 0.0 then
                        use scalar = (h * w[j]).ToScalar()

                        if fresh && not recording then
                            sum.add_ (k[j], scalar) |> ignore
                        else
                            sum <- sum.add (k[j], scalar)
                            fresh <- true

                if fresh then sum else y.alias ()

        member _.Advance(t, h, c) = t + c * h

        member this.ErrorNorm(y0, y1, h, w, k, count) =
            use _ = torch.no_grad ()

            if
                tolerance.RtolPer.IsNone
                && tolerance.AtolPer.IsNone
                && HostTensors.suits y0
                && HostTensors.matches y0 y1
                && HostTensors.allMatch y0 w k count
            then
                let maximum = tolerance.Norm.IsMaximum
                HostTensors.errorNorm maximum tolerance.Rtol tolerance.Atol y0 y1 h w k count
            else
                let error = TensorSpace.WeightedSum(h, w, k, count)
                let scale = this.Scale(torch.maximum (y0.abs (), y1.abs ()))
                this.Reduce(error.div_ scale)

        member this.ScaledDistance(a, b, y) =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            this.Reduce((a.sub b).div_(this.Scale(y.abs ())))

        member _.Distance(a, b) =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()
            a.sub(b).norm().ToDouble()

        member _.Size y = int (y.numel ())

        member _.IsFinite y =
            if HostTensors.suits y then
                HostTensors.isFinite y
            else
                use _ = torch.no_grad ()
                use _ = torch.NewDisposeScope()
                // 0 * y is NaN exactly where y is not finite; one reduction and one read.
                y.mul(0.0).sum().ToDouble() = 0.0

        member this.WorstComponent(y0, y1, h, w, k, count) =
            use _ = torch.no_grad ()
            use _ = torch.NewDisposeScope()

            let error =
                TensorSpace.WeightedSum(h, w, k, count).abs().div(this.Scale(torch.maximum (y0.abs (), y1.abs ())))

            let worst = error.nan_to_num(nan = infinity).flatten().argmax().ToInt64()

            let mutable rest = worst

            let index = [|
                for extent in Array.rev y0.shape do
                    yield rest % extent
                    rest <- rest / extent
            |]

            let text = index |> Array.rev |> Array.map string |> String.concat ", "
            $"component [{text}]"

        member _.Copy y = y.alias ()
        member _.OpenScope() = torch.NewDisposeScope() :> IDisposable
        // An alias: a field may return a tensor of its own (a parameter), which is not ours to move or dispose.
        member _.Keep y = y.alias().MoveToOuterDisposeScope()
        member _.Free y = y.Dispose()

/// The product of two spaces: a pair of states that evolve together.
[<Struct>]
type PairSpace<'A, 'B, 'PA, 'PB when 'PA: struct and 'PA :> INormedSpace<'A> and 'PB: struct and 'PB :> INormedSpace<'B>>
    (first: 'PA, second: 'PB, norm: ErrorNorm) =

    member private _.Mix(a: float, na: int, b: float, nb: int) =
        match norm with
        | Rms -> sqrt ((float na * a * a + float nb * b * b) / float (max 1 (na + nb)))
        | Maximum
        | PerLeaf -> Math.Max(a, b)

    interface INormedSpace<struct ('A * 'B)> with
        member _.Allocate(struct (a, b)) = struct (first.Allocate a, second.Allocate b)

        member _.Combine(struct (da, db), struct (a, b), h, w, k, count) =
            let ka = Array.init count (fun j -> let struct (x, _) = k[j] in x)
            let kb = Array.init count (fun j -> let struct (_, x) = k[j] in x)
            struct (first.Combine(da, a, h, w, ka, count), second.Combine(db, b, h, w, kb, count))

        member _.Advance(t, h, c) = t + c * h

        member this.ErrorNorm(struct (a0, b0), struct (a1, b1), h, w, k, count) =
            let ka = Array.init count (fun j -> let struct (x, _) = k[j] in x)
            let kb = Array.init count (fun j -> let struct (_, x) = k[j] in x)

            this.Mix(
                first.ErrorNorm(a0, a1, h, w, ka, count),
                first.Size a0,
                second.ErrorNorm(b0, b1, h, w, kb, count),
                second.Size b0
            )

        member this.ScaledDistance(struct (a, b), struct (a', b'), struct (ya, yb)) =
            this.Mix(first.ScaledDistance(a, a', ya), first.Size ya, second.ScaledDistance(b, b', yb), second.Size yb)

        member _.Distance(struct (a, b), struct (a', b')) =
            let da = first.Distance(a, a')
            let db = second.Distance(b, b')
            sqrt (da * da + db * db)

        member _.Size(struct (a, b)) = first.Size a + second.Size b
        member _.IsFinite(struct (a, b)) = first.IsFinite a && second.IsFinite b

        member _.WorstComponent(struct (a0, b0), struct (a1, b1), h, w, k, count) =
            let ka = Array.init count (fun j -> let struct (x, _) = k[j] in x)
            let kb = Array.init count (fun j -> let struct (_, x) = k[j] in x)
            let ea = first.ErrorNorm(a0, a1, h, w, ka, count)
            let eb = second.ErrorNorm(b0, b1, h, w, kb, count)

            if Double.IsNaN ea || ea >= eb then
                "first: " + first.WorstComponent(a0, a1, h, w, ka, count)
            else
                "second: " + second.WorstComponent(b0, b1, h, w, kb, count)

        member _.Copy(struct (a, b)) = struct (first.Copy a, second.Copy b)

        member _.OpenScope() =
            // Scopes nest per thread, so one is enough when either leaf needs it.
            match first.OpenScope() with
            | null -> second.OpenScope()
            | scope -> scope

        member _.Keep(struct (a, b)) = struct (first.Keep a, second.Keep b)

        member _.Free(struct (a, b)) =
            first.Free a
            second.Free b

/// A fixed number of states of one space that evolve together. Tolerances and norm of each leaf are the inner space's.
[<Struct>]
type ArraySpace<'S, 'P when 'P: struct and 'P :> INormedSpace<'S>>(inner: 'P, norm: ErrorNorm) =

    static member private Leaf(k: 'S[][], i: int, count: int) = Array.init count (fun j -> k[j][i])

    member private _.Reduce(y: 'S[], leafNorm: int -> float) =
        let mutable acc = 0.0
        let mutable size = 0

        for i in 0 .. y.Length - 1 do
            let e = leafNorm i

            match norm with
            | Rms ->
                let n = inner.Size y[i]
                size <- size + n
                acc <- acc + float n * e * e
            | Maximum
            | PerLeaf -> acc <- Math.Max(acc, e)

        if norm = Rms then sqrt (acc / float (max 1 size)) else acc

    interface INormedSpace<'S[]> with
        member _.Allocate y =
            let space = inner
            y |> Array.map (fun leaf -> space.Allocate leaf)

        member _.Combine(dest, y, h, w, k, count) =
            // A fresh outer array each time: leaves of tensors are fresh values and must not overwrite older ones.
            let result: 'S[] = Array.zeroCreate y.Length

            for i in 0 .. y.Length - 1 do
                result[i] <- inner.Combine(dest[i], y[i], h, w, ArraySpace<'S, 'P>.Leaf(k, i, count), count)

            result

        member _.Advance(t, h, c) = t + c * h

        member this.ErrorNorm(y0, y1, h, w, k, count) =
            let space = inner
            this.Reduce(y0, fun i -> space.ErrorNorm(y0[i], y1[i], h, w, ArraySpace<'S, 'P>.Leaf(k, i, count), count))

        member this.ScaledDistance(a, b, y) =
            let space = inner
            this.Reduce(y, fun i -> space.ScaledDistance(a[i], b[i], y[i]))

        member _.Distance(a, b) =
            let mutable acc = 0.0

            for i in 0 .. a.Length - 1 do
                let d = inner.Distance(a[i], b[i])
                acc <- acc + d * d

            sqrt acc

        member _.Size y =
            let mutable size = 0

            for leaf in y do
                size <- size + inner.Size leaf

            size

        member _.IsFinite y =
            let space = inner
            y |> Array.forall (fun leaf -> space.IsFinite leaf)

        member _.WorstComponent(y0, y1, h, w, k, count) =
            let mutable worst = 0
            let mutable size = -1.0

            for i in 0 .. y0.Length - 1 do
                let e = inner.ErrorNorm(y0[i], y1[i], h, w, ArraySpace<'S, 'P>.Leaf(k, i, count), count)

                if size < infinity && (Double.IsNaN e || e > size) then
                    worst <- i
                    size <- if Double.IsNaN e then infinity else e

            let leaf = ArraySpace<'S, 'P>.Leaf(k, worst, count)
            $"leaf {worst}, " + inner.WorstComponent(y0[worst], y1[worst], h, w, leaf, count)

        member _.Copy y =
            let space = inner
            y |> Array.map (fun leaf -> space.Copy leaf)

        member _.OpenScope() = inner.OpenScope()

        member _.Keep y =
            let space = inner
            y |> Array.map (fun leaf -> space.Keep leaf)

        member _.Free y =
            for leaf in y do
                inner.Free leaf
